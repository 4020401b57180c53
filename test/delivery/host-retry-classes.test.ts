import { expect, it } from 'vitest'
import { classOfAnswer, leavesUnknown, parseRetryAfter, RETRY_CLASSES, verdictOf } from '#delivery/retry-classes.ts'

const answer = (status: number, retryAfterMs?: number) => ({ kind: 'answer', status, retryAfterMs, body: '' }) as const

it.each([
  ['ok', [200, 201, 202, 204]],
  ['retry', [408, 425, 500, 502, 503, 504, 302, 307]],
  ['throttle', [429]],
  ['dead', [400, 404, 405, 409, 413, 415, 422]],
  ['unauthorized', [401, 403]],
  ['gone', [410]],
] as const)('a status of the class %s is read as such', (expected, statuses) => {
  for (const status of statuses) expect([status, classOfAnswer(answer(status))]).toEqual([status, expected])
})

it('503 with Retry-After is throttling, without it an outage', () => {
  expect(classOfAnswer(answer(503, 1_000))).toBe('throttle')
  expect(classOfAnswer(answer(503))).toBe('retry')
})

it('no answer is retried, and a time-out is told from a broken connection', () => {
  const timeout = { kind: 'failure', reason: 'timeout', detail: '', sent: true } as const
  const network = { kind: 'failure', reason: 'network', detail: 'ECONNRESET', sent: true } as const
  expect(verdictOf(classOfAnswer(timeout), timeout)).toMatchObject({ class: 'retry', code: 'peer.timeout' })
  expect(verdictOf(classOfAnswer(network), network)).toMatchObject({ class: 'retry', code: 'peer.unavailable' })
})

it('the outcome is unknown after a request that was sent and not answered, and after a 5xx', () => {
  const failure = (sent: boolean) => ({ kind: 'failure', reason: 'timeout', detail: '', sent }) as const
  expect([failure(true), failure(false)].map((one) => leavesUnknown('retry', one))).toEqual([true, false])
  for (const status of [500, 502, 503, 504, 307]) expect(leavesUnknown('retry', answer(status))).toBe(true)
  for (const status of [408, 425]) expect(leavesUnknown('retry', answer(status))).toBe(false)
  const settled = Object.values(RETRY_CLASSES).filter((row) => row.class !== 'retry')
  for (const row of settled) expect([row.class, leavesUnknown(row.class, answer(503, 1))]).toEqual([row.class, false])
})

it('what concerns the endpoint and not the message uses up no attempt', () => {
  const free = Object.values(RETRY_CLASSES).filter((row) => !row.consumesAttempt)
  expect(free.map((row) => row.class).sort()).toEqual(['gone', 'unauthorized'])
})

it('Retry-After is read as seconds or as an HTTP date, and ignored when it is neither', () => {
  const now = Date.parse('2026-03-09T08:00:00Z')
  expect(parseRetryAfter('120', now)).toBe(120_000)
  expect(parseRetryAfter('Mon, 09 Mar 2026 08:00:05 GMT', now)).toBe(5_000)
  expect(parseRetryAfter('Mon, 09 Mar 2026 07:00:00 GMT', now)).toBe(0)
  expect(parseRetryAfter('soon', now)).toBeUndefined()
  expect(parseRetryAfter(undefined, now)).toBeUndefined()
})
