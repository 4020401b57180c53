import type { Violation } from '#kernel/errors.ts'
import { atPointer, isJsonObject, type JsonObject } from '#kernel/json.ts'
import { linearPattern } from './linear-pattern.ts'
import { walkSchema } from './schema-walk.ts'

/** Formats whose values have a fixed length. */
const BOUNDED_FORMATS = ['date', 'uuid', 'uscc', 'resident-id', 'division-code']

/** Places under which a subschema describes a value that a person reads about, so that it needs its titles. */
const DESCRIBED = /(?:^|\/)(?:properties\/[^/]+|\$defs\/[^/]+|items|additionalProperties)$/

/** A condition repeats properties only to narrow them: titles and bounds stand where they are defined. */
const NARROWING = /\/(?:if|then|else|not|dependentSchemas|contains|propertyNames|allOf|anyOf|oneOf)(?:\/|$)/

/**
 * The limits that keep validation cheap on hostile input (every string and array bounded, patterns linear, objects
 * closed) and the texts that make a schema readable: titles and descriptions in zh and en.
 */
export function lintBounds(schema: JsonObject): readonly Violation[] {
  const faults: Violation[] = []
  walkSchema(schema, (subschema, pointer) => {
    const add = (rule: string, zh: string, en: string): void => {
      faults.push({ pointer, rule, message: { zh, en } })
    }
    const { type, pattern, $ref } = subschema
    if (typeof pattern === 'string' && !linearPattern(pattern)) {
      add(
        'pattern-linear',
        '正则须以 ^ 开头、$ 结尾且无嵌套量词',
        'patterns must be anchored, without nested quantifiers',
      )
    }
    if (NARROWING.test(pointer)) return
    if (pointer === '' || DESCRIBED.test(pointer)) {
      const texts = [subschema.title, subschema.description, ...EN.map((at) => atPointer(subschema, at))]
      if (texts.some((text) => typeof text !== 'string' || text === '')) {
        add('titles', '缺少中英文标题或说明', 'a title or description in zh or en is missing')
      }
      if (typeof type !== 'string' && $ref === undefined) add('typed', '须有且只有一个 type', 'needs exactly one type')
    }
    if (type === 'string' && !boundedString(subschema)) add('max-length', '字符串须有上限', 'the string has no bound')
    if (type === 'array' && subschema.maxItems === undefined) add('max-items', '数组须有 maxItems', 'needs maxItems')
    if (type === 'array' && !isJsonObject(subschema.items)) add('items', '数组须有 items', 'needs items')
    if (type === 'object' && !boundedObject(subschema)) {
      add(
        'closed',
        '对象须封闭（additionalProperties: false）或有 maxProperties',
        'must be closed or have maxProperties',
      )
    }
  })
  return faults
}

const EN = ['/x-en/title', '/x-en/description']

const boundedString = ({ maxLength, format, ...rest }: JsonObject): boolean =>
  maxLength !== undefined ||
  rest.enum !== undefined ||
  rest.const !== undefined ||
  (typeof format === 'string' && BOUNDED_FORMATS.includes(format))

const boundedObject = (schema: JsonObject): boolean =>
  schema.properties === undefined ? schema.maxProperties !== undefined : schema.additionalProperties === false
