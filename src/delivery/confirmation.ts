import { retryDelayMs } from '#kernel/backoff.ts'
import { asHubError } from '#kernel/errors.ts'
import type { InboxRow, OperatorDecision } from '#store/inbox-queries.ts'
import { RETRY_CLASSES, type Verdict } from './retry-classes.ts'
import {
  type AttemptOptions,
  baseOf,
  type Claim,
  type Confirmation,
  type Decision,
  type Finding,
  type FinishedAttempt,
  recordOf,
} from './target.ts'

/** What follows from each finding, read by code, documents and tests. */
export const FINDINGS = Object.freeze({
  applied: { record: 'confirm-applied', next: 'delivered', code: undefined },
  absent: { record: 'confirm-absent', next: 'retrying', code: 'peer.unavailable' },
  unclear: { record: 'confirm-unclear', next: 'parked', code: 'peer.outcome_unknown' },
  unreachable: { record: 'confirm-unreachable', next: 'confirming', code: 'peer.outcome_unknown' },
} satisfies Record<Finding['finding'], { record: string; next: FinishedAttempt['state']; code: Verdict['code'] }>)

const PARKED: Decision = { state: 'parked', nextInMs: 0, blocks: true, stage: 'confirm' }

const verdict = (fields: Partial<Verdict>): Verdict => ({
  class: 'retry',
  code: 'peer.outcome_unknown',
  retryAfterMs: undefined,
  recipientRef: undefined,
  unknown: true,
  ...fields,
})

/** Asks the peer whether it has what was sent before. Sends nothing that has an effect. */
export async function askWhetherApplied(
  options: AttemptOptions,
  confirm: Confirmation,
  row: InboxRow,
  claim: Claim,
): Promise<FinishedAttempt> {
  const startedMs = performance.now()
  let request: Awaited<ReturnType<typeof confirm.prepare>>
  try {
    request = await confirm.prepare(row)
  } catch (error) {
    const { code } = asHubError(error)
    const record = { class: FINDINGS.unclear.record, status: undefined, latencyMs: 0, body: undefined, code }
    return { ...baseOf(row, claim), ...PARKED, attempt: row.attempt, verdict: verdict({ code }), record }
  }
  await options.faults?.('host.before-confirm')
  const answer = await options.target.send(request)
  await options.faults?.('host.after-confirm')
  const { finding, verdict: judged } = confirm.judge(answer)
  const found = { finding, verdict: { ...judged, code: FINDINGS[finding].code } }
  const { class: answerClass } = judged
  const counts = await options.breaker.record({ orderKey: row.order_key, class: answerClass, probe: claim.probe })
  const attempt = row.attempt + (found.finding === 'unreachable' && counts ? 1 : 0)
  return {
    ...baseOf(row, claim),
    ...follow(options, found, attempt, counts),
    attempt,
    verdict: found.verdict,
    record: recordOf(found.verdict, FINDINGS[found.finding].record, answer, startedMs),
  }
}

function follow(
  options: AttemptOptions,
  { finding, verdict: of }: Finding,
  attempt: number,
  counts: boolean,
): Decision {
  if (finding === 'applied') return { state: 'delivered', nextInMs: 0, blocks: false, stage: 'send' }
  if (finding === 'unclear') return PARKED
  if (finding === 'absent') {
    // The wait of the schedule lies behind us: it was spent before the question.
    return attempt > options.scheduleMs.length
      ? { state: 'dead', nextInMs: 0, blocks: options.onDead === 'block', stage: 'send' }
      : { state: 'retrying', nextInMs: 0, blocks: false, stage: 'send' }
  }
  const delay = counts ? retryDelayMs(options.scheduleMs, attempt, options.random, of.retryAfterMs) : 0
  return delay === undefined ? PARKED : { state: 'confirming', nextInMs: delay, blocks: false, stage: 'confirm' }
}

/** A former holder of the lease died or was stopped: it may have sent. The peer gets time to finish before it is asked. */
export function noteLapse({ settleMs }: Confirmation, row: InboxRow, claim: Claim): FinishedAttempt {
  return {
    ...baseOf(row, claim),
    state: 'confirming',
    nextInMs: settleMs,
    blocks: false,
    stage: 'confirm',
    attempt: row.attempt,
    verdict: verdict({}),
    record: { class: 'lapsed', status: undefined, latencyMs: 0, body: undefined, code: 'peer.outcome_unknown' },
  }
}

/** An operator has found out what the look-up could not: the delivery ends as they said, signed like any other. */
export function carryOutDecision(row: InboxRow, decision: OperatorDecision, claim: Claim): FinishedAttempt {
  const applied = decision.outcome === 'applied'
  const decided = verdict(
    applied
      ? { class: 'ok', code: RETRY_CLASSES.ok.code, recipientRef: decision.recipientRef, unknown: false }
      : { class: 'dead', unknown: false },
  )
  return {
    ...baseOf(row, claim),
    state: applied ? 'delivered' : 'dead',
    nextInMs: 0,
    blocks: false,
    stage: 'confirm',
    attempt: row.attempt,
    verdict: decided,
    record: {
      class: `decided-${decision.outcome}`,
      status: undefined,
      latencyMs: 0,
      body: undefined,
      code: decided.code,
    },
  }
}
