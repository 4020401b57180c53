import type { Lane } from './kafka-port.ts'

export interface HoldTimes {
  readonly firstMs: number
  readonly maxMs: number
}

/** Which lanes are held back, and for how long. */
export interface Holds {
  /** Releases the lane after `ms`, or later where it is already held for longer. */
  readonly hold: (lane: Lane, ms: number) => void
  /** Counts a failure; the pause before the next attempt, doubling. */
  readonly failed: (lane: Lane) => number
  readonly succeeded: (lane: Lane) => void
  readonly clear: () => void
}

export function createHolds(times: HoldTimes, release: (lane: Lane) => void): Holds {
  const timers = new Map<string, { readonly timer: NodeJS.Timeout; readonly until: number }>()
  const failures = new Map<string, number>()
  const nameOf = ({ topic, partition }: Lane): string => `${topic}/${partition}`
  return {
    hold({ topic, partition }, ms) {
      const lane = { topic, partition }
      const name = nameOf(lane)
      const until = performance.now() + ms
      const before = timers.get(name)
      if (before !== undefined && before.until >= until) return
      clearTimeout(before?.timer)
      const timer = setTimeout(() => {
        timers.delete(name)
        release(lane)
      }, ms)
      timers.set(name, { timer, until })
    },
    failed(lane) {
      const count = (failures.get(nameOf(lane)) ?? 0) + 1
      failures.set(nameOf(lane), count)
      return Math.min(times.firstMs * 2 ** (count - 1), times.maxMs)
    },
    succeeded(lane) {
      failures.delete(nameOf(lane))
    },
    clear() {
      for (const { timer } of timers.values()) clearTimeout(timer)
      timers.clear()
    },
  }
}
