import type { HubErrorCode } from '#kernel/error-codes.ts'

/** What a transport brought back: an answer of the peer, or the reason why there is none (its outcome is unknown). */
export type PeerAnswer =
  | {
      readonly kind: 'answer'
      readonly status: number
      readonly retryAfterMs: number | undefined
      readonly body: string
    }
  | {
      readonly kind: 'failure'
      /** `late`: it could not begin in time, and nothing was sent. */
      readonly reason: 'network' | 'timeout' | 'late'
      readonly detail: string
      /** False when no connection was made: then the peer has seen nothing. */
      readonly sent: boolean
    }

export type AttemptClass = 'ok' | 'duplicate' | 'retry' | 'throttle' | 'dead' | 'unauthorized' | 'gone'

/** How an attempt ended, after the connector had its say about bodies and duplicates. */
export interface Verdict {
  readonly class: AttemptClass
  readonly code: HubErrorCode | undefined
  readonly retryAfterMs: number | undefined
  /** The peer's own number for what it took in. */
  readonly recipientRef: string | undefined
  /** Whether the peer may have acted all the same. */
  readonly unknown: boolean
}

interface ClassRow {
  readonly class: AttemptClass
  readonly code: HubErrorCode | undefined
  /** Whether the breaker counts it as a failure of the endpoint. */
  readonly endpointFailed: boolean
  /** Whether it uses up one of the attempts of the schedule. */
  readonly consumesAttempt: boolean
}

/** The retry classes, read by scheduler, breaker, console, documents and tests. */
export const RETRY_CLASSES = Object.freeze({
  ok: { class: 'ok', code: undefined, endpointFailed: false, consumesAttempt: true },
  duplicate: { class: 'duplicate', code: undefined, endpointFailed: false, consumesAttempt: true },
  retry: { class: 'retry', code: 'peer.unavailable', endpointFailed: true, consumesAttempt: true },
  throttle: { class: 'throttle', code: 'peer.throttled', endpointFailed: false, consumesAttempt: true },
  dead: { class: 'dead', code: 'peer.rejected', endpointFailed: false, consumesAttempt: true },
  unauthorized: { class: 'unauthorized', code: 'peer.unauthorized', endpointFailed: true, consumesAttempt: false },
  gone: { class: 'gone', code: 'peer.gone', endpointFailed: true, consumesAttempt: false },
} satisfies Record<AttemptClass, ClassRow>)

/**
 * The class of a status before the connector's rules. What nobody listed: a redirect or an odd 1xx comes from
 * something between the peer and us, so it is retried; any other 4xx says that the message is wrong.
 */
const STATUS_CLASSES: ReadonlyMap<number, AttemptClass> = new Map<number, AttemptClass>([
  [401, 'unauthorized'],
  [403, 'unauthorized'],
  [408, 'retry'],
  [410, 'gone'],
  [425, 'retry'],
  [429, 'throttle'],
])

export function classOfAnswer(answer: PeerAnswer): AttemptClass {
  if (answer.kind === 'failure') return 'retry'
  const { status, retryAfterMs } = answer
  if (status >= 200 && status < 300) return 'ok'
  if (status === 503 && retryAfterMs !== undefined) return 'throttle'
  const listed = STATUS_CLASSES.get(status)
  if (listed !== undefined) return listed
  return status >= 400 && status < 500 ? 'dead' : 'retry'
}

/** Statuses of the class `retry` that say that the request was not acted upon (RFC 9110 §15.5.9, RFC 8470 §5.2). */
const UNTOUCHED: ReadonlySet<number> = new Set([408, 425])

/** Whether the peer may have acted upon a request of this class; a time-out, a cut connection and a 5xx do not tell. */
export function leavesUnknown(attemptClass: AttemptClass, answer: PeerAnswer): boolean {
  if (attemptClass !== 'retry') return false
  return answer.kind === 'failure' ? answer.sent : !UNTOUCHED.has(answer.status)
}

/** The verdict for a class, with the code that tells a time-out from an endpoint that is down. */
export function verdictOf(
  attemptClass: AttemptClass,
  answer: PeerAnswer,
  known: { readonly recipientRef?: string | undefined; readonly unknown?: boolean } = {},
): Verdict {
  const timedOut = answer.kind === 'failure' && answer.reason === 'timeout'
  return {
    class: attemptClass,
    code: attemptClass === 'retry' && timedOut ? 'peer.timeout' : RETRY_CLASSES[attemptClass].code,
    retryAfterMs: answer.kind === 'answer' ? answer.retryAfterMs : undefined,
    recipientRef: known.recipientRef,
    unknown: known.unknown ?? leavesUnknown(attemptClass, answer),
  }
}

/** Retry-After (RFC 9110 §10.2.3): seconds or an HTTP date; undefined when absent or unreadable. */
export function parseRetryAfter(value: string | undefined, nowMs: number): number | undefined {
  if (value === undefined) return undefined
  if (/^\d{1,9}$/.test(value.trim())) return Number(value) * 1_000
  const at = Date.parse(value)
  return Number.isNaN(at) ? undefined : Math.max(0, at - nowMs)
}
