import { canonicalJson, sha256Digest } from '#kernel/canonical.ts'
import { atPointer, isJsonObject, type Json, type JsonObject } from '#kernel/json.ts'

export type Schema = JsonObject | boolean

/** A subschema with the document that its references lead into and its own JSON Pointer there. */
export interface Place {
  readonly schema: Schema
  readonly root: JsonObject
  readonly pointer: string
}

const isSchema = (value: Json | undefined): value is Schema => typeof value === 'boolean' || isJsonObject(value)

const member = (name: string): string => name.replaceAll('~', '~0').replaceAll('/', '~1')

/** The subschema behind keywords and names of a place; undefined where there is none. */
export function below({ schema, root, pointer }: Place, ...path: readonly string[]): Place | undefined {
  let found: Json | undefined = schema
  for (const name of path) {
    if (Array.isArray(found)) found = found[Number(name)] as Json | undefined
    else found = isJsonObject(found) && Object.hasOwn(found, name) ? found[name] : undefined
  }
  return isSchema(found) ? { schema: found, root, pointer: [pointer, ...path.map(member)].join('/') } : undefined
}

export function list(place: Place, keyword: string): Place[] {
  const schemas = keywordOf(place, keyword)
  return Array.isArray(schemas) ? schemas.flatMap((_, i) => below(place, keyword, String(i)) ?? []) : []
}

export const keywordOf = ({ schema }: Place, keyword: string): Json | undefined =>
  typeof schema !== 'boolean' && Object.hasOwn(schema, keyword) ? schema[keyword] : undefined

export function numberAt(place: Place, keyword: string): number | undefined {
  const value = keywordOf(place, keyword)
  return typeof value === 'number' ? value : undefined
}

export function namesAt(place: Place, keyword: string): string[] {
  const value = keywordOf(place, keyword)
  return Array.isArray(value) ? value.filter((name) => typeof name === 'string') : []
}

export function propertyNames(place: Place): string[] {
  const properties = keywordOf(place, 'properties')
  return isJsonObject(properties) ? Object.keys(properties) : []
}

/** Where a local reference leads; undefined for what leads out of the document or nowhere. */
export function referenced({ root }: Place, reference: Json): Place | undefined {
  if (typeof reference !== 'string' || !/^#(?:\/|$)/.test(reference)) return undefined
  const pointer = decodeURIComponent(reference.slice(1))
  const schema = atPointer(root, pointer)
  return isSchema(schema) ? { schema, root, pointer } : undefined
}

const NOT_JUDGING = new Set([
  ...['$schema', '$id', '$comment', '$defs', 'definitions', 'title', 'description', 'default', 'examples'],
  ...['deprecated', 'readOnly', 'writeOnly', 'contentEncoding', 'contentMediaType', 'contentSchema'],
])

/** Keywords whose meaning the comparison knows. */
const KNOWN = new Set([
  ...['$ref', 'type', 'enum', 'const', 'format', 'pattern', 'minLength', 'maxLength'],
  ...['minimum', 'maximum', 'exclusiveMinimum', 'exclusiveMaximum', 'multipleOf'],
  ...['properties', 'required', 'additionalProperties', 'propertyNames', 'minProperties', 'maxProperties'],
  ...['items', 'minItems', 'maxItems', 'uniqueItems', 'dependentRequired', 'dependentSchemas'],
  ...['allOf', 'anyOf', 'oneOf', 'not', 'if', 'then', 'else'],
])

/** Validation keywords of JSON Schema that the comparison does not look into. */
const UNJUDGED = new Set([
  ...['contains', 'minContains', 'maxContains', 'prefixItems', 'patternProperties', 'additionalItems'],
  ...['unevaluatedItems', 'unevaluatedProperties', 'dependencies', '$dynamicRef', '$recursiveRef', '$anchor'],
  ...['$dynamicAnchor', '$recursiveAnchor'],
])

/** Keywords of a schema that bear on what is valid and that the comparison does not look into. */
export function unjudgedKeywords(place: Place): string[] {
  if (typeof place.schema === 'boolean') return []
  const { schema } = place
  return Object.keys(schema).filter(
    (keyword) =>
      UNJUDGED.has(keyword) || (/^exclusive(?:Min|Max)imum$/.test(keyword) && typeof schema[keyword] !== 'number'),
  )
}

/** A schema without what does not judge, in canonical form: annotations and orders that mean nothing are gone. */
function judgingJson(schema: Schema): Json {
  if (typeof schema === 'boolean') return schema
  const entries = Object.entries(schema).filter(([keyword]) => KNOWN.has(keyword) || UNJUDGED.has(keyword))
  return Object.fromEntries(entries.map(([keyword, value]) => [keyword, judgingValue(keyword, value)]))
}

function judgingValue(keyword: string, value: Json): Json {
  switch (keyword) {
    case 'type':
      return Array.isArray(value) ? value.toSorted() : [value]
    case 'required':
      return Array.isArray(value) ? value.toSorted() : value
    case 'enum':
      return Array.isArray(value) ? value.map((one) => canonicalJson(one)).toSorted() : value
    case 'properties':
    case 'dependentSchemas':
    case 'patternProperties':
      return isJsonObject(value) ? mapped(value) : value
    case 'const':
    case 'dependentRequired':
      return value
    default:
      if (Array.isArray(value)) return value.map((one) => (isSchema(one) ? judgingJson(one) : one))
      return isSchema(value) ? judgingJson(value) : value
  }
}

const mapped = (schemas: JsonObject): JsonObject =>
  Object.fromEntries(Object.entries(schemas).map(([name, one]) => [name, isSchema(one) ? judgingJson(one) : one]))

const prints = new WeakMap<JsonObject, WeakMap<JsonObject, string>>()
const closures = new WeakMap<JsonObject, Map<string, string>>()

/**
 * Short text that is equal for two places when they judge alike by their schemas' text: annotations, and definitions
 * that nobody uses, aside.
 */
export function fingerprint(place: Place): string {
  if (typeof place.schema === 'boolean') return String(place.schema)
  const ofRoot = prints.get(place.root) ?? new WeakMap<JsonObject, string>()
  prints.set(place.root, ofRoot)
  const known = ofRoot.get(place.schema)
  if (known !== undefined) return known
  const text = canonicalJson(judgingJson(place.schema))
  const print = sha256Digest([text, ...referencesIn(text).map((one) => closurePrint(place, one))].join('\n'))
  ofRoot.set(place.schema, print)
  return print
}

const referencesIn = (text: string): string[] =>
  [...text.matchAll(/"\$ref":("(?:[^"\\]|\\.)*")/g)].map(([, quoted = '""']) => JSON.parse(quoted) as string)

/** Digest over everything that a reference reaches in its document. */
function closurePrint(place: Place, reference: string): string {
  const ofRoot = closures.get(place.root) ?? new Map<string, string>()
  closures.set(place.root, ofRoot)
  const known = ofRoot.get(reference)
  if (known !== undefined) return known
  const texts = new Map<string, string>()
  const pending = [reference]
  for (let next = pending.pop(); next !== undefined; next = pending.pop()) {
    if (texts.has(next)) continue
    const target = referenced(place, next)
    const text = target === undefined ? 'elsewhere' : canonicalJson(judgingJson(target.schema))
    texts.set(next, text)
    pending.push(...referencesIn(text))
  }
  const print = sha256Digest(canonicalJson([reference, ...[...texts].toSorted().flat()]))
  ofRoot.set(reference, print)
  return print
}

/** Keywords that do not bear on what is valid, for whoever compares documents. */
export const isAnnotation = (keyword: string): boolean => NOT_JUDGING.has(keyword) || keyword.startsWith('x-')
