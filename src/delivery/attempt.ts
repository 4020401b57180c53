import { retryDelayMs } from '#kernel/backoff.ts'
import { asHubError } from '#kernel/errors.ts'
import type { Completion, InboxRow } from '#store/inbox-queries.ts'
import type { Breaker } from './breaker.ts'
import type { FaultPoints } from './inbox.ts'
import { type PeerAnswer, RETRY_CLASSES, type Verdict } from './retry-classes.ts'

/** One request to the peer. The effect key is among the headers; the body is sent as it stands. */
export interface PeerRequest {
  readonly method: string
  readonly path: string
  readonly headers: Readonly<Record<string, string>>
  readonly body: string
}

/** What a connector knows: how to make the request, how to send it, how to read the answer. */
export interface Target {
  /** Throws a HubError when the delivery cannot be mapped: that is for ever. */
  readonly prepare: (row: InboxRow) => Promise<PeerRequest>
  readonly send: (request: PeerRequest) => Promise<PeerAnswer>
  readonly judge: (contract: string, answer: PeerAnswer) => Verdict
}

export interface AttemptOptions {
  readonly target: Target
  readonly breaker: Breaker
  readonly scheduleMs: readonly number[]
  readonly onDead: 'block' | 'continue'
  readonly random: () => number
  readonly faults?: FaultPoints
}

/** A completion with what the acknowledgement says of it. */
export interface FinishedAttempt extends Completion {
  readonly verdict: Verdict
}

const BODY_KEPT = 512

/** Tries one leased delivery once and says what is to be written. Never throws for what the peer or a mapping does. */
export async function attemptDelivery(
  options: AttemptOptions,
  row: InboxRow,
  lease: string,
  probe: boolean,
): Promise<FinishedAttempt> {
  const { target, breaker, faults } = options
  const base = { eventId: row.event_id, orderKey: row.order_key, lease, round: row.round }
  const startedMs = performance.now()
  let request: PeerRequest
  try {
    request = await target.prepare(row)
  } catch (error) {
    const { code } = asHubError(error)
    const verdict: Verdict = { class: 'dead', code, retryAfterMs: undefined, recipientRef: undefined }
    const record = { class: 'dead', status: undefined, latencyMs: 0, body: undefined, code }
    return { ...base, ...dead(options, 'mapping'), attempt: row.attempt + 1, verdict, record }
  }
  await faults?.('host.before-effect')
  const answer = await target.send(request)
  await faults?.('host.after-effect')
  const verdict = target.judge(row.contract, answer)
  const counts = await breaker.record({ orderKey: row.order_key, class: verdict.class, probe })
  const attempt = row.attempt + (counts ? 1 : 0)
  const record = {
    class: verdict.class,
    status: answer.kind === 'answer' ? answer.status : undefined,
    latencyMs: Math.round(performance.now() - startedMs),
    body: mask(answer.kind === 'answer' ? answer.body : answer.detail),
    code: verdict.code,
  }
  return { ...base, ...decide(options, verdict, attempt, counts), attempt, verdict, record }
}

type Decision = Pick<Completion, 'state' | 'nextInMs' | 'blocks' | 'stage'>

function decide(options: AttemptOptions, verdict: Verdict, attempt: number, counts: boolean): Decision {
  if (verdict.class === 'ok' || verdict.class === 'duplicate') {
    return { state: 'delivered', nextInMs: 0, blocks: false, stage: 'send' }
  }
  if (verdict.class === 'dead') return dead(options, 'send')
  // What does not count waits for the breaker, not for the schedule.
  if (!counts) return { state: 'retrying', nextInMs: 0, blocks: false, stage: 'send' }
  const delay = retryDelayMs(options.scheduleMs, attempt, options.random, verdict.retryAfterMs)
  return delay === undefined
    ? dead(options, 'send')
    : { state: 'retrying', nextInMs: delay, blocks: false, stage: 'send' }
}

const dead = (options: AttemptOptions, stage: 'mapping' | 'send'): Decision => ({
  state: 'dead',
  nextInMs: 0,
  blocks: options.onDead === 'block',
  stage,
})

/** The beginning of an answer for operators: long numbers masked, and nothing that text columns refuse. */
function mask(text: string): string {
  return text
    .slice(0, BODY_KEPT)
    .toWellFormed()
    .replaceAll('\u0000', '')
    .replace(/[0-9]{6,}[0-9A-Za-z]*/g, '***')
}

/** How a finished attempt appears in the acknowledgement; undefined while it is only retried. */
export function outcomeOf(finished: FinishedAttempt): 'applied' | 'duplicate' | 'rejected' | undefined {
  if (finished.state === 'dead') return 'rejected'
  if (finished.state === 'delivered') return finished.verdict.class === 'duplicate' ? 'duplicate' : 'applied'
  return undefined
}

/** Whether an attempt asks the whole endpoint, not only its key, to wait. */
export const pausesEndpoint = ({ verdict }: FinishedAttempt): boolean =>
  verdict.class === RETRY_CLASSES.throttle.class && verdict.retryAfterMs !== undefined
