import { isJsonObject } from '#kernel/json.ts'
import { declaredOf, dependentOf, highest, lowest, propertyOf, requiredOf, undeclaredOf } from './facts.ts'
import { type Descend, type Frame, type Gap, gap } from './gaps.ts'
import { below, keywordOf, namesAt, namesIn, numberAt, type Place, propertyNames } from './place.ts'
import { samples } from './samples.ts'

/** A name that nobody uses, for a member that nobody declared. */
const UNDECLARED = 'undeclaredMember'

interface ObjectMeans {
  readonly isStrict: boolean
  readonly descend: Descend
  /** Proves a part about the same value. */
  readonly here: (narrow: readonly Place[], wide: Place) => Gap[]
}

export function objectGaps(open: readonly Place[], wide: Place, frames: readonly Frame[], means: ObjectMeans): Gap[] {
  return [
    ...requiredGaps(open, wide, frames),
    ...propertyGaps(open, wide, frames, means),
    ...additionalGaps(open, wide, frames, means.descend),
    ...countGaps(open, wide, frames),
    ...nameGaps(open, wide, means.descend),
    ...dependentGaps(open, wide, frames, means),
  ]
}

const isForbidden = (places: readonly Place[]): boolean => places.some(({ schema }) => schema === false)

function requiredGaps(open: readonly Place[], wide: Place, frames: readonly Frame[]): Gap[] {
  const required = new Set(requiredOf(open))
  return namesAt(wide, 'required').flatMap((name, i) => {
    if (required.has(name)) return []
    const suspects = () => samples(open, { type: 'object', without: name })
    return [{ ...gap('required', wide, `/required/${i}`, frames, suspects), about: name }]
  })
}

function propertyGaps(
  open: readonly Place[],
  wide: Place,
  frames: readonly Frame[],
  { isStrict, descend }: ObjectMeans,
): Gap[] {
  const required = new Set(requiredOf(open))
  return propertyNames(wide).flatMap((name) => {
    const part = below(wide, 'properties', name)
    const { places, declared } = propertyOf(open, name)
    if (part === undefined || isForbidden(places)) return []
    // Nobody said what an undeclared member is, so nobody is taken to send one, unless the caller is strict.
    const isUnknown = !declared && !required.has(name) && places.every(({ schema }) => schema === true)
    if (isUnknown && !isStrict && part.schema !== false) return []
    return descend(places, part, { places: open, step: { kind: 'member', name } }).map((one) =>
      one.frames.length === frames.length + 1 && one.rule === 'false' ? { ...one, about: name } : one,
    )
  })
}

function additionalGaps(open: readonly Place[], wide: Place, frames: readonly Frame[], descend: Descend): Gap[] {
  const additional = below(wide, 'additionalProperties')
  if (additional === undefined || keywordOf(wide, 'patternProperties') !== undefined) return []
  const known = new Set(propertyNames(wide))
  const found: Gap[] = []
  for (const name of declaredOf(open)) {
    const { places } = propertyOf(open, name)
    if (known.has(name) || isForbidden(places)) continue
    const inner = descend(places, additional, { places: open, step: { kind: 'member', name } })
    found.push(
      ...inner.map((one) =>
        one.frames.length === frames.length + 1 && one.rule === 'false' ? closed(one, wide, name) : one,
      ),
    )
  }
  const undeclared = undeclaredOf(open)
  const others = lowest(open, 'maxProperties') <= requiredOf(open).length
  if (isForbidden(undeclared) || others) return found
  const inner = descend(undeclared, additional, { places: open, step: { kind: 'member', name: UNDECLARED } })
  found.push(...inner.map((one) => (one.rule === 'false' ? closed(one, wide, '') : one)))
  return found
}

const closed = (one: Gap, wide: Place, about: string): Gap => ({
  ...one,
  rule: 'additionalProperties',
  pointer: `${wide.pointer}/additionalProperties`,
  about,
})

function countGaps(open: readonly Place[], wide: Place, frames: readonly Frame[]): Gap[] {
  const found: Gap[] = []
  const required = requiredOf(open)
  const fewest = Math.max(highest(open, 'minProperties', 0), required.length)
  const isClosed = isForbidden(undeclaredOf(open))
  const possible = declaredOf(open).filter((name) => !isForbidden(propertyOf(open, name).places))
  const most = Math.min(lowest(open, 'maxProperties'), isClosed ? possible.length : Infinity)
  const least = numberAt(wide, 'minProperties')
  if (least !== undefined && least > fewest) {
    found.push(gap('minProperties', wide, '/minProperties', frames, () => samples(open, { type: 'object' })))
  }
  const limit = numberAt(wide, 'maxProperties')
  if (limit !== undefined && limit < most) {
    const names = [...possible, ...Array.from({ length: Math.min(limit + 1, 64) }, (_, i) => `member${i}`)]
    const members = names.filter((name) => !isClosed || possible.includes(name)).slice(0, limit + 1)
    const suspects = () =>
      samples(open, {
        type: 'object',
        members: new Map(members.map((name) => [name, samples(propertyOf(open, name).places)[0] ?? true])),
      })
    found.push(gap('maxProperties', wide, '/maxProperties', frames, suspects))
  }
  return found
}

function nameGaps(open: readonly Place[], wide: Place, descend: Descend): Gap[] {
  const names = below(wide, 'propertyNames')
  if (names === undefined) return []
  const root = names.root
  const allowed = open.flatMap((place) => below(place, 'propertyNames') ?? [])
  const frame: Frame = { places: open, step: { kind: 'name' } }
  const texts: Place = { schema: { type: 'string' }, root, pointer: names.pointer }
  if (!isForbidden(undeclaredOf(open))) return descend([...allowed, texts], names, frame)
  const declared = declaredOf(open).filter((name) => !isForbidden(propertyOf(open, name).places))
  if (declared.length === 0) return []
  return descend([...allowed, { ...texts, schema: { enum: declared } }], names, frame)
}

function dependentGaps(open: readonly Place[], wide: Place, frames: readonly Frame[], { here }: ObjectMeans): Gap[] {
  const found: Gap[] = []
  const required = new Set(requiredOf(open))
  const dependent = keywordOf(wide, 'dependentRequired')
  for (const name of isJsonObject(dependent) ? Object.keys(dependent) : []) {
    if (isForbidden(propertyOf(open, name).places)) continue
    const given = new Set([...required, ...dependentOf(open, name)])
    for (const wanted of dependentOf([wide], name).filter((one) => !given.has(one) && one !== name)) {
      const present = samples(propertyOf(open, name).places)[0] ?? true
      const suspects = () => samples(open, { type: 'object', members: new Map([[name, present]]), without: wanted })
      found.push({
        ...gap('dependentRequired', wide, '/dependentRequired', frames, suspects),
        about: `${name} → ${wanted}`,
      })
    }
  }
  for (const name of namesIn(wide, 'dependentSchemas')) {
    const part = below(wide, 'dependentSchemas', name)
    if (part === undefined || isForbidden(propertyOf(open, name).places)) continue
    const present: Place = { schema: { type: 'object', required: [name] }, root: part.root, pointer: part.pointer }
    const own = open.flatMap((place) => below(place, 'dependentSchemas', name) ?? [])
    found.push(...here([...open, ...own, present], part))
  }
  return found
}
