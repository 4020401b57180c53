import { atPointer, isJsonObject, type Json, type JsonObject } from '#kernel/json.ts'

const CHILD_MAPS = ['properties', '$defs', 'patternProperties', 'dependentSchemas']
const CHILD_LISTS = ['allOf', 'anyOf', 'oneOf', 'prefixItems']
const CHILDREN = ['items', 'additionalProperties', 'contains', 'propertyNames', 'not', 'if', 'then', 'else']

/** A member's name as a part of a JSON Pointer (RFC 6901). */
export const pointerMember = (name: string): string => name.replaceAll('~', '~0').replaceAll('/', '~1')

/** Calls `visit` for every subschema of a JSON Schema (2020-12), with its JSON Pointer; the root first. */
export function walkSchema(
  schema: JsonObject,
  visit: (subschema: JsonObject, pointer: string) => void,
  pointer = '',
): void {
  visit(schema, pointer)
  const descend = (child: Json | undefined, at: string): void => {
    if (isJsonObject(child)) walkSchema(child, visit, at)
  }
  for (const keyword of CHILDREN) descend(schema[keyword], `${pointer}/${keyword}`)
  for (const keyword of CHILD_MAPS) {
    const children = schema[keyword]
    if (!isJsonObject(children)) continue
    for (const name of Object.keys(children)) descend(children[name], `${pointer}/${keyword}/${pointerMember(name)}`)
  }
  for (const keyword of CHILD_LISTS) {
    const children = schema[keyword]
    if (!Array.isArray(children)) continue
    children.forEach((child: Json, i) => {
      descend(child, `${pointer}/${keyword}/${i}`)
    })
  }
}

/** The subschema that describes what `pointer` finds in the data, by properties, items and local references. */
export function subschemaAt(root: JsonObject, pointer: string): JsonObject | undefined {
  let current: JsonObject | undefined = resolved(root, root)
  for (const part of pointer.split('/').slice(1)) {
    const name = part.replaceAll('~1', '/').replaceAll('~0', '~')
    const properties: Json | undefined = current?.properties
    const own = isJsonObject(properties) && Object.hasOwn(properties, name) ? properties[name] : undefined
    const next: Json | undefined = own ?? (/^\d+$/.test(name) ? current?.items : undefined)
    current = isJsonObject(next) ? resolved(root, next) : undefined
    if (current === undefined) return undefined
  }
  return current
}

/** A subschema with its local reference followed once; undefined where that leads nowhere. */
export function resolved(root: JsonObject, schema: JsonObject): JsonObject | undefined {
  const reference = schema.$ref
  if (typeof reference !== 'string') return schema
  const target = atPointer(root, reference.slice(1))
  return isJsonObject(target) && target.$ref === undefined ? { ...target, ...schema } : undefined
}
