import { canonicalJson } from '#kernel/canonical.ts'
import { isJsonObject, type Json } from '#kernel/json.ts'
import {
  below,
  fingerprint,
  isAnnotation,
  keywordOf,
  list,
  namesAt,
  numberAt,
  type Place,
  propertyNames,
  referenced,
} from './place.ts'

export const TYPES = ['null', 'boolean', 'integer', 'number', 'string', 'array', 'object'] as const
export type TypeName = (typeof TYPES)[number]

/**
 * Everything that holds of an instance of all given places: their references and allOf laid open, and the branch of a
 * condition whose outcome is known. What is not understood is left out, so it never claims too much.
 */
export function laidOpen(places: readonly Place[]): Place[] {
  const open: Place[] = []
  const seen = new Set<string>()
  const add = (place: Place): void => {
    const key = `${place.pointer}\n${fingerprint(place)}`
    if (seen.has(key)) return
    seen.add(key)
    open.push(place)
    const reference = keywordOf(place, '$ref')
    const target = reference === undefined ? undefined : referenced(place, reference)
    if (target !== undefined) add(target)
    for (const part of list(place, 'allOf')) add(part)
  }
  for (const place of places) add(place)
  for (const place of [...open]) {
    const branch = knownBranch(place, open)
    if (branch !== undefined) add(branch)
  }
  return open
}

/** The `then` or `else` of a condition that another place states or denies. */
function knownBranch(place: Place, open: readonly Place[]): Place | undefined {
  const condition = below(place, 'if')
  if (condition === undefined) return undefined
  const print = fingerprint(condition)
  if (open.some((other) => fingerprint(other) === print)) return below(place, 'then')
  const denied = open.some((other) => {
    const not = below(other, 'not')
    return not !== undefined && fingerprint(not) === print
  })
  return denied ? below(place, 'else') : undefined
}

/** Types an instance of all places can have; `number` includes `integer`. */
export function typesOf(open: readonly Place[]): Set<TypeName> {
  let types = new Set<TypeName>(TYPES)
  for (const place of open) {
    if (place.schema === false) return new Set()
    const declared = keywordOf(place, 'type')
    if (declared === undefined) continue
    const names = new Set(Array.isArray(declared) ? declared : [declared])
    types = new Set([...types].filter((type) => names.has(type) || (type === 'integer' && names.has('number'))))
  }
  if (types.has('number')) types.add('integer')
  for (const place of open) for (const type of deniedTypes(place)) types.delete(type)
  for (const type of [...types]) if (isContradicted(open, type)) types.delete(type)
  return types
}

/** Types that a `not` of nothing but a type rules out; without integers there are still other numbers. */
function deniedTypes(place: Place): readonly TypeName[] {
  const not = below(place, 'not')
  if (not === undefined) return []
  if (not.schema === true) return TYPES
  if (typeof not.schema === 'boolean' || Object.keys(not.schema).some((name) => name !== 'type' && !isAnnotation(name)))
    return []
  const { type } = not.schema
  const names = new Set(Array.isArray(type) ? type : type === undefined ? TYPES : [type])
  return TYPES.filter((name) => names.has(name) || (name === 'integer' && names.has('number')))
}

function isContradicted(open: readonly Place[], type: TypeName): boolean {
  switch (type) {
    case 'string':
      return highest(open, 'minLength', 0) > lowest(open, 'maxLength')
    case 'array':
      return highest(open, 'minItems', 0) > maxItems(open)
    case 'object':
      return requiredOf(open).some((name) => propertyOf(open, name).places.some(({ schema }) => schema === false))
    case 'integer':
    case 'number': {
      const { low, high } = rangeOf(open, type === 'integer')
      return low.value > high.value || (low.value === high.value && (low.exclusive || high.exclusive))
    }
    default:
      return false
  }
}

export const highest = (open: readonly Place[], keyword: string, least: number): number =>
  open.reduce((most, place) => Math.max(most, numberAt(place, keyword) ?? least), least)

export const lowest = (open: readonly Place[], keyword: string): number =>
  open.reduce((most, place) => Math.min(most, numberAt(place, keyword) ?? Infinity), Infinity)

/** The most items that can stand in the list. */
export function maxItems(open: readonly Place[]): number {
  const isEmpty = open.some(
    (place) => keywordOf(place, 'items') === false && keywordOf(place, 'prefixItems') === undefined,
  )
  return isEmpty ? 0 : lowest(open, 'maxItems')
}

interface Bound {
  readonly value: number
  readonly exclusive: boolean
}

/** The numbers between; for integers both ends are integers and belong to it. */
export function rangeOf(open: readonly Place[], integers: boolean): { readonly low: Bound; readonly high: Bound } {
  let low: Bound = { value: -Infinity, exclusive: false }
  let high: Bound = { value: Infinity, exclusive: false }
  for (const place of open) {
    for (const [keyword, exclusive] of [
      ['minimum', false],
      ['exclusiveMinimum', true],
    ] as const) {
      const value = numberAt(place, keyword)
      if (value !== undefined && (value > low.value || (value === low.value && exclusive))) low = { value, exclusive }
    }
    for (const [keyword, exclusive] of [
      ['maximum', false],
      ['exclusiveMaximum', true],
    ] as const) {
      const value = numberAt(place, keyword)
      if (value !== undefined && (value < high.value || (value === high.value && exclusive)))
        high = { value, exclusive }
    }
  }
  if (!integers) return { low, high }
  const least = low.exclusive ? Math.floor(low.value) + 1 : Math.ceil(low.value)
  const most = high.exclusive ? Math.ceil(high.value) - 1 : Math.floor(high.value)
  return { low: { value: least, exclusive: false }, high: { value: most, exclusive: false } }
}

export const requiredOf = (open: readonly Place[]): string[] => [
  ...new Set(open.flatMap((place) => namesAt(place, 'required'))),
]

export const declaredOf = (open: readonly Place[]): string[] => [...new Set(open.flatMap(propertyNames))]

/** What holds of the property `name`; `declared` where some place names it. */
export function propertyOf(
  open: readonly Place[],
  name: string,
): { readonly places: readonly Place[]; readonly declared: boolean } {
  let declared = false
  const places = open.flatMap((place) => {
    const own = below(place, 'properties', name)
    if (own !== undefined) {
      declared = true
      return [own]
    }
    return additionalOf(place)
  })
  return { places, declared }
}

/** What holds of a property that no place names. */
export const undeclaredOf = (open: readonly Place[]): Place[] => open.flatMap(additionalOf)

function additionalOf(place: Place): Place[] {
  const additional = below(place, 'additionalProperties')
  // What patternProperties catches is not additional, and patterns are not looked into.
  if (additional === undefined || keywordOf(place, 'patternProperties') !== undefined) return []
  return [additional]
}

export const itemsOf = (open: readonly Place[]): Place[] =>
  open.flatMap((place) => (keywordOf(place, 'prefixItems') === undefined ? (below(place, 'items') ?? []) : []))

/** The values that `enum` and `const` leave, undefined where neither stands. */
export function valuesOf(open: readonly Place[]): readonly Json[] | undefined {
  for (const place of open) {
    const constant = keywordOf(place, 'const')
    if (constant !== undefined) return [constant]
  }
  const lists = open.map((place) => keywordOf(place, 'enum')).filter((values) => Array.isArray(values))
  return lists.toSorted((a, b) => a.length - b.length)[0]
}

/** Names that the presence of `name` calls for. */
export function dependentOf(open: readonly Place[], name: string): string[] {
  return open.flatMap((place) => {
    const dependent = keywordOf(place, 'dependentRequired')
    const names = isJsonObject(dependent) && Object.hasOwn(dependent, name) ? dependent[name] : undefined
    return Array.isArray(names) ? names.filter((one) => typeof one === 'string') : []
  })
}

/** Whether no value can be an instance of both; false where that cannot be told. */
export function areDisjoint(left: readonly Place[], right: readonly Place[], depth = 0): boolean {
  const a = laidOpen(left)
  const b = laidOpen(right)
  const both = [...a, ...b]
  const types = typesOf(both)
  if (types.size === 0) return true
  const values = [valuesOf(a), valuesOf(b)].map((some) => some && new Set(some.map((one) => canonicalJson(one))))
  if (values[0] && values[1] && values[0].isDisjointFrom(values[1])) return true
  if (depth > 4 || [...types].some((type) => type !== 'object')) return false
  return requiredOf(both).some((name) => areDisjoint(propertyOf(a, name).places, propertyOf(b, name).places, depth + 1))
}
