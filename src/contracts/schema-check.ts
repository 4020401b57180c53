import type { Violation } from '#kernel/errors.ts'
import { atPointer, type Json, type JsonObject } from '#kernel/json.ts'
import { ANNOTATIONS } from './ajv.ts'
import { FORMAT_CHECKS } from './formats.ts'
import { tagFaults } from './privacy-tag.ts'
import { walkSchema } from './schema-walk.ts'

/**
 * Keywords a schema may use. Left out on purpose: what reaches across resources or is known to be judged wrongly
 * ($dynamicRef, $anchor, $vocabulary, unevaluated*), and what nothing here needs.
 */
const KEYWORDS = new Set<string>([
  ...['$schema', '$id', '$defs', '$ref', '$comment', 'title', 'description', 'default', 'examples', 'deprecated'],
  ...['type', 'enum', 'const', 'format', 'pattern', 'minLength', 'maxLength'],
  ...['minimum', 'maximum', 'exclusiveMinimum', 'exclusiveMaximum', 'multipleOf'],
  ...['properties', 'required', 'additionalProperties', 'propertyNames', 'minProperties', 'maxProperties'],
  ...['items', 'minItems', 'maxItems', 'uniqueItems', 'dependentRequired', 'dependentSchemas', 'contains'],
  ...['allOf', 'anyOf', 'oneOf', 'not', 'if', 'then', 'else'],
  ...ANNOTATIONS,
])

/** Another meta-schema could bring vocabularies of its own, which the compiler does not honour. */
export const DIALECT = 'https://json-schema.org/draft/2020-12/schema'

const STANDARD_FORMATS = ['date', 'date-time', 'time', 'uuid', 'uri', 'email', 'json-pointer']

/** Whether `format` is one that the compiler knows and this house uses. */
const knownFormat = (format: Json): boolean =>
  typeof format === 'string' && (Object.hasOwn(FORMAT_CHECKS, format) || STANDARD_FORMATS.includes(format))

/**
 * What would make the compiler refuse the schema, or reach outside it: found at load without compiling, so that a
 * start with hundreds of contracts stays fast. Pointers lead into the schema.
 */
export function checkSchema(schema: JsonObject): readonly Violation[] {
  const faults: Violation[] = []
  walkSchema(schema, (subschema, at) => {
    const add = (keyword: string, rule: string, zh: string, en: string): void => {
      faults.push({ pointer: `${at}/${keyword}`, rule, message: { zh, en } })
    }
    for (const keyword of Object.keys(subschema)) {
      if (!KEYWORDS.has(keyword)) add(keyword, 'keyword', `不支持关键字 ${keyword}`, `unsupported keyword ${keyword}`)
    }
    for (const fault of tagFaults(subschema)) faults.push({ ...fault, pointer: at + fault.pointer })
    if (at === '' && subschema.$schema !== DIALECT) {
      add('$schema', 'dialect', `$schema 须为 ${DIALECT}`, `$schema must be ${DIALECT}`)
    }
    for (const keyword of ['$schema', '$id']) {
      if (at === '' || subschema[keyword] === undefined) continue
      add(keyword, 'keyword', `${keyword} 只能在最外层`, `${keyword} stands at the root only: one file is one resource`)
    }
    const { $ref, format, pattern } = subschema
    if ($ref !== undefined && !localReference(schema, $ref)) {
      add(
        '$ref',
        'ref',
        '$ref 只能指向本文件内存在的 #/$defs/…',
        '$ref must point to an existing #/$defs/… of this file',
      )
    }
    if (format !== undefined && !knownFormat(format)) add('format', 'format', '未知格式', 'unknown format')
    if (typeof pattern === 'string' && !compiles(pattern)) {
      add('pattern', 'pattern', '不是合法的正则表达式', 'is not a valid regular expression')
    }
  })
  return faults
}

const localReference = (schema: JsonObject, reference: Json): boolean =>
  typeof reference === 'string' &&
  /^#\/\$defs\/[^/]+$/.test(reference) &&
  atPointer(schema, reference.slice(1)) !== undefined

function compiles(pattern: string): boolean {
  try {
    new RegExp(pattern, 'u')
    return true
  } catch {
    return false
  }
}
