import type { Violation } from '#kernel/errors.ts'
import { PARTY_ID } from '#kernel/ids.ts'
import { isJsonObject, type Json } from '#kernel/json.ts'

/** What one claim must look like: a format, a closed object, or a list. */
export type Shape = Format | Closed | List

interface Format {
  readonly kind: 'format'
  readonly name: string
  readonly accepts: (value: Json) => boolean
  readonly zh: string
  readonly en: string
}

interface Closed {
  readonly kind: 'closed'
  readonly members: ReadonlyMap<string, Member>
}

interface List {
  readonly kind: 'list'
  readonly item: Shape
  readonly maxItems: number
}

interface Required {
  readonly required: true
  readonly shape: Shape
}

interface Optional {
  readonly required: false
  readonly shape: Shape
}

type Member = Required | Optional

/** A member for every property of T, required exactly where T requires it: table and interface cannot drift apart. */
type MembersOf<T> = { readonly [K in keyof T]-?: object extends Pick<T, K> ? Optional : Required }

export const required = (shape: Shape): Required => ({ required: true, shape })
export const optional = (shape: Shape): Optional => ({ required: false, shape })

export function closed<T>(members: MembersOf<T>): Closed {
  return { kind: 'closed', members: new Map(Object.entries<Member>(members)) }
}

export const listOf = (item: Shape, maxItems: number): List => ({ kind: 'list', item, maxItems })

const format = (name: string, zh: string, en: string, accepts: (value: Json) => boolean): Format => ({
  kind: 'format',
  name,
  zh,
  en,
  accepts,
})

const matching = (name: string, pattern: RegExp, zh: string, en: string): Format =>
  format(name, zh, en, (value) => typeof value === 'string' && pattern.test(value))

/** Text of 1 to `max` characters (code points) without control characters, which have no place in a key or a log. */
export const text = (max: number): Format =>
  matching(
    'text',
    new RegExp(`^[^\\p{Cc}]{1,${max}}$`, 'u'),
    `须为 1 至 ${max} 个字符，不含控制字符`,
    `must be 1 to ${max} characters without control characters`,
  )

/** The wording of a refusal: a reader must never turn one down for how it is phrased. */
export const anyText = format('string', '须为字符串', 'must be a string', (value) => typeof value === 'string')

export const oneOf = (values: readonly string[]): Format =>
  format('one-of', `须为 ${values.join('、')} 之一`, `must be one of ${values.join(', ')}`, (value) =>
    values.includes(value as string),
  )

export const partyId = matching('party-id', PARTY_ID, '须为登记的主体标识', 'must be a party id')

export const jti = matching(
  'jti',
  /^[A-Za-z0-9._~-]{8,64}$/,
  '须为 8 至 64 个 [A-Za-z0-9._~-] 字符',
  'must be 8 to 64 characters of [A-Za-z0-9._~-]',
)

export const contractName = matching(
  'contract',
  /^[a-z][a-z0-9-]{0,62}@[1-9][0-9]{0,3}$/,
  '须为 名称@主版本',
  'must be name@major',
)

/** 9999-12-31: later dates have no ISO form of four digits, so they are mistakes (often milliseconds). */
const LAST_SECOND = 253_402_300_799

export const numericDate = format(
  'numeric-date',
  '须为自 1970 年起的整数秒（不是毫秒）',
  'must be whole seconds since 1970 (not milliseconds)',
  (value) => isCount(value) && value <= LAST_SECOND,
)

export const count = format('count', '须为非负整数', 'must be an integer, 0 or more', (value) => isCount(value))

const isCount = (value: Json): value is number => typeof value === 'number' && Number.isSafeInteger(value) && value >= 0

export const flag = format('boolean', '须为布尔值', 'must be true or false', (value) => typeof value === 'boolean')

export const jsonObject = format('object', '须为 JSON 对象', 'must be a JSON object', isJsonObject)

export const uuid = matching(
  'uuid',
  /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/,
  '须为小写 UUID',
  'must be a lower-case UUID',
)

export const digest = matching(
  'digest',
  /^(?:sha-256|sm3):[A-Za-z0-9_-]{43}$/,
  '须为 sha-256: 或 sm3: 加 base64url 摘要',
  'must be sha-256: or sm3: and a base64url digest',
)

/** A keyed digest (HMAC) of 32 bytes, with or without the name of its algorithm. */
export const keyedDigest = matching(
  'keyed-digest',
  /^(?:[a-z0-9-]{1,32}:)?[A-Za-z0-9_-]{43}$/,
  '须为 base64url 摘要',
  'must be a base64url digest',
)

export const errorCode = matching(
  'error-code',
  /^[a-z]{1,32}\.[a-z_]{1,48}$/,
  '须为错误码',
  'must be an error code such as token.expired',
)

export const httpMethod = oneOf(['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE'])

/** RFC 9449 §4.2: the target without query and fragment. */
export const httpTarget = format(
  'htu',
  '须为不含查询与片段的 http(s) 地址',
  'must be an http(s) URL without query and fragment',
  (value) =>
    typeof value === 'string' && value.length <= 2048 && /^https?:\/\/[^\s?#]+$/.test(value) && URL.canParse(value),
)

export const httpStatus = format(
  'http-status',
  '须为 400 至 599',
  'must be 400 to 599',
  (value) => isCount(value) && value >= 400 && value <= 599,
)

/** GB/T 7408.1 calendar date, or null for a document without an end (长期). */
export const dateOrNull = format(
  'date-or-null',
  '须为 YYYY-MM-DD，长期为 null',
  'must be YYYY-MM-DD, or null when it has no end',
  (value) => value === null || (typeof value === 'string' && isCalendarDate(value)),
)

function isCalendarDate(value: string): boolean {
  if (!/^\d{4}-\d{2}-\d{2}$/.test(value)) return false
  const time = Date.parse(`${value}T00:00:00Z`)
  return !Number.isNaN(time) && new Date(time).toISOString().startsWith(value)
}

/** More faults than this tell the sender nothing new. */
const MAX_VIOLATIONS = 32

/** Appends one violation per fault of `value`, with JSON Pointers below `pointer`. */
export function inspect(shape: Shape, value: Json, pointer: string, faults: Violation[]): void {
  if (faults.length >= MAX_VIOLATIONS) return
  if (shape.kind === 'format') {
    if (!shape.accepts(value)) faults.push(fault(pointer, shape.name, shape.zh, shape.en))
    return
  }
  if (shape.kind === 'closed') {
    inspectClosed(shape, value, pointer, faults)
    return
  }
  if (!Array.isArray(value) || value.length > shape.maxItems) {
    const limit = shape.maxItems
    faults.push(fault(pointer, 'list', `须为不超过 ${limit} 项的数组`, `must be a list of at most ${limit} items`))
    return
  }
  for (const [index, item] of value.entries()) inspect(shape.item, item, `${pointer}/${index}`, faults)
}

function inspectClosed({ members }: Closed, value: Json, pointer: string, faults: Violation[]): void {
  if (!isJsonObject(value)) {
    faults.push(fault(pointer, jsonObject.name, jsonObject.zh, jsonObject.en))
    return
  }
  for (const [name, { required: isRequired, shape }] of members) {
    const member = value[name]
    if (member === undefined) {
      if (isRequired) faults.push(fault(`${pointer}/${name}`, 'required', '缺少必需的声明', 'this claim is required'))
      continue
    }
    // Most claims are what they should be: their pointers are never spelt.
    if (shape.kind === 'format' && shape.accepts(member)) continue
    inspect(shape, member, `${pointer}/${name}`, faults)
  }
  for (const name of Object.keys(value)) {
    if (members.has(name) || faults.length >= MAX_VIOLATIONS) continue
    const at = `${pointer}/${name.slice(0, 64).replaceAll('~', '~0').replaceAll('/', '~1')}`
    faults.push(fault(at, 'unknown', '不允许的声明', 'this claim is not in the closed set'))
  }
}

const fault = (pointer: string, name: string, zh: string, en: string): Violation => ({
  pointer,
  rule: `claims.${name}`,
  message: { zh, en },
})
