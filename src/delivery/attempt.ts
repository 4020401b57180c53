import { retryDelayMs } from '#kernel/backoff.ts'
import { asHubError } from '#kernel/errors.ts'
import type { InboxRow } from '#store/inbox-queries.ts'
import { askWhetherApplied, carryOutDecision, noteLapse } from './confirmation.ts'
import { RETRY_CLASSES, type Verdict } from './retry-classes.ts'
import { type AttemptOptions, baseOf, type Claim, type Decision, type FinishedAttempt, recordOf } from './target.ts'

/**
 * One step of one leased delivery, and what is to be written of it: a request to the peer, or, where the peer may have
 * acted already and would act again, the look-up that comes before it. A lease covers one request, never two. Undefined
 * when the lease is too old to send under it. Never throws for what the peer or a mapping does.
 */
export async function attemptDelivery(
  options: AttemptOptions,
  row: InboxRow,
  claim: Claim,
): Promise<FinishedAttempt | undefined> {
  const { confirm } = options.target
  if (row.decision !== null) return carryOutDecision(row, row.decision, claim)
  if (confirm === undefined) return sendOnce(options, row, claim)
  if (row.state === 'confirming') return askWhetherApplied(options, confirm, row, claim)
  return row.lapsed ? noteLapse(confirm, row, claim) : sendOnce(options, row, claim)
}

async function sendOnce(options: AttemptOptions, row: InboxRow, claim: Claim): Promise<FinishedAttempt | undefined> {
  const { target, breaker, faults } = options
  const startedMs = performance.now()
  let request: Awaited<ReturnType<typeof target.prepare>>
  try {
    request = await target.prepare(row)
  } catch (error) {
    const { code } = asHubError(error)
    const verdict: Verdict = { class: 'dead', code, retryAfterMs: undefined, recipientRef: undefined, unknown: false }
    const record = { class: 'dead', status: undefined, latencyMs: 0, body: undefined, code }
    return { ...baseOf(row, claim), ...dead(options, 'mapping'), attempt: row.attempt + 1, verdict, record }
  }
  await faults?.('host.before-effect')
  // A process that was stopped for longer than its lease must not send: another one may have asked and sent meanwhile.
  const answer = await target.send(request, claim.sendByMs)
  if (answer.kind === 'failure' && answer.reason === 'late') return undefined
  await faults?.('host.after-effect')
  const verdict = target.judge(row.contract, answer)
  const counts = await breaker.record({ orderKey: row.order_key, class: verdict.class, probe: claim.probe })
  const attempt = row.attempt + (counts ? 1 : 0)
  const record = recordOf(verdict, verdict.class, answer, startedMs)
  return { ...baseOf(row, claim), ...decide(options, verdict, attempt, counts), attempt, verdict, record }
}

function decide(options: AttemptOptions, verdict: Verdict, attempt: number, counts: boolean): Decision {
  if (verdict.class === 'ok' || verdict.class === 'duplicate') {
    return { state: 'delivered', nextInMs: 0, blocks: false, stage: 'send' }
  }
  if (verdict.class === 'dead') return dead(options, 'send')
  // What does not count waits for the breaker, not for the schedule.
  const delay = counts ? retryDelayMs(options.scheduleMs, attempt, options.random, verdict.retryAfterMs) : 0
  const { confirm } = options.target
  if (verdict.unknown && confirm !== undefined) {
    // Even after the last attempt: nobody may call it rejected before the peer was asked.
    const nextInMs = Math.max(delay ?? 0, confirm.settleMs)
    return { state: 'confirming', nextInMs, blocks: false, stage: 'confirm' }
  }
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

/** How a finished attempt appears in the acknowledgement; undefined while the delivery is open. */
export function outcomeOf(finished: FinishedAttempt): 'applied' | 'duplicate' | 'rejected' | undefined {
  if (finished.state === 'dead') return 'rejected'
  if (finished.state === 'delivered') return finished.verdict.class === 'duplicate' ? 'duplicate' : 'applied'
  return undefined
}

/** Whether an attempt asks the whole endpoint, not only its key, to wait. */
export const pausesEndpoint = ({ verdict }: FinishedAttempt): boolean =>
  verdict.class === RETRY_CLASSES.throttle.class && verdict.retryAfterMs !== undefined
