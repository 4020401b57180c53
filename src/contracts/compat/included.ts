import type { Json } from '#kernel/json.ts'
import { areDisjoint, laidOpen, type TypeName, typesOf, valuesOf } from './facts.ts'
import { type Descend, type Frame, type Gap, gap, MAX_LEVELS, MAX_STEPS, type Proof } from './gaps.ts'
import { objectGaps } from './objects.ts'
import { below, fingerprint, keywordOf, list, type Place, referenced, unjudgedKeywords } from './place.ts'
import { samples } from './samples.ts'
import { arrayGaps, numberGaps, stringGaps } from './scalars.ts'

const MAX_SPLITS = 64
/** A pair that fails again and again is looked into for other examples only so often. */
const MAX_FAILURES = 3

/** Why it cannot be shown that each instance of all `narrow` places is one of `wide`; empty when it is shown. */
export function gapsOf(proof: Proof, narrow: readonly Place[], wide: Place, frames: readonly Frame[] = []): Gap[] {
  if (wide.schema === true) return []
  if (++proof.steps > MAX_STEPS || proof.level > MAX_LEVELS) return [gap('budget', wide, '', frames, () => [])]
  proof.level++
  try {
    return judged(proof, narrow, wide, frames)
  } finally {
    proof.level--
  }
}

function judged(proof: Proof, narrow: readonly Place[], wide: Place, frames: readonly Frame[]): Gap[] {
  const open = laidOpen(narrow)
  const print = fingerprint(wide)
  if (open.some((place) => fingerprint(place) === print)) return []
  const types = typesOf(open)
  if (types.size === 0) return []
  const values = valuesOf(open)
  if (values !== undefined) return valueGaps(proof, narrow, values, wide, frames)
  if (wide.schema === false) return [gap('false', wide, '', frames, () => samples(narrow))]
  const found = keywordGaps(proof, open, types, wide, frames)
  return found.length === 0 ? [] : splitGaps(proof, open, wide, frames, found)
}

/** Finitely many values: each is judged by the validator itself. */
function valueGaps(
  proof: Proof,
  narrow: readonly Place[],
  values: readonly Json[],
  wide: Place,
  frames: readonly Frame[],
): Gap[] {
  const open = laidOpen(narrow)
  const possible = values.filter((value) => narrow.every((place) => proof.isInstance(value, place) !== false))
  const outside = possible.filter((value) => proof.isInstance(value, wide) !== true)
  if (outside.length === 0) return []
  const keyword = ['enum', 'const', 'type'].find((name) => keywordOf(wide, name) !== undefined) ?? ''
  // The keyword that refuses a value tells more than that one was refused.
  const types = typesOf(open)
  const told = keyword === '' ? keywordGaps(proof, open, types, wide, frames) : []
  if (told.length > 0) return told.map((one) => ({ ...one, suspects: () => outside }))
  return [
    { ...gap(keyword || 'value', wide, keyword && `/${keyword}`, frames, () => outside), about: text(outside[0]) },
  ]
}

const text = (value: Json | undefined): string => JSON.stringify(value ?? null).slice(0, 80)

/**
 * Splits what is narrow along the first choice it has, when it cannot be shown as a whole. Gaps that only repeat others
 * say less than those of the whole.
 */
function splitGaps(proof: Proof, open: readonly Place[], wide: Place, frames: readonly Frame[], whole: Gap[]): Gap[] {
  const found = alternatives(open)?.flatMap((part) => gapsOf(proof, part, wide, frames))
  if (found === undefined || (found.length > 0 && found.every(({ rule }) => rule === 'repeated'))) return whole
  return found
}

/** What is narrow as several parts that cover it, by its first anyOf, oneOf or condition; undefined without one. */
function alternatives(open: readonly Place[]): Place[][] | undefined {
  for (const place of open) {
    for (const keyword of ['anyOf', 'oneOf']) {
      const branches = list(place, keyword)
      if (branches.length === 0 || branches.length > MAX_SPLITS) continue
      const rest = withoutKeyword(open, place, keyword)
      return branches.map((branch) => [...rest, branch])
    }
    const condition = below(place, 'if')
    if (condition === undefined) continue
    const rest = withoutKeyword(open, place, 'if')
    const branch = (name: string): Place[] => [below(place, name) ?? []].flat()
    return [
      [...rest, condition, ...branch('then')],
      [...rest, denied(condition), ...branch('else')],
    ]
  }
  return undefined
}

/** What was laid open, without one keyword of one place; references and allOf would bring it back. */
const withoutKeyword = (open: readonly Place[], place: Place, keyword: string): Place[] =>
  open.map((other) => without(other, other === place ? [keyword, '$ref', 'allOf'] : ['$ref', 'allOf']))

function without(place: Place, keywords: readonly string[]): Place {
  if (typeof place.schema === 'boolean') return place
  const entries = Object.entries(place.schema)
  if (!entries.some(([keyword]) => keywords.includes(keyword))) return place
  const gone = [...keywords, ...UNEVALUATED]
  return { ...place, schema: Object.fromEntries(entries.filter(([keyword]) => !gone.includes(keyword))) }
}

/** What they let through is what the keywords beside them have not looked at. */
const UNEVALUATED = ['unevaluatedProperties', 'unevaluatedItems']

const denied = (place: Place): Place => ({ ...place, schema: { not: place.schema } })

function keywordGaps(
  proof: Proof,
  open: readonly Place[],
  types: ReadonlySet<TypeName>,
  wide: Place,
  frames: readonly Frame[],
): Gap[] {
  const found: Gap[] = []
  for (const keyword of unjudgedKeywords(wide))
    found.push(gap('unjudged', wide, `/${keyword}`, frames, () => samples(open)))
  found.push(...typeGaps(open, types, wide, frames))
  if (keywordOf(wide, 'enum') !== undefined) found.push(gap('enum', wide, '/enum', frames, () => samples(open)))
  if (keywordOf(wide, 'const') !== undefined) found.push(gap('const', wide, '/const', frames, () => samples(open)))
  const descend: Descend = (narrow, part, frame) => deeper(proof, narrow, part, [...frames, frame])
  if (types.has('string')) found.push(...stringGaps(open, wide, frames))
  if (types.has('integer') || types.has('number')) found.push(...numberGaps(open, types, wide, frames))
  if (types.has('array')) found.push(...arrayGaps(open, wide, frames, descend))
  if (types.has('object'))
    found.push(
      ...objectGaps(open, wide, frames, {
        isStrict: proof.isStrict,
        descend,
        here: (narrow, part) => gapsOf(proof, narrow, part, frames),
      }),
    )
  found.push(...applicatorGaps(proof, open, types, wide, frames))
  return found
}

/** One level deeper: a pair that is being shown further up counts as shown. */
function deeper(proof: Proof, narrow: readonly Place[], wide: Place, frames: readonly Frame[]): Gap[] {
  const key = [...narrow.map(fingerprint).toSorted(), fingerprint(wide)].join('\n\n')
  if (proof.shown.has(key)) return []
  const failures = proof.failed.get(key) ?? 0
  if (failures >= MAX_FAILURES) return [gap('repeated', wide, '', frames, () => [])]
  proof.shown.add(key)
  const found = gapsOf(proof, narrow, wide, frames)
  if (found.length > 0) {
    proof.shown.delete(key)
    proof.failed.set(key, failures + 1)
  }
  return found
}

function typeGaps(open: readonly Place[], types: ReadonlySet<TypeName>, wide: Place, frames: readonly Frame[]): Gap[] {
  const declared = keywordOf(wide, 'type')
  if (declared === undefined) return []
  const allowed = new Set(Array.isArray(declared) ? declared : [declared])
  const isWhole = keywordWhole(open)
  const refused = [...types].filter(
    (type) =>
      !allowed.has(type) &&
      !(type === 'integer' && allowed.has('number')) &&
      !(type === 'number' && isWhole && allowed.has('integer')),
  )
  return refused.length === 0
    ? []
    : [
        {
          ...gap('type', wide, '/type', frames, () => refused.flatMap((type) => fractionsFirst(open, type))),
          about: refused.join(', '),
        },
      ]
}

const fractionsFirst = (open: readonly Place[], type: TypeName): Json[] =>
  samples(open, { type }).toSorted((a, b) => Number(Number.isInteger(a)) - Number(Number.isInteger(b)))

const keywordWhole = (open: readonly Place[]): boolean =>
  open.some((place) => {
    const step = keywordOf(place, 'multipleOf')
    return typeof step === 'number' && Number.isInteger(step)
  })

function applicatorGaps(
  proof: Proof,
  open: readonly Place[],
  types: ReadonlySet<TypeName>,
  wide: Place,
  frames: readonly Frame[],
): Gap[] {
  const found: Gap[] = []
  const reference = keywordOf(wide, '$ref')
  if (reference !== undefined) {
    const target = referenced(wide, reference)
    if (target === undefined) found.push(gap('unjudged', wide, '/$ref', frames, () => samples(open)))
    else found.push(...gapsOf(proof, open, target, frames))
  }
  for (const part of list(wide, 'allOf')) found.push(...gapsOf(proof, open, part, frames))
  for (const keyword of ['anyOf', 'oneOf'] as const) {
    if (keywordOf(wide, keyword) !== undefined) found.push(...choiceGaps(proof, open, types, wide, keyword, frames))
  }
  const not = below(wide, 'not')
  if (not !== undefined && !isDenied(open, not)) found.push(gap('not', wide, '/not', frames, () => samples(open)))
  found.push(...conditionGaps(proof, open, wide, frames))
  return found
}

const isDenied = (open: readonly Place[], not: Place): boolean =>
  areDisjoint(open, [not]) ||
  open.some((place) => {
    const own = below(place, 'not')
    return own !== undefined && (fingerprint(own) === fingerprint(not) || isNarrower(own, not))
  })

/** What is not `own` is not `not` either when each instance of `not` is one of `own`: only equal texts are told here. */
const isNarrower = (own: Place, not: Place): boolean => own.schema === true || not.schema === false

function conditionGaps(proof: Proof, open: readonly Place[], wide: Place, frames: readonly Frame[]): Gap[] {
  const condition = below(wide, 'if')
  if (condition === undefined) return []
  const [then, otherwise] = [below(wide, 'then'), below(wide, 'else')]
  return [
    ...(then === undefined ? [] : gapsOf(proof, [...open, condition], then, frames)),
    ...(otherwise === undefined ? [] : gapsOf(proof, [...open, denied(condition)], otherwise, frames)),
  ]
}

/** anyOf: some branch holds them all; oneOf: and no other branch holds any. Else type by type. */
function choiceGaps(
  proof: Proof,
  open: readonly Place[],
  types: ReadonlySet<TypeName>,
  wide: Place,
  keyword: 'anyOf' | 'oneOf',
  frames: readonly Frame[],
): Gap[] {
  const branches = list(wide, keyword)
  if (open.some((place) => isSameChoice(list(place, keyword), branches, keyword))) return []
  for (const branch of branches) {
    if (!attempt(proof, open, branch, frames)) continue
    const others = branches.filter((other) => other !== branch)
    if (keyword === 'anyOf' || others.every((other) => areDisjoint(open, [other]))) return []
  }
  if (types.size > 1 && !(types.size === 2 && types.has('number'))) {
    const perType = [...types].filter((type) => type !== 'integer' || !types.has('number'))
    const parts = perType.map((type) => [...open, ofType(type, wide)])
    if (parts.every((part) => choiceGaps(proof, part, typesOf(laidOpen(part)), wide, keyword, frames).length === 0))
      return []
  }
  return [gap(keyword, wide, `/${keyword}`, frames, () => samples(open))]
}

/** Whether the narrow choice has no branch that the wide one lacks; of oneOf it must be the same choice. */
function isSameChoice(own: readonly Place[], branches: readonly Place[], keyword: 'anyOf' | 'oneOf'): boolean {
  if (own.length === 0 || (keyword === 'oneOf' && own.length !== branches.length)) return false
  const prints = new Set(branches.map(fingerprint))
  return prints.size === branches.length && own.every((branch) => prints.has(fingerprint(branch)))
}

const ofType = (type: TypeName, { root, pointer }: Place): Place => ({ schema: { type }, root, pointer })

/** Whether it can be shown; what rested on assumptions of an attempt that failed is forgotten. */
function attempt(proof: Proof, narrow: readonly Place[], wide: Place, frames: readonly Frame[]): boolean {
  const before = new Set(proof.shown)
  if (gapsOf(proof, narrow, wide, frames).length === 0) return true
  for (const key of proof.shown) if (!before.has(key)) proof.shown.delete(key)
  return false
}
