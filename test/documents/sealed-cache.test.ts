import { expect, test } from 'vitest'
import { createSealedCache } from '#documents/sealed-cache.ts'

const open = (limits = { entries: 3, bytes: 10_000 }) => {
  const now = { ms: 1_000_000 }
  return { now, cache: createSealedCache<{ readonly text: string }>(() => now.ms, limits) }
}

test('a value comes back until it expires, and not a millisecond longer', () => {
  const { now, cache } = open()
  cache.put('a', { text: '示例' }, now.ms + 100)
  expect(cache.get('a')).toEqual({ text: '示例' })
  now.ms += 99
  expect(cache.get('a')).toEqual({ text: '示例' })
  now.ms += 1
  expect(cache.get('a')).toBeUndefined()
  expect(cache.load()).toEqual({ entries: 0, bytes: 0 })
})

test('what has expired already is not kept', () => {
  const { now, cache } = open()
  cache.put('a', { text: 'x' }, now.ms)
  expect(cache.load().entries).toBe(0)
})

test('beyond its bounds the least recently used go first', () => {
  const { now, cache } = open()
  for (const key of ['a', 'b', 'c']) cache.put(key, { text: key }, now.ms + 1_000)
  cache.get('a')
  cache.put('d', { text: 'd' }, now.ms + 1_000)
  expect(cache.get('b')).toBeUndefined()
  expect(['a', 'c', 'd'].map((key) => cache.get(key)?.text)).toEqual(['a', 'c', 'd'])
})

test('bytes are bounded too, and what alone is too large is not kept', () => {
  const { now, cache } = open({ entries: 100, bytes: 500 })
  cache.put('large', { text: 'x'.repeat(600) }, now.ms + 1_000)
  expect(cache.load().entries).toBe(0)
  for (const key of ['a', 'b', 'c', 'd']) cache.put(key, { text: 'x'.repeat(100) }, now.ms + 1_000)
  expect(cache.load().bytes).toBeLessThanOrEqual(500)
  expect(cache.get('a')).toBeUndefined()
  expect(cache.get('d')).toBeDefined()
})

test('a second value under a key replaces the first, in the count of bytes as well', () => {
  const { now, cache } = open()
  cache.put('a', { text: 'x'.repeat(100) }, now.ms + 1_000)
  cache.put('a', { text: 'y' }, now.ms + 1_000)
  expect(cache.get('a')).toEqual({ text: 'y' })
  expect(cache.load().entries).toBe(1)
  expect(cache.load().bytes).toBeLessThan(60)
})

test('expired entries leave memory when others come, though nobody asks for them', () => {
  const { now, cache } = open()
  cache.put('a', { text: 'x' }, now.ms + 10)
  now.ms += 2_000
  cache.put('b', { text: 'y' }, now.ms + 10)
  expect(cache.load().entries).toBe(1)
})
