import { expect, test } from 'vitest'
import { createTransferSlots } from '#documents/transfer-slots.ts'

test('a party has eight transfers, the gateway 64; a place is given back once, however often it is said', () => {
  const slots = createTransferSlots()
  const leaves = Array.from({ length: 8 }, () => slots.enter('a'))
  expect(() => slots.enter('a')).toThrow('limit.exceeded')
  for (let n = 0; n < 56; n++) slots.enter(`b${Math.floor(n / 8)}`)
  expect(() => slots.enter('c')).toThrow('hub.busy')
  leaves[0]?.()
  leaves[0]?.()
  slots.enter('c')
  expect(() => slots.enter('c')).toThrow('hub.busy')
})
