import { expect, it } from 'vitest'
import { attemptDelivery } from '#delivery/attempt.ts'
import { FINDINGS } from '#delivery/confirmation.ts'
import { verdictOf } from '#delivery/retry-classes.ts'
import type { AttemptOptions, Finding } from '#delivery/target.ts'
import type { InboxRow } from '#store/inbox-queries.ts'

const row: InboxRow = {
  event_id: 'd-1',
  order_key: 'k-1',
  contract: 'approval-result@1',
  token: Buffer.of(0),
  receipt: '',
  state: 'confirming',
  attempt: 1,
  round: 0,
  landed_at: new Date(0),
  decision: null,
  lapsed: false,
}
const request = { method: 'POST', path: '/', headers: {}, body: '' }
const answer = { kind: 'answer', status: 200, retryAfterMs: undefined, body: 'x' } as const
const claim = { lease: 'l', probe: false, sendByMs: Number.POSITIVE_INFINITY }

const optionsWith = (finding: Finding): AttemptOptions => ({
  target: {
    prepare: async () => Promise.reject(new Error('nothing may be sent before the answer')),
    send: async () => answer,
    judge: () => finding.verdict,
    confirm: { settleMs: 1, prepare: async () => request, judge: () => finding },
  },
  breaker: { permission: async () => 'all', takeProbe: async () => true, record: async () => true },
  scheduleMs: [10, 10, 10],
  onDead: 'block',
  random: () => 1,
})

it.each(Object.entries(FINDINGS))('the finding %s leads to the state of the table', async (name, expected) => {
  const finding = name as Finding['finding']
  const verdict = verdictOf(finding === 'unreachable' ? 'retry' : 'ok', answer)
  const finished = await attemptDelivery(optionsWith({ finding, verdict }), row, claim)
  expect(finished).toMatchObject({
    state: expected.next,
    record: { class: expected.record },
    verdict: { code: expected.code },
  })
  expect(finished?.blocks).toBe(expected.next === 'parked')
})
