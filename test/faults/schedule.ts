import { FAULT_KIND_NAMES, FAULT_KINDS, type Fault, type FaultKindName } from './fault-kinds.ts'
import { type Random, seededRandom } from './random.ts'

/** What happens in one round of a run: a pure function of the seed and the number. */
export interface Schedule {
  readonly seed: number
  readonly number: number
  /** By the moment at which they begin; they overlap. */
  readonly faults: readonly Fault[]
  /** Clients at work side by side, each with a case of its own. */
  readonly lanes: number
  /** From this the clients draw what they send and when. */
  readonly loadSeed: number
}

const FAULTS_AT_MOST = 4
const BEGIN_WITHIN_MS = 1_500

export function planSchedule(seed: number, number: number, without: ReadonlySet<FaultKindName> = new Set()): Schedule {
  // Neighbouring seeds of the generator are unlike each other, so a large odd step keeps rounds and seeds apart.
  const random = seededRandom(Math.imul(seed, 0x9e3779b1) ^ Math.imul(number, 0x85ebca6b))
  const faults = Array.from({ length: random.between(1, FAULTS_AT_MOST + 1) }, () => drawFault(random))
  return {
    seed,
    number,
    faults: faults.filter(({ kind }) => !without.has(kind)).toSorted((a, b) => a.atMs - b.atMs),
    lanes: random.between(5, 11),
    loadSeed: random.between(0, 2 ** 31),
  }
}

function drawFault(random: Random): Fault {
  const kind = random.pick(FAULT_KIND_NAMES)
  const atMs = random.between(0, BEGIN_WITHIN_MS)
  return { kind, atMs, ...FAULT_KINDS[kind].plan(random) }
}

/** One line for a trace or a report. */
export function faultLine(fault: Fault): string {
  const { kind, where, atMs, forMs, ...more } = fault
  const details = Object.keys(more).length === 0 ? '' : ` ${JSON.stringify(more)}`
  return `${kind} ${where} at ${atMs} ms for ${forMs} ms${details}`
}
