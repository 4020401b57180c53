import { XMLParser, XMLValidator } from 'fast-xml-parser'
import { HubError } from '#kernel/errors.ts'
import type { Json } from '#kernel/json.ts'

/** One element with its names resolved (Namespaces in XML 1.0). */
export interface XmlElement {
  /** `{namespace}local`; without a namespace only `local`. */
  readonly name: string
  /** By resolved name, without the namespace declarations. */
  readonly attributes: Readonly<Record<string, string>>
  readonly children: readonly XmlElement[]
  /** The element's own text; white space around children is not text. */
  readonly text: string
}

/** A node as fast-xml-parser keeps it with `preserveOrder`: one member for the name, one for the attributes. */
export interface OrderedNode {
  readonly [name: string]: readonly OrderedNode[] | string | Readonly<Record<string, string>>
}

const MAX_LENGTH = 1_048_576
export const MAX_DEPTH = 32
export const ATTRIBUTES = ':@'
export const TEXT = '#text'

/** What needs an escape; CR and, in attributes, white space, because a parser would normalise them (XML 1.0 §2.11, §3.3.3). */
const ESCAPES: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&apos;',
  '\r': '&#xD;',
  '\n': '&#xA;',
  '\t': '&#x9;',
}
export const escapeText = (text: string): string => text.replace(/[&<>"'\r]/g, (char) => ESCAPES[char] ?? char)
export const escapeAttribute = (text: string): string => text.replace(/[&<>"'\r\n\t]/g, (char) => ESCAPES[char] ?? char)

const NAMED: ReadonlyMap<string, string> = new Map(Object.entries({ amp: '&', lt: '<', gt: '>', quot: '"', apos: "'" }))
/** Characters that XML 1.0 §2.2 does not have, lone surrogates among them. */
export const FORBIDDEN = /[^\t\n\r\u{20}-\u{D7FF}\u{E000}-\u{FFFD}\u{10000}-\u{10FFFF}]/u

/** The five entities of XML and character references; no other entity exists, because no DTD is read. */
function decode(text: string): string {
  return text.replace(/&([^;&<]*);?/g, (reference, name: string) => {
    const number = /^#(?:x([0-9A-Fa-f]{1,6})|([0-9]{1,7}))$/.exec(name)
    const code = number === null ? undefined : Number.parseInt(number[1] ?? number[2] ?? '', number[1] ? 16 : 10)
    const char = code === undefined ? NAMED.get(name) : code <= 0x10_ff_ff ? String.fromCodePoint(code) : undefined
    if (char === undefined || FORBIDDEN.test(char) || !reference.endsWith(';')) throw new HubError('http.bad_request')
    return char
  })
}

const parser = new XMLParser({
  preserveOrder: true,
  ignoreAttributes: false,
  attributeNamePrefix: '',
  parseTagValue: false,
  parseAttributeValue: false,
  trimValues: false,
  ignoreDeclaration: true,
  ignorePiTags: true,
  maxNestedTags: MAX_DEPTH,
  entityDecoder: {
    setExternalEntities: () => undefined,
    addInputEntities: () => undefined,
    setXmlVersion: () => undefined,
    reset: () => undefined,
    decode,
  },
})

/**
 * The root element of a well-formed document; undefined for anything else: a document type (no entity, no external
 * subset, whatever it says), over 1 MiB, nested deeper than 32, unknown entities, undeclared prefixes.
 */
export function parseXml(text: string): XmlElement | undefined {
  if (text.length > MAX_LENGTH || /<!(?:DOCTYPE|ENTITY)/i.test(text) || FORBIDDEN.test(text)) return undefined
  try {
    if (XMLValidator.validate(text) !== true) return undefined
    const nodes = parser.parse(text) as unknown as readonly OrderedNode[]
    const [root, ...others] = nodes.filter((node) => !(TEXT in node))
    return root === undefined || others.length > 0 ? undefined : resolve(root, new Map([['', '']]))
  } catch {
    return undefined
  }
}

type Namespaces = ReadonlyMap<string, string>

function resolve(node: OrderedNode, outer: Namespaces): XmlElement {
  const name = Object.keys(node).find((key) => key !== ATTRIBUTES) ?? ''
  const attributes = Object.entries((node[ATTRIBUTES] ?? {}) as Readonly<Record<string, string>>)
  const isDeclaration = (key: string): boolean => key === 'xmlns' || key.startsWith('xmlns:')
  const declared = attributes.filter(([key]) => isDeclaration(key)).map(([key, uri]) => [key.slice(6), uri] as const)
  const namespaces: Namespaces = declared.length === 0 ? outer : new Map([...outer, ...declared])
  const plain = attributes.filter(([key]) => !isDeclaration(key))
  const inner = node[name] as readonly OrderedNode[]
  const children = inner.filter((child) => !(TEXT in child)).map((child) => resolve(child, namespaces))
  const text = inner.map((child) => (TEXT in child ? String(child[TEXT]) : '')).join('')
  return {
    name: expanded(name, namespaces, namespaces.get('') ?? ''),
    // An attribute without a prefix is in no namespace (Namespaces in XML 1.0 §6.2).
    attributes: Object.fromEntries(plain.map(([key, value]) => [expanded(key, namespaces, ''), value])),
    children,
    text: children.length > 0 && text.trim() === '' ? '' : text,
  }
}

const XML_NAMESPACE = 'http://www.w3.org/XML/1998/namespace'

function expanded(name: string, namespaces: Namespaces, fallback: string): string {
  const colon = name.indexOf(':')
  const prefix = name.slice(0, colon)
  const uri = colon === -1 ? fallback : prefix === 'xml' ? XML_NAMESPACE : namespaces.get(prefix)
  if (uri === undefined) throw new HubError('http.bad_request')
  const local = name.slice(colon + 1)
  return uri === '' ? local : `{${uri}}${local}`
}

/** The name without its namespace. */
const localName = (name: string): string => name.slice(name.indexOf('}') + 1)

/**
 * An element's content as JSON: text, or an object of its attributes (`@name`), children by local name (a list when
 * repeated) and `#text` beside them. Everything is text: 001 is not a number.
 */
export function xmlToJson(element: XmlElement): Json {
  const attributes = Object.entries(element.attributes).map(([name, value]) => [`@${localName(name)}`, value] as const)
  if (attributes.length === 0 && element.children.length === 0) return element.text
  const groups = Map.groupBy(element.children, (child) => localName(child.name))
  const children = [...groups].map(([name, same]) => {
    const values = same.map(xmlToJson)
    return [name, values.length === 1 ? (values[0] ?? '') : values] as const
  })
  const text = element.text === '' ? [] : [[TEXT, element.text] as const]
  return Object.fromEntries<Json>([...attributes, ...children, ...text])
}

/** Equal texts for documents that say the same: prefixes, attribute order, escapes and indentation do not count. */
export function canonicalXml(text: string): string | undefined {
  const root = parseXml(text)
  return root === undefined ? undefined : write(root)
}

function write({ name, attributes, children, text }: XmlElement): string {
  const written = Object.keys(attributes)
    .sort()
    .map((key) => ` ${key}="${escapeAttribute(attributes[key] ?? '')}"`)
  return `<${name}${written.join('')}>${escapeText(text)}${children.map(write).join('')}</>`
}
