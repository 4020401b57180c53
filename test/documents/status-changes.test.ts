import { expect, test } from 'vitest'
import { isUnusual } from '#documents/status-changes.ts'

test.each([
  ['ACTIVE', 'SUSPENDED', false],
  ['SUSPENDED', 'ACTIVE', false],
  ['TRANSFERRED_OUT', 'ACTIVE', false],
  ['EXPIRED', 'ACTIVE', false],
  ['WITHDRAWN', 'CANCELLED', false],
  ['ACTIVE', 'ACTIVE', false],
  ['REVOKED', 'ACTIVE', true],
  ['WITHDRAWN', 'ACTIVE', true],
  ['CANCELLED', 'ACTIVE', true],
  ['CANCELLED', 'SUSPENDED', true],
  ['SOMETHING', 'ACTIVE', true],
])('from %s to %s is unusual: %s', (from, to, unusual) => {
  expect(isUnusual(from, to)).toBe(unusual)
})
