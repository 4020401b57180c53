import type { Counter } from './cap-counters.ts'

/** A hundredth of a cap at most stands in the reserve of one process, and never more than so many uses. */
const PART_OF_CAP = 100
const MOST_AHEAD = 64
/** Counters with a reserve; the names of operators are their senders' own. */
const MOST_COUNTERS = 10_000

/** What a batch needs of the store. Afterwards one of the two is called, or neither where nobody knows what it did. */
export interface Covered {
  /** Counters to raise, with what they get in reserve. */
  readonly counted: readonly Counter[]
  /** The store raised them. */
  keep(): void
  /** It raised none. Answers what it is to take back, so that it holds every use of these caps that is still to be had. */
  undo(): Counter[]
}

/**
 * Uses of caps that this process had counted before it needed them: then most accesses write to no counter, and gateways
 * do not wait for each other at the one of a busy party. What is in reserve counts as used, so no cap is ever passed; a
 * process that is killed leaves at most a hundredth of each cap unused that day. Caps below a hundred, and guesses, have no
 * reserve.
 */
export interface CapReserve {
  /** Whether this counter can be raised without the store. */
  suffices(counter: Counter): boolean
  cover(counters: readonly Counter[]): Covered
  /** Everything in reserve, for the store to take back. */
  drain(): Counter[]
}

interface Reserved {
  readonly counter: Counter
  left: number
}

/** What becomes of one counter of a batch. */
interface Part {
  readonly counter: Counter
  /** Uses that the batch has from the reserve. */
  readonly own: number
  /** Uses that the store is to count for the reserve. */
  readonly ahead: number
  readonly isRaised: boolean
}

export function createCapReserve(): CapReserve {
  const reserves = new Map<string, Reserved>()

  function add(counter: Counter, more: number): void {
    const left = (reserves.get(counter.key)?.left ?? 0) + more
    reserves.set(counter.key, { counter, left })
    const [oldest] = reserves.keys()
    if (reserves.size > MOST_COUNTERS && oldest !== undefined) reserves.delete(oldest)
  }
  function takeOut({ key }: Counter): number {
    const left = reserves.get(key)?.left ?? 0
    reserves.delete(key)
    return left
  }

  /** What stands in reserve was within the cap of its time: within a lower one it may not be. */
  function sufficient(counter: Counter): Reserved | undefined {
    const reserved = reserves.get(counter.key)
    return reserved?.counter.cap === counter.cap && reserved.left >= counter.more ? reserved : undefined
  }
  function cover(counter: Counter): Part {
    const reserved = sufficient(counter)
    if (reserved === undefined) return { counter, own: takeOut(counter), ahead: aheadOf(counter), isRaised: true }
    reserved.left -= counter.more
    return { counter, own: counter.more, ahead: 0, isRaised: false }
  }

  return {
    suffices: (counter) => sufficient(counter) !== undefined,
    cover(counters) {
      const parts = counters.map(cover)
      const raised = parts.filter(({ isRaised }) => isRaised)
      return {
        counted: raised.map(({ counter, own, ahead }) => ({ ...counter, more: counter.more - own + ahead })),
        keep() {
          for (const { counter, ahead } of raised) if (ahead > 0) add(counter, ahead)
        },
        undo: () =>
          parts.map(({ counter, own }) => lowered(counter, own + takeOut(counter))).filter(({ more }) => more !== 0),
      }
    },
    drain() {
      const back = [...reserves.values()].map(({ counter, left }) => lowered(counter, left))
      reserves.clear()
      return back
    },
  }
}

const aheadOf = ({ scope, cap }: Counter): number =>
  scope === 'guesses' ? 0 : Math.min(MOST_AHEAD, Math.floor(cap / PART_OF_CAP))

const lowered = (counter: Counter, by: number): Counter => ({ ...counter, more: -by })
