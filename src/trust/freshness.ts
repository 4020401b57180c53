import { isoTime } from '#kernel/clock.ts'
import type { HubErrorCode } from '#kernel/error-codes.ts'
import { type HubError, violated } from '#kernel/errors.ts'

/**
 * A refusal for age: it tells the hub's time and how far the token's `claim` is from it, so that its sender can see
 * whether the clock or the queue is to blame. `seconds` is the claim's NumericDate.
 */
export function staleness(
  code: HubErrorCode,
  claim: 'exp' | 'iat' | 'nbf',
  seconds: number,
  nowMs: number,
  reason: { readonly zh: string; readonly en: string },
): HubError {
  const ahead = (seconds * 1000 - nowMs) / 1000
  const offset = ahead > 0 ? `+${ahead}` : `${ahead}`
  return violated(
    code,
    `/${claim}`,
    `freshness.${code.slice('token.'.length)}`,
    `${reason.zh}；枢纽时间 ${isoTime(nowMs)}，${claim} 与之相差 ${offset} 秒`,
    `${reason.en}; the hub's time is ${isoTime(nowMs)}, the ${claim} is ${offset} s off`,
  )
}
