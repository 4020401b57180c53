import type { Clock } from './clock.ts'

export interface BucketSize {
  readonly perSecond: number
  readonly burst: number
}

export interface TokenBuckets {
  /** Takes `count` from a bucket; false, and nothing is taken, when it holds less than one. It may go below zero. */
  take(name: string, size: BucketSize, count?: number): boolean
  /** Milliseconds until the bucket holds one again; 0 when it does. */
  waitMs(name: string, size: BucketSize): number
}

const MAX_BUCKETS = 10_000

/** Token buckets by name, in memory. The least used are forgotten, which fills them. */
export function createTokenBuckets(clock: Clock): TokenBuckets {
  const buckets = new Map<string, { readonly left: number; readonly at: number }>()
  const level = (name: string, { perSecond, burst }: BucketSize): number => {
    const bucket = buckets.get(name)
    return bucket === undefined ? burst : Math.min(burst, bucket.left + ((clock() - bucket.at) / 1_000) * perSecond)
  }
  return {
    take(name, size, count = 1) {
      const left = level(name, size)
      buckets.delete(name)
      buckets.set(name, { left: left < 1 ? left : left - count, at: clock() })
      if (buckets.size > MAX_BUCKETS) buckets.delete(buckets.keys().next().value ?? '')
      return left >= 1
    },
    waitMs(name, size) {
      const left = level(name, size)
      return left >= 1 ? 0 : ((1 - left) / size.perSecond) * 1_000
    },
  }
}
