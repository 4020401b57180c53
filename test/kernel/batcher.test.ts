import { expect, test } from 'vitest'
import { createBatcher } from '#kernel/batcher.ts'

const OPTIONS = { lanes: 1, maxItems: 3, isItemsFault: () => true }

test('what is asked at once goes together, bounded, and each gets its own answer', async () => {
  const batches: number[][] = []
  const double = createBatcher(async (items: readonly number[]) => {
    batches.push([...items])
    return items.map((item) => item * 2)
  }, OPTIONS)
  expect(await Promise.all([1, 2, 3, 4, 5].map(double))).toEqual([2, 4, 6, 8, 10])
  expect(batches).toEqual([
    [1, 2, 3],
    [4, 5],
  ])
})

test('one item’s own fault fails it alone; an outage fails the batch without a second try', async () => {
  let runs = 0
  const run = async (items: readonly number[]) => {
    runs += 1
    if (items.includes(13)) throw new Error('unlucky')
    return items
  }
  const lenient = createBatcher(run, OPTIONS)
  const settled = await Promise.allSettled([1, 13, 2].map(lenient))
  expect(settled.map(({ status }) => status)).toEqual(['fulfilled', 'rejected', 'fulfilled'])
  runs = 0
  const strict = createBatcher(run, { ...OPTIONS, isItemsFault: () => false })
  expect((await Promise.allSettled([1, 13, 2].map(strict))).map(({ status }) => status)).toEqual([
    'rejected',
    'rejected',
    'rejected',
  ])
  expect(runs).toBe(1)
})
