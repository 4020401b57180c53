import { atPointer, type Json, type JsonObject } from '#kernel/json.ts'
import type { Bilingual } from './contract.ts'
import { FORMAT_CHECKS } from './formats.ts'
import { subschemaAt } from './schema-walk.ts'

/** The part of ajv's ErrorObject that a sentence needs. */
export interface SchemaFault {
  readonly keyword: string
  readonly instancePath: string
  readonly params: Readonly<Record<string, unknown>>
}

const TYPE_NAMES: Readonly<Record<string, string>> = {
  string: '字符串',
  integer: '整数',
  number: '数值',
  boolean: '布尔值',
  array: '数组',
  object: '对象',
  null: 'null',
}

const FORMAT_FORMS: Readonly<Record<string, Bilingual>> = {
  date: { zh: '应为日期，形如 2026-01-31', en: 'must be a date such as 2026-01-31' },
  'date-time': {
    zh: '应为带时区的时间，形如 2026-01-31T09:00:00+08:00',
    en: 'must be a time with an offset, such as 2026-01-31T09:00:00+08:00',
  },
  uuid: { zh: '应为 UUID', en: 'must be a UUID' },
}

/** The field's name: its titles in the schema, else the last part of its pointer. */
function fieldName(schema: JsonObject, pointer: string): Bilingual {
  const found = subschemaAt(schema, pointer)
  const last = pointer.slice(pointer.lastIndexOf('/') + 1)
  const fallback = pointer === '' ? { zh: '数据', en: 'The data' } : { zh: last, en: last }
  const zh = found?.title
  const en = atPointer(found, '/x-en/title')
  return { zh: typeof zh === 'string' ? zh : fallback.zh, en: typeof en === 'string' ? en : fallback.en }
}

/**
 * What is wrong, in both languages, with the field's name in front. Only the schema's own words and the positions
 * of characters are told, never the value: it may be personal.
 */
export function sentenceFor(
  schema: JsonObject,
  pointer: string,
  fault: SchemaFault,
  value: Json | undefined,
): Bilingual {
  const name = fieldName(schema, pointer)
  const said = fault.keyword === 'format' ? formatSentence(fault, value) : keywordSentence(fault)
  return { zh: `“${name.zh}”${said.zh}`, en: `${name.en} ${said.en}` }
}

function formatSentence(fault: SchemaFault, value: Json | undefined): Bilingual {
  const format = String(fault.params.format)
  const own = typeof value === 'string' ? FORMAT_CHECKS[format]?.(value) : undefined
  if (own !== undefined) return { zh: `：${own.zh}`, en: `is wrong: ${own.en}` }
  return FORMAT_FORMS[format] ?? { zh: `不符合格式 ${format}`, en: `does not have the format ${format}` }
}

function keywordSentence(fault: SchemaFault): Bilingual {
  const sentence = KEYWORDS[fault.keyword]
  if (sentence !== undefined) return sentence(fault.params)
  return { zh: `不符合 ${fault.keyword} 的要求`, en: `does not satisfy ${fault.keyword}` }
}

type Params = SchemaFault['params']
type Sentence = (params: Params) => Bilingual

const listed = (values: unknown): string =>
  Array.isArray(values) ? values.slice(0, 20).map(String).join(', ') + (values.length > 20 ? ', …' : '') : ''

const limited =
  (zhBefore: string, zhAfter: string, enBefore: string, enAfter: string): Sentence =>
  ({ limit }) => ({ zh: `${zhBefore} ${String(limit)} ${zhAfter}`, en: `${enBefore} ${String(limit)} ${enAfter}` })

const compared: Sentence = ({ comparison, limit }) => ({
  zh: `应 ${String(comparison)} ${String(limit)}`,
  en: `must be ${String(comparison)} ${String(limit)}`,
})

const REQUIRED: Sentence = () => ({ zh: '必填，但缺失', en: 'is required and missing' })
const EXTRA: Sentence = () => ({ zh: '不在合同允许的成员之内', en: 'is not a member that the contract allows' })

const KEYWORDS: Readonly<Record<string, Sentence>> = {
  required: REQUIRED,
  dependentRequired: REQUIRED,
  additionalProperties: EXTRA,
  unevaluatedProperties: EXTRA,
  type: ({ type }) => ({
    zh: `应为${TYPE_NAMES[String(type)] ?? String(type)}`,
    en: `must be of type ${String(type)}`,
  }),
  enum: ({ allowedValues }) => ({
    zh: `应为以下之一：${listed(allowedValues)}`,
    en: `must be one of: ${listed(allowedValues)}`,
  }),
  const: ({ allowedValue }) => ({ zh: `应为 ${String(allowedValue)}`, en: `must be ${String(allowedValue)}` }),
  pattern: ({ pattern }) => ({ zh: `应符合 ${String(pattern)}`, en: `must match ${String(pattern)}` }),
  maxLength: limited('最多', '个字符', 'may have', 'characters at most'),
  minLength: limited('至少', '个字符', 'must have', 'characters at least'),
  maxItems: limited('最多', '项', 'may have', 'items at most'),
  minItems: limited('至少', '项', 'must have', 'items at least'),
  maximum: compared,
  minimum: compared,
  exclusiveMaximum: compared,
  exclusiveMinimum: compared,
  multipleOf: ({ multipleOf }) => ({
    zh: `应为 ${String(multipleOf)} 的倍数`,
    en: `must be a multiple of ${String(multipleOf)}`,
  }),
  uniqueItems: () => ({ zh: '不得有重复项', en: 'must not have duplicate items' }),
}
