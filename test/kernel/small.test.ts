import { expect, test } from 'vitest'
import { retryDelayMs } from '#kernel/backoff.ts'
import { createIsoDay } from '#kernel/clock.ts'
import { asHubError, HubError } from '#kernel/errors.ts'
import { isPartyId, uuidv7 } from '#kernel/ids.ts'
import { atPointer } from '#kernel/json.ts'

test('a retry waits a random part of its step, and past the schedule there is none', () => {
  expect(retryDelayMs([1000, 2000], 1, () => 0.5)).toBe(500)
  expect(retryDelayMs([1000, 2000], 2, () => 1)).toBe(2000)
  expect(retryDelayMs([1000, 2000], 2, () => 0)).toBe(1)
  expect(retryDelayMs([1000, 2000], 3, () => 0.5)).toBeUndefined()
})

test('Retry-After wins over the schedule but never for longer than an hour', () => {
  expect(retryDelayMs([1000], 1, () => 0.5, 7000)).toBe(7000)
  expect(retryDelayMs([1000], 1, () => 0.5, 86_400_000)).toBe(3_600_000)
})

test('a UUIDv7 says its time, its version and its variant, and none comes twice', () => {
  const now = Date.UTC(2026, 10, 22)
  const ids = Array.from({ length: 5_000 }, () => uuidv7(now))
  expect(new Set(ids).size).toBe(ids.length)
  for (const id of ids) expect(id).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/)
  expect(Number.parseInt((ids[0] ?? '').replace('-', '').slice(0, 12), 16)).toBe(now)
})

test('a day ends with its last millisecond, and a clock that is set back finds the day before again', () => {
  const isoDay = createIsoDay()
  const midnight = Date.UTC(2026, 10, 28)
  expect([midnight - 1, midnight, midnight + 1, midnight - 1].map(isoDay)).toEqual([
    '2026-11-27',
    '2026-11-28',
    '2026-11-28',
    '2026-11-27',
  ])
})

test('party ids are lower-case labels', () => {
  for (const id of ['platform-nmg', 'a', 'x.y-z']) expect(isPartyId(id)).toBe(true)
  for (const id of ['', '-a', 'a-', 'A', 'a b', 'a/b', 'a'.repeat(49), 7, null]) expect(isPartyId(id)).toBe(false)
})

test('a pointer finds own members only, and unescapes ~1 and ~0', () => {
  expect(atPointer({ 'a/b': [{ 'c~d': 1 }] }, '/a~1b/0/c~0d')).toBe(1)
  expect(atPointer({}, '/constructor')).toBeUndefined()
  expect(atPointer({ a: 'text' }, '/a/length')).toBeUndefined()
  expect(atPointer([1], '')).toEqual([1])
})

test('what is not a HubError becomes hub.internal with its cause kept', () => {
  const cause = new RangeError('secret')
  expect(asHubError(cause)).toMatchObject({ code: 'hub.internal', cause })
  expect(asHubError(cause).message).not.toContain('secret')
  const own = new HubError('hub.busy')
  expect(asHubError(own)).toBe(own)
})
