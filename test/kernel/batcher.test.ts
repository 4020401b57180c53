import { expect, test } from 'vitest'
import { createBatcher, createLanes } from '#kernel/batcher.ts'

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

test('batchers that share a lane take turns in it, and each gathers while the other is under way', async () => {
  const turns: string[] = []
  let underWay = 0
  const options = { ...OPTIONS, lanes: createLanes(1) }
  const named = (name: string) =>
    createBatcher(async (items: readonly number[]) => {
      turns.push(`${name} ${items.join()}`)
      underWay += 1
      expect(underWay).toBe(1)
      await new Promise(setImmediate)
      underWay -= 1
      return items
    }, options)
  const find = named('find')
  const record = named('record')
  const ask = async (item: number): Promise<number> => record(await find(item))
  expect(await Promise.all([1, 2, 3, 4, 5].map(ask))).toEqual([1, 2, 3, 4, 5])
  expect(turns).toEqual(['find 1,2,3', 'find 4,5', 'record 1,2,3', 'record 4,5'])
})

test('a lane that failed is free again', async () => {
  const options = { ...OPTIONS, lanes: createLanes(1) }
  const fails = createBatcher(async (): Promise<number[]> => Promise.reject(new Error('no')), options)
  const works = createBatcher(async (items: readonly number[]) => items, options)
  const settled = await Promise.allSettled([fails(1), works(2), fails(3), works(4)])
  expect(settled.map(({ status }) => status)).toEqual(['rejected', 'fulfilled', 'rejected', 'fulfilled'])
})
