import type { ValidateFunction } from 'ajv/dist/2020.js'
import type { Json, JsonObject } from '#kernel/json.ts'
import { createAjv } from '../ajv.ts'
import { explainGap } from './explain.ts'
import { type Gap, gap, type Proof, wholeInstances } from './gaps.ts'
import { gapsOf } from './included.ts'
import { faultOfSchema } from './meta-schema.ts'
import { fingerprint, isMisjudged, keywordOf, type Place } from './place.ts'
import type { Change, Compatibility, CompatibilityMode, Verdict } from './verdict.ts'

export interface CompareOptions {
  /** Undeclared members of open objects may have any value. By default nobody is taken to send what nobody declared. */
  readonly strict?: boolean
}

const MAX_CHANGES = 50

/**
 * Whether a schema (JSON Schema 2020-12) may follow earlier ones, the latest last. Never says `compatible` when an
 * instance valid under the one can be invalid under the other, undeclared members of open objects aside unless
 * `strict`. Bounded in time; never throws for schemas, however odd.
 */
export function compat(
  earlier: readonly JsonObject[] | JsonObject,
  next: JsonObject,
  mode: CompatibilityMode,
  options: CompareOptions = {},
): Compatibility {
  const all = Array.isArray(earlier) ? (earlier as readonly JsonObject[]) : [earlier as JsonObject]
  const compared = mode === 'transitive' ? all : all.slice(-1)
  const changes = compared.flatMap((old, i) => {
    const version = compared.length > 1 ? { version: i } : {}
    return [
      ...(mode === 'forward' ? [] : changesIn('backward', old, next, options)),
      ...(mode === 'backward' ? [] : changesIn('forward', next, old, options)),
    ].map((change) => ({ ...change, ...version }))
  })
  return { verdict: verdictOf(changes), changes: changes.slice(0, MAX_CHANGES) }
}

const verdictOf = (changes: readonly Change[]): Verdict =>
  changes.length === 0
    ? 'compatible'
    : changes.some(({ verdict }) => verdict === 'incompatible')
      ? 'incompatible'
      : 'unproven'

function changesIn(
  direction: Change['direction'],
  narrow: JsonObject,
  wide: JsonObject,
  { strict = false }: CompareOptions,
): Change[] {
  const narrowPlace: Place = { schema: narrow, root: narrow, pointer: '' }
  const widePlace: Place = { schema: wide, root: wide, pointer: '' }
  const proof: Proof = {
    isStrict: strict,
    isInstance: createJudge(),
    shown: new Set(),
    failed: new Map(),
    steps: 0,
    level: 0,
  }
  const all = gapsBetween(proof, narrowPlace, widePlace)
  const named = all.filter(({ rule }) => rule !== 'repeated')
  const found = named.length === 0 ? all : named
  const changes = new Map<string, Change>()
  for (const one of found) {
    const known = changes.get(`${one.pointer} ${one.rule}`)
    if (known?.verdict === 'incompatible' || (known === undefined && changes.size >= MAX_CHANGES)) continue
    const counterexample = counterexampleOf(proof, one, narrowPlace, widePlace)
    changes.set(`${one.pointer} ${one.rule}`, changeOf(direction, one, widePlace, counterexample))
  }
  return [...changes.values()]
}

/** All that is missing; a document too deep for the stack is beyond the bounds like one that is too large. */
function gapsBetween(proof: Proof, narrow: Place, wide: Place): Gap[] {
  try {
    const faults = faultGaps(narrow.root, wide)
    return faults.length > 0 ? faults : gapsOf(proof, [narrow], wide)
  } catch (error) {
    if (!(error instanceof RangeError)) throw error
    return [gap('budget', wide, '', [], () => [])]
  }
}

/** What keeps a document from being compared: nothing can be proved of it then. */
function faultGaps(narrow: JsonObject, wide: Place): Gap[] {
  const [ofNarrow, ofWide] = [faultOfSchema(narrow), faultOfSchema(wide.root)]
  return [
    ...(ofWide === undefined ? [] : [gap(ofWide.rule, wide, ofWide.pointer, [], () => [])]),
    ...(ofNarrow === undefined ? [] : [{ ...gap('other', wide, '', [], () => []), about: ofNarrow.pointer || '/' }]),
  ]
}

function changeOf(direction: Change['direction'], gap: Gap, wide: Place, counterexample: Json | undefined): Change {
  const verdict = counterexample === undefined ? 'unproven' : 'incompatible'
  return {
    pointer: gap.pointer,
    rule: gap.rule,
    direction,
    verdict,
    ...explainGap(gap, wide, direction, verdict),
    ...(counterexample === undefined ? {} : { counterexample }),
    breaks: direction === 'backward' ? 'senders' : 'recipients',
  }
}

function counterexampleOf({ isInstance }: Proof, gap: Gap, narrow: Place, wide: Place): Json | undefined {
  for (const whole of wholeInstances(gap)) {
    const isNarrow = isInstance(whole, narrow)
    if (isNarrow === undefined) return undefined
    if (isNarrow && isInstance(whole, wide) === false) return whole
  }
  return undefined
}

/** The validator itself, each place compiled once; undefined where it cannot compile one. */
function createJudge(): Proof['isInstance'] {
  // Not strict: schemas of others come here too, and what is unknown to JSON Schema is an annotation.
  const ajv = createAjv({ allErrors: false, lenient: true })
  const compiled = new Map<string, ValidateFunction | undefined>()
  return (value, place) => {
    if (typeof place.schema === 'boolean') return place.schema
    const key = fingerprint(place)
    if (!compiled.has(key)) compiled.set(key, compile(ajv, place))
    try {
      return compiled.get(key)?.(value)
    } catch {
      return undefined
    }
  }
}

function compile(ajv: ReturnType<typeof createAjv>, place: Place): ValidateFunction | undefined {
  if (typeof place.schema === 'boolean' || isMisjudged(place.root)) return undefined
  const isRoot = place.schema === place.root
  const defs = isRoot ? {} : defsOf(place)
  if (defs === undefined) return undefined
  const { $schema: _schema, $id: _id, ...body } = { ...place.schema, ...defs }
  try {
    return ajv.compile(body)
  } catch {
    return undefined
  }
}

/** The definitions a part needs to stand alone; undefined when it refers to anything else of its document. */
function defsOf(place: Place): JsonObject | undefined {
  const isElsewhere = [...JSON.stringify(place.root).matchAll(/"\$ref":"([^"]*)"/g)].some(
    ([, reference = '']) => !/^#\/(?:\$defs|definitions)\//.test(reference),
  )
  if (isElsewhere) return undefined
  const root: Place = { ...place, schema: place.root }
  const kept = ['$defs', 'definitions'].flatMap((name) => {
    const defs = keywordOf(root, name)
    return defs === undefined ? [] : [[name, defs] as const]
  })
  return Object.fromEntries(kept)
}
