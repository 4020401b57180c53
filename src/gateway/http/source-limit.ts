import type { Clock } from '#kernel/clock.ts'
import { createTokenBuckets } from '#kernel/token-buckets.ts'

export interface SourceLimit {
  /** Takes one from the source's allowance; false when it is used up. */
  take(source: string): boolean
}

/**
 * An allowance per source for what proves no party. Proven parties never pass through it, so a flood of forged tokens
 * does not shut out an honest sender behind the same address.
 */
export function createSourceLimit(clock: Clock, perSecond: number, burst: number): SourceLimit {
  const buckets = createTokenBuckets(clock)
  return { take: (source) => buckets.take(source, { perSecond, burst }) }
}
