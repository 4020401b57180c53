import type { Json } from '#kernel/json.ts'
import { laidOpen, propertyOf } from './facts.ts'
import type { Place } from './place.ts'
import { samples } from './samples.ts'

/** The way from an instance of the whole schema down to a value inside it. */
export type Step =
  | { readonly kind: 'member'; readonly name: string }
  | { readonly kind: 'item' }
  | { readonly kind: 'name' }

export interface Frame {
  /** What holds of the value that the step goes into. */
  readonly places: readonly Place[]
  readonly step: Step
}

/** One thing that the wider schema asks for and that could not be shown of every instance of the narrower. */
export interface Gap {
  readonly rule: string
  /** JSON Pointer of the keyword, in the schema that asks for it. */
  readonly pointer: string
  readonly frames: readonly Frame[]
  /** Values at the end of the way that may lack it. */
  readonly suspects: () => readonly Json[]
  /** For the explanation: a member or value that it is about. */
  readonly about?: string
}

/** What a proof that every instance of one schema is an instance of the other carries along. */
export interface Proof {
  /** Whether an undeclared member of an open object may have any value, or is taken not to be there. */
  readonly isStrict: boolean
  /** Whether a value is an instance of a place, undefined where the validator cannot tell. */
  readonly isInstance: (value: Json, place: Place) => boolean | undefined
  /** Pairs that are shown, or being shown further up: instances are finite, so a pair may rest on itself below. */
  readonly shown: Set<string>
  /** How often a pair was not shown before. */
  readonly failed: Map<string, number>
  steps: number
  level: number
}

export const MAX_STEPS = 10_000
export const MAX_LEVELS = 150
/** Proves a part deeper inside the values. */
export type Descend = (narrow: readonly Place[], wide: Place, frame: Frame) => Gap[]

export const gap = (
  rule: string,
  wide: Place,
  keyword: string,
  frames: readonly Frame[],
  suspects: () => readonly Json[],
): Gap => ({ rule, pointer: `${wide.pointer}${keyword}`, frames, suspects })

const MAX_WHOLE = 60

/** Instances of the whole narrower schema that hold a suspect; likely ones, to be judged by the schemas themselves. */
export function* wholeInstances({ frames, suspects }: Gap): Generator<Json> {
  let given = 0
  for (const suspect of suspects()) {
    for (let turn = 0; turn < 3; turn++) {
      for (const whole of wrapped(frames, suspect, turn)) {
        yield whole
        if (++given >= MAX_WHOLE) return
      }
      if (frames.length === 0) break
    }
  }
}

function wrapped(frames: readonly Frame[], value: Json, turn: number): Json[] {
  let values: Json[] = [value]
  for (const { places, step } of frames.toReversed()) {
    values = values.slice(0, 4).flatMap((inner) => around(places, step, inner, turn))
  }
  return values
}

function around(places: readonly Place[], step: Step, inner: Json, turn: number): Json[] {
  switch (step.kind) {
    case 'member':
      return samples(places, { type: 'object', members: new Map([[step.name, inner]]) }, turn)
    case 'item':
      return samples(places, { type: 'array', item: inner }, turn)
    case 'name':
      return typeof inner === 'string' ? named(places, inner, turn) : []
  }
}

function named(places: readonly Place[], name: string, turn: number): Json[] {
  const value = samples(propertyOf(laidOpen(places), name).places, {}, turn)[0] ?? true
  return samples(places, { type: 'object', members: new Map([[name, value]]) }, turn)
}
