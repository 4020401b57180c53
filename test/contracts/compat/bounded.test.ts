import { expect, test } from 'vitest'
import { createBoundedComparison } from '#contracts/compat/bounded.ts'
import type { CompareRequest } from '#contracts/compat/verdict.ts'

const LIMITS = { timeoutMs: 20_000, memoryMb: 256, maxWaiting: 4 }
const request = (maxLength: number): CompareRequest => ({
  earlier: [{ type: 'string', maxLength: 9 }],
  next: { type: 'string', maxLength },
  mode: 'backward',
  strict: false,
})

test('the comparison runs in a thread of its own, one request after the other', async () => {
  const compare = createBoundedComparison(LIMITS)
  const found = await Promise.all([request(9), request(8), request(20)].map(compare))
  expect(found.map(({ verdict }) => verdict)).toEqual(['compatible', 'incompatible', 'compatible'])
  expect(found[1]?.changes).toMatchObject([{ rule: 'maxLength', counterexample: '000000000' }])
})

test('what takes longer than the limit is unproven, and the next one is judged by a new thread', async () => {
  const impatient = createBoundedComparison({ ...LIMITS, timeoutMs: 1 })
  const { verdict, changes } = await impatient(request(9))
  expect(verdict).toBe('unproven')
  expect(changes).toMatchObject([
    { rule: 'budget', direction: 'backward' },
    { rule: 'budget', direction: 'forward' },
  ])
  expect((await impatient(request(9))).verdict).toBe('unproven')
})

test('more than may wait are turned away, to be sent again', async () => {
  const compare = createBoundedComparison({ ...LIMITS, maxWaiting: 1 })
  const found = await Promise.allSettled([1, 2, 3].map(() => compare(request(9))))
  expect(found.map(({ status }) => status)).toEqual(['fulfilled', 'fulfilled', 'rejected'])
  expect(found[2]).toMatchObject({ reason: { code: 'hub.busy' } })
})

test('a schema nested too deep to be handed over is unproven, and those behind it are judged', async () => {
  const compare = createBoundedComparison(LIMITS)
  const deep = JSON.parse(`${'{"not":'.repeat(100_000)}{}${'}'.repeat(100_000)}`) as CompareRequest['next']
  const found = await Promise.all([request(9), { ...request(9), next: deep }, request(8)].map(compare))
  expect(found.map(({ verdict }) => verdict)).toEqual(['compatible', 'unproven', 'incompatible'])
})
