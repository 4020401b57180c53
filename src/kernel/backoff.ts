/**
 * Delay before attempt `attempt + 1`, with full jitter: uniform in (0, step]. `attempt` counts from 1; past the
 * end of the schedule there is no further attempt (undefined).
 */
export function retryDelayMs(
  scheduleMs: readonly number[],
  attempt: number,
  random: () => number,
  retryAfterMs?: number,
): number | undefined {
  const step = scheduleMs[attempt - 1]
  if (step === undefined) return undefined
  if (retryAfterMs !== undefined) return Math.min(retryAfterMs, RETRY_AFTER_CAP_MS)
  return Math.max(1, Math.ceil(step * random()))
}

/** A peer's Retry-After wins over the schedule, but never for longer than an hour. */
const RETRY_AFTER_CAP_MS = 3_600_000
