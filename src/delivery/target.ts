import type { Completion, InboxRow } from '#store/inbox-queries.ts'
import type { Breaker } from './breaker.ts'
import type { FaultPoints } from './inbox.ts'
import type { PeerAnswer, Verdict } from './retry-classes.ts'

/** One request to the peer. The effect key is among the headers or in the body; the body is sent as it stands. */
export interface PeerRequest {
  readonly method: string
  readonly path: string
  readonly headers: Readonly<Record<string, string>>
  readonly body: string
}

/** What a look-up brought to light about a delivery whose outcome was unknown. */
export interface Finding {
  /** `unclear`: the peer answered, but neither yes nor no. `unreachable`: it did not answer; ask again later. */
  readonly finding: 'applied' | 'absent' | 'unclear' | 'unreachable'
  readonly verdict: Verdict
}

/** The look-up of a peer that does not recognise a repeated message (DESIGN §7). */
export interface Confirmation {
  /** For so long after a request without an answer the peer may still act on it: asking earlier proves nothing. */
  readonly settleMs: number
  /** Throws a HubError when the look-up cannot be mapped. */
  readonly prepare: (row: InboxRow) => Promise<PeerRequest>
  readonly judge: (answer: PeerAnswer) => Finding
}

/** What a connector knows: how to make the request, how to send it, how to read the answer. */
export interface Target {
  /** Throws a HubError when the delivery cannot be mapped: that is for ever. */
  readonly prepare: (row: InboxRow) => Promise<PeerRequest>
  /** What cannot begin by `sendByMs` (on the `performance.now()` clock) is not sent: a failure, `late`. */
  readonly send: (request: PeerRequest, sendByMs?: number) => Promise<PeerAnswer>
  readonly judge: (contract: string, answer: PeerAnswer) => Verdict
  /** Absent where the peer recognises what it has already: there a repetition is harmless. */
  readonly confirm?: Confirmation
}

export interface AttemptOptions {
  readonly target: Target
  readonly breaker: Breaker
  readonly scheduleMs: readonly number[]
  readonly onDead: 'block' | 'continue'
  readonly random: () => number
  readonly faults?: FaultPoints
}

/** One lease of a key, as the scheduler took it. */
export interface Claim {
  readonly lease: string
  readonly probe: boolean
  /** On the `performance.now()` clock: what is sent later could still be under way when the lease lapses. */
  readonly sendByMs: number
}

/** A completion with what the acknowledgement says of it. */
export interface FinishedAttempt extends Completion {
  readonly verdict: Verdict
}

export type Decision = Pick<Completion, 'state' | 'nextInMs' | 'blocks' | 'stage'>

export const baseOf = (row: InboxRow, { lease }: Claim) => ({
  eventId: row.event_id,
  orderKey: row.order_key,
  lease,
  round: row.round,
})

const BODY_KEPT = 512

/** What is kept of an answer for operators: its beginning, long numbers masked, nothing that text columns refuse. */
export const recordOf = (
  { code }: Verdict,
  recordClass: string,
  answer: PeerAnswer,
  startedMs: number,
): Completion['record'] => ({
  class: recordClass,
  status: answer.kind === 'answer' ? answer.status : undefined,
  latencyMs: Math.round(performance.now() - startedMs),
  body: mask(answer.kind === 'answer' ? answer.body : answer.detail),
  code,
})

function mask(text: string): string {
  return text
    .slice(0, BODY_KEPT)
    .toWellFormed()
    .replaceAll('\u0000', '')
    .replace(/[0-9]{6,}[0-9A-Za-z]*/g, '***')
}
