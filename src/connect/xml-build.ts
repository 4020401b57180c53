import { XMLBuilder } from 'fast-xml-parser'
import { HubError } from '#kernel/errors.ts'
import { isJsonObject, type Json, type JsonObject } from '#kernel/json.ts'
import { ATTRIBUTES, escapeAttribute, escapeText, FORBIDDEN, MAX_DEPTH, type OrderedNode, TEXT } from './xml.ts'

const builder = new XMLBuilder({
  preserveOrder: true,
  ignoreAttributes: false,
  attributeNamePrefix: '',
  suppressBooleanAttributes: false,
  processEntities: false,
  maxNestedTags: MAX_DEPTH,
})

/** A document in the order of its nodes. `JsonObject` members are elements, lists repeat them, `@name` is an attribute. */
export function buildXml(root: string, content: JsonObject): string {
  return `<?xml version="1.0" encoding="UTF-8"?>\n${builder.build([asNode(root, content)])}`
}

/** Members of a JSON value as elements, in their order. Throws `mapping.failed` for what XML cannot say. */
function asNode(name: string, value: Json): OrderedNode {
  if (!XML_NAME.test(name)) throw inexpressible(`member name ${name.slice(0, 64)}`)
  if (!isJsonObject(value)) return { [name]: asText(value) }
  const attributes: Record<string, string> = {}
  const children: OrderedNode[] = []
  for (const [member, part] of Object.entries(value)) {
    if (part === null) continue
    if (member === TEXT) children.push(...asText(part))
    else if (member.startsWith('@')) attributes[attributeName(member)] = escapeAttribute(scalar(part))
    else for (const one of Array.isArray(part) ? (part as readonly Json[]) : [part]) children.push(asNode(member, one))
  }
  return { [name]: children, ...(Object.keys(attributes).length === 0 ? {} : { [ATTRIBUTES]: attributes }) }
}

const XML_NAME = /^(?:[A-Za-z_][\w.-]*:)?[A-Za-z_\p{L}][\p{L}\p{N}_.-]*$/u

function attributeName(member: string): string {
  const name = member.slice(1)
  if (!XML_NAME.test(name)) throw inexpressible(`attribute name ${name.slice(0, 64)}`)
  return name
}

const asText = (value: Json): readonly OrderedNode[] => {
  const text = value === null ? '' : scalar(value)
  return text === '' ? [] : [{ [TEXT]: escapeText(text) }]
}

function scalar(value: Json): string {
  if (typeof value === 'object') throw inexpressible('a list of lists, or an attribute that is no text')
  const text = String(value)
  if (FORBIDDEN.test(text)) throw inexpressible('a character that XML does not have')
  return text
}

const inexpressible = (what: string): HubError =>
  new HubError('mapping.failed', {
    detail: { zh: `映射结果无法写成 XML（${what}）`, en: `the mapping cannot be written as XML (${what})` },
  })
