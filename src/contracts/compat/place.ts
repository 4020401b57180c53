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

/** Names of the schemas in a keyword that is a map of them. */
export function namesIn(place: Place, keyword: 'properties' | 'dependentSchemas'): string[] {
  const schemas = keywordOf(place, keyword)
  return isJsonObject(schemas) ? Object.keys(schemas) : []
}

export const propertyNames = (place: Place): string[] => namesIn(place, 'properties')

/**
 * Where a local reference leads; undefined for what leads out of the document, to a name in it, or nowhere, and wherever
 * resources are embedded in the document: each has a root of its own.
 */
export function referenced({ root }: Place, reference: Json): Place | undefined {
  if (typeof reference !== 'string' || !/^#(?:\/|$)/.test(reference) || embedsResources(root)) return undefined
  const pointer = percentDecoded(reference.slice(1))
  const schema = pointer === undefined ? undefined : atPointer(root, pointer)
  return pointer !== undefined && isSchema(schema) ? { schema, root, pointer } : undefined
}

function percentDecoded(text: string): string | undefined {
  try {
    return decodeURIComponent(text)
  } catch {
    return undefined
  }
}

/** In JSON text; where it leads depends on the way that led to it. */
const DYNAMIC = /"\$(?:dynamic|recursive)Ref":/

const embedding = new WeakMap<JsonObject, boolean>()

/** Whether an `$id` below the root makes a part of the document a resource with references of its own. */
function embedsResources(root: JsonObject): boolean {
  const known = embedding.get(root)
  if (known !== undefined) return known
  const { $id: _own, ...rest } = root
  const found = /"\$id":"/.test(JSON.stringify(rest))
  embedding.set(root, found)
  return found
}

/** Whether ajv is known to judge something of the document wrongly. */
export function isMisjudged(root: JsonObject): boolean {
  const text = JSON.stringify(root)
  return DYNAMIC.test(text) || (text.includes('"unevaluatedItems":') && text.includes('"contains":'))
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

/** Keywords that bear on what references in a document mean. */
const NAMING = new Set(['$id', '$defs', 'definitions'])
const judges = (keyword: string): boolean => KNOWN.has(keyword) || UNJUDGED.has(keyword)
const judgesOrNames = (keyword: string): boolean => judges(keyword) || NAMING.has(keyword)

/** A schema without what does not judge, in canonical form: annotations and orders that mean nothing are gone. */
function judgingJson(schema: Schema, isKept = judges): Json {
  if (typeof schema === 'boolean') return schema
  const entries = Object.entries(schema).filter(([keyword]) => isKept(keyword))
  return Object.fromEntries(entries.map(([keyword, value]) => [keyword, judgingValue(keyword, value, isKept)]))
}

function judgingValue(keyword: string, value: Json, isKept: typeof judges): Json {
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
    case 'dependencies':
    case '$defs':
    case 'definitions':
      return isJsonObject(value) ? mapped(value, isKept) : value
    case 'const':
    case 'dependentRequired':
      return value
    default:
      if (Array.isArray(value)) return value.map((one) => (isSchema(one) ? judgingJson(one, isKept) : one))
      return isSchema(value) ? judgingJson(value, isKept) : value
  }
}

const mapped = (schemas: JsonObject, isKept: typeof judges): JsonObject =>
  Object.fromEntries(
    Object.entries(schemas).map(([name, one]) => [name, isSchema(one) ? judgingJson(one, isKept) : one]),
  )

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
  const references = referencesIn(text)
  const isLocal = !DYNAMIC.test(text) && references.every((one) => referenced(place, one))
  const where = isLocal ? [] : [documentPrint(place.root), place.pointer]
  const print = sha256Digest([text, ...references.map((one) => closurePrint(place, one)), ...where].join('\n'))
  ofRoot.set(place.schema, print)
  return print
}

const documents = new WeakMap<JsonObject, string>()

/** Equal where everything that a reference could find in two documents is equal. */
function documentPrint(root: JsonObject): string {
  const known = documents.get(root) ?? sha256Digest(canonicalJson(judgingJson(root, judgesOrNames)))
  documents.set(root, known)
  return known
}

/** Of a schema as JSON text. */
export const referencesIn = (text: string): string[] =>
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
    const text = target === undefined ? documentPrint(place.root) : canonicalJson(judgingJson(target.schema))
    texts.set(next, DYNAMIC.test(text) ? text + documentPrint(place.root) : text)
    pending.push(...referencesIn(text))
  }
  const print = sha256Digest(canonicalJson([reference, ...[...texts].toSorted().flat()]))
  ofRoot.set(reference, print)
  return print
}

/** Keywords that do not bear on what is valid, for whoever compares documents. */
export const isAnnotation = (keyword: string): boolean => NOT_JUDGING.has(keyword) || keyword.startsWith('x-')
