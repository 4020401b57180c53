import { describe, expect, test } from 'vitest'
import { check, NONE, type Violations } from './check.ts'
import type { Answer, ExchangeStatus, History, PeerEffect, Push, SentMessage } from './history.ts'

const UTILITY = 'state-grid-east'

const message = (n: number, orderKey = 'case-1'): SentMessage => ({
  id: `platform jti-${n}`,
  content: `content-${n}`,
  orderKey,
  recipient: UTILITY,
})

const answer = (n: number, changes: Partial<Answer> = {}): Answer => ({
  status: 202,
  receipt: `receipt-${n}`,
  exchange: `exchange-${n}`,
  verified: true,
  ...changes,
})

const push = (n: number, changes: Partial<Push> = {}): Push => ({
  message: `platform jti-${n}`,
  begun: 10 * n,
  ended: 10 * n + 1,
  answer: answer(n),
  ...changes,
})

const effect = (n: number, changes: Partial<PeerEffect> = {}): PeerEffect => ({
  peer: UTILITY,
  effectKey: `delivery-${n}`,
  content: `content-${n}`,
  ...changes,
})

const status = (n: number, changes: Partial<ExchangeStatus> = {}): ExchangeStatus => ({
  exchange: `exchange-${n}`,
  message: `platform jti-${n}`,
  pos: n,
  receipt: `receipt-${n}`,
  deliveries: [{ id: `delivery-${n}`, recipient: UTILITY, state: 'acknowledged' }],
  ...changes,
})

/** Two messages of one key, a crash between the first answer to the second and its retry; all went well. */
const GOOD: History = {
  messages: [message(1), message(2)],
  pushes: [
    push(1),
    push(2, { answer: undefined }),
    push(2, { begun: 30, ended: 31, answer: answer(2, { status: 200 }) }),
  ],
  effects: [effect(1), effect(2)],
  statuses: [status(1), status(2)],
}

const open = (n: number, state: string): ExchangeStatus =>
  status(n, { deliveries: [{ id: `delivery-${n}`, recipient: UTILITY, state }] })

const BROKEN: readonly (readonly [string, keyof Violations, Partial<History>])[] = [
  ['an exchange that the hub forgot', 'lost', { statuses: [status(1)], effects: [effect(1)] }],
  [
    'an exchange without a delivery',
    'lost',
    { statuses: [status(1), status(2, { deliveries: [] })], effects: [effect(1)] },
  ],
  ['an acknowledged delivery without an effect', 'lost', { effects: [effect(1)] }],
  ['an effect key used twice', 'doubled', { effects: [effect(1), effect(2), effect(2, { content: 'content-3' })] }],
  [
    'one content under two effect keys',
    'doubled',
    { effects: [effect(1), effect(2), effect(3, { content: 'content-2' })] },
  ],
  ['an effect of no delivery', 'phantom', { effects: [effect(1), effect(2), effect(3)] }],
  ['an effect at another utility', 'phantom', { effects: [effect(1), effect(2, { peer: 'inner-mongolia-power' })] }],
  ['an effect with another content', 'corrupt', { effects: [effect(1), effect(2, { content: 'content-9' })] }],
  ['effects of one key against the log', 'reordered', { effects: [effect(2), effect(1)] }],
  ['a log against the order of the sender', 'reordered', { statuses: [status(1, { pos: 2 }), status(2, { pos: 1 })] }],
  [
    'a retry that got another receipt',
    'receipt',
    { pushes: [...GOOD.pushes, push(2, { answer: answer(9, { status: 200 }) })] },
  ],
  ['a retry that was accepted anew', 'receipt', { pushes: [...GOOD.pushes, push(1, { begun: 40, ended: 41 })] }],
  ['a stored receipt that nobody was given', 'receipt', { statuses: [status(1), status(2, { receipt: 'receipt-8' })] }],
  [
    'a receipt that does not verify',
    'receipt',
    { pushes: [push(1, { answer: answer(1, { verified: false }) }), push(2)] },
  ],
  ['a position given twice', 'receipt', { statuses: [status(1), status(2, { pos: 1 })] }],
  ['a message that was never answered', 'stuck', { pushes: [push(1), push(2, { answer: undefined })] }],
  ['a delivery that never ended', 'stuck', { statuses: [status(1), open(2, 'published')] }],
  ['a delivery that ended dead', 'stuck', { statuses: [status(1), open(2, 'dead')] }],
]

describe('the outside checker', () => {
  test('a history that kept every promise has no violation', () => {
    expect(check(GOOD)).toEqual(NONE)
  })

  test.each(BROKEN)('%s is called %s', (_what, kind, changes) => {
    expect(check({ ...GOOD, ...changes })[kind]).not.toEqual([])
  })

  test('messages of different keys may take effect in any order', () => {
    const messages = [message(1), message(2, 'case-2')]
    expect(check({ ...GOOD, messages, effects: [effect(2), effect(1)] })).toEqual(NONE)
  })

  test('an effect of a message without an answer is stuck, not a phantom: the sender cannot know', () => {
    const unanswered = { ...GOOD, pushes: [push(1), push(2, { answer: undefined })], statuses: [status(1)] }
    expect(check(unanswered)).toEqual({ ...NONE, stuck: ['platform jti-2: never answered'] })
  })
})
