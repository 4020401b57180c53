import type { Json } from '#kernel/json.ts'
import {
  dependentOf,
  highest,
  itemsOf,
  laidOpen,
  lowest,
  maxItems,
  propertyOf,
  rangeOf,
  requiredOf,
  type TypeName,
  typesOf,
  undeclaredOf,
  valuesOf,
} from './facts.ts'
import { findText } from './pattern-language.ts'
import { keywordOf, list, type Place } from './place.ts'

/** What a sample is to be like, beside what its places ask for. */
export interface Wish {
  readonly type?: TypeName
  /** Members that it has, and their values. */
  readonly members?: ReadonlyMap<string, Json>
  /** A member that it lacks. */
  readonly without?: string
  /** How many items, and the first of them. */
  readonly length?: number
  readonly item?: Json
}

/** Values of the formats that are known, right by their check characters; persons and companies are synthetic. */
const FORMAT_SAMPLES: Readonly<Record<string, readonly string[]>> = {
  date: ['2026-01-31', '2026-02-01'],
  'date-time': ['2026-01-31T09:00:00+08:00', '2026-02-01T09:00:00Z'],
  time: ['09:00:00Z', '10:00:00Z'],
  uuid: ['018f3c1e-7b1a-7c3d-8e4f-0123456789ab', '018f3c1e-7b1a-7c3d-8e4f-0123456789ac'],
  uri: ['https://example.invalid/a', 'https://example.invalid/b'],
  email: ['a@example.invalid', 'b@example.invalid'],
  'json-pointer': ['/a', '/b'],
  uscc: ['91150102MADEM0011F', '91150402MADEM002XN'],
  'resident-id': ['150102199001010019', '150402198512310023'],
  'division-code': ['150100', '150400'],
  'item-code': ['1115040001150T026H3000117021000', '3000117021000'],
  'property-unit': ['150102001002GB00123F00010203', '150602001001GB00007W00000000'],
  'property-certificate': ['蒙（2021）呼和浩特市不动产权第0001234号', '蒙（2021）呼和浩特市不动产权第0001235号'],
  'file-digest': [
    'sha-256:47DEQpj8HBSa-_TImW-5JCeuQeRkm5NMpJWZG3hSuFU',
    'sm3:GrIdg1XPoX-OYRlIMeganMnTmh4NOfB0BcA6dWQq_ys',
  ],
  'certificate-identifier': ['1.2.156.3005.2.11100000MB0143028R001.1115010001150T0187.20260000000000000001.001.S'],
}

const MAX_DEPTH = 8
const MAX_SAMPLES = 6

/**
 * Some values that are likely instances of all places. Likely is enough: whoever uses them judges them with the whole
 * schema. `turn` chooses other branches and other values.
 */
export function samples(places: readonly Place[], wish: Wish = {}, turn = 0, depth = 0): Json[] {
  if (depth > MAX_DEPTH) return []
  const open = withBranches(laidOpen(places), turn)
  const values = valuesOf(open)
  if (values !== undefined && wish.type === undefined) return values.slice(0, MAX_SAMPLES)
  const types = [...typesOf(open)].filter((type) => wish.type === undefined || type === wish.type)
  const each = Math.max(2, Math.ceil(MAX_SAMPLES / Math.max(1, types.length)))
  return types.flatMap((type) => ofType(open, type, wish, turn, depth).slice(0, each))
}

/** One branch of each anyOf and oneOf, and `then` where there is one, taken along. */
function withBranches(open: readonly Place[], turn: number): Place[] {
  const chosen = open.flatMap((place) =>
    ['anyOf', 'oneOf'].flatMap((keyword) => {
      const branches = list(place, keyword)
      return branches[turn % Math.max(1, branches.length)] ?? []
    }),
  )
  return chosen.length === 0 ? [...open] : laidOpen([...open, ...chosen])
}

function ofType(open: readonly Place[], type: TypeName, wish: Wish, turn: number, depth: number): Json[] {
  switch (type) {
    case 'null':
      return [null]
    case 'boolean':
      return [true, false]
    case 'integer':
    case 'number':
      return numbers(open, type)
    case 'string':
      return texts(open)
    case 'array':
      return arrays(open, wish, turn, depth)
    case 'object':
      return objects(open, wish, turn, depth)
  }
}

function numbers(open: readonly Place[], type: 'integer' | 'number'): number[] {
  const { low, high } = rangeOf(open, type === 'integer')
  const step = highest(open, 'multipleOf', 0) || (type === 'integer' ? 1 : 0.5)
  const from = Number.isFinite(low.value) ? low.value : Number.isFinite(high.value) ? high.value - 10 * step : 0
  const first = Math.ceil(from / step) * step
  const upper = Number.isFinite(high.value) ? Math.floor(high.value / step) * step : first + 1e6 * step
  const found = [first, first + step, upper, upper - step, first + step / 2, 0, 1, -1, 0.5, 1e15]
  if (type === 'number') found.unshift(first + step / 2)
  return [...new Set(found)].filter(
    (value) =>
      (type === 'number' || Number.isInteger(value)) &&
      (low.exclusive ? value > low.value : value >= low.value) &&
      (high.exclusive ? value < high.value : value <= high.value),
  )
}

function texts(open: readonly Place[]): string[] {
  const minLength = highest(open, 'minLength', 0)
  const maxLength = lowest(open, 'maxLength')
  const formats = textKeywords(open, 'format')
  const known = formats.flatMap((format) =>
    Object.hasOwn(FORMAT_SAMPLES, format) ? (FORMAT_SAMPLES[format] ?? []) : [],
  )
  const matching = textKeywords(open, 'pattern')
  const short = findText({ matching, minLength, maxLength })
  const long =
    Number.isFinite(maxLength) && maxLength <= 300 ? findText({ matching, minLength: maxLength, maxLength }) : short
  const made = [short, long].flatMap((one) => (one.kind === 'text' ? [one.text] : []))
  return [...new Set([...known, ...made])]
}

export const textKeywords = (open: readonly Place[], keyword: 'pattern' | 'format'): string[] => [
  ...new Set(open.map((place) => keywordOf(place, keyword)).filter((value) => typeof value === 'string')),
]

function arrays(open: readonly Place[], { length, item }: Wish, turn: number, depth: number): Json[] {
  const least = highest(open, 'minItems', 0)
  const count = length ?? Math.max(least, item === undefined ? 0 : 1)
  if (count > Math.max(64, least) || (length === undefined && count > maxItems(open))) return []
  const some = samples(itemsOf(open), {}, turn, depth + 1)
  if (count > 0 && some.length === 0 && item === undefined) return []
  const isUnique = open.some((place) => keywordOf(place, 'uniqueItems') === true)
  const filled = Array.from({ length: count }, (_, i) =>
    i === 0 && item !== undefined ? item : some[length === undefined ? i % some.length : 0],
  )
  if (isUnique && new Set(filled.map((one) => JSON.stringify(one))).size < filled.length) {
    return [distinct(filled, count) as Json]
  }
  const list = filled.map((one) => one ?? null)
  // Without a wish an empty list is one sample and a list with an item another.
  return length === undefined && item === undefined && count === 0 && some[0] !== undefined && maxItems(open) > 0
    ? [list, [some[0]]]
    : [list]
}

const distinct = (values: readonly (Json | undefined)[], count: number): Json[] =>
  Array.from({ length: count }, (_, i) => {
    const value = values[i] ?? null
    return typeof value === 'number' ? value + i : typeof value === 'string' ? `${value}${i}` : value
  })

function objects(open: readonly Place[], { members, without }: Wish, turn: number, depth: number): Json[] {
  const made: Record<string, Json> = {}
  const wanted = [...requiredOf(open), ...(members?.keys() ?? [])]
  for (let i = 0; i < wanted.length && i < 200; i++) {
    const name = wanted[i] ?? ''
    if (name === without || Object.hasOwn(made, name)) continue
    const value = members?.get(name) ?? sampleOf(open, name, turn, depth)
    if (value === undefined) return []
    define(made, name, value)
    wanted.push(...dependentOf(open, name))
  }
  const least = highest(open, 'minProperties', 0)
  for (let i = 0; Object.keys(made).length < least && i < 64; i++) {
    const value = samples(undeclaredOf(open), {}, turn, depth + 1)[0]
    if (value !== undefined) define(made, `member${i}`, value)
  }
  return [made]
}

const sampleOf = (open: readonly Place[], name: string, turn: number, depth: number): Json | undefined => {
  const found = samples(propertyOf(open, name).places, {}, turn, depth + 1)
  return found[turn % Math.max(1, found.length)]
}

/** `__proto__` is a member like any other here. */
function define(into: Record<string, Json>, name: string, value: Json): void {
  Object.defineProperty(into, name, { value, enumerable: true, writable: true, configurable: true })
}
