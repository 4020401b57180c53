import type { Clock } from '#kernel/clock.ts'

export interface SourceLimit {
  /** Takes one from the source's allowance; false when it is used up. */
  take(source: string): boolean
}

const MAX_SOURCES = 10_000

/**
 * A token bucket per source for what proves no party. Proven parties never pass through it, so a flood of forged
 * tokens does not shut out an honest sender behind the same address.
 */
export function createSourceLimit(clock: Clock, perSecond: number, burst: number): SourceLimit {
  const buckets = new Map<string, { left: number; at: number }>()
  return {
    take(source) {
      const now = clock()
      const bucket = buckets.get(source) ?? { left: burst, at: now }
      const left = Math.min(burst, bucket.left + ((now - bucket.at) / 1000) * perSecond)
      buckets.delete(source)
      buckets.set(source, { left: left < 1 ? left : left - 1, at: now })
      if (buckets.size > MAX_SOURCES) buckets.delete(buckets.keys().next().value ?? '')
      return left >= 1
    },
  }
}
