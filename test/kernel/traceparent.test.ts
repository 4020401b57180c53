import { expect, test } from 'vitest'
import { deliveryTraceparent, readTraceparent } from '#kernel/traceparent.ts'

const TRACE = '0af7651916cd43dd8448eb211c80319c'
const PARENT = 'b7ad6b7169203331'

test('a well-formed traceparent is kept as it is', () => {
  for (const flags of ['00', '01', 'ff']) {
    expect(readTraceparent(`00-${TRACE}-${PARENT}-${flags}`)).toBe(`00-${TRACE}-${PARENT}-${flags}`)
  }
})

test('of a later version the part that we know is kept', () => {
  expect(readTraceparent(`cc-${TRACE}-${PARENT}-01-what-the-future-brings`)).toBe(`cc-${TRACE}-${PARENT}-01`)
})

test.each([
  undefined,
  '',
  `00-${TRACE}-${PARENT}`,
  `00-${TRACE}-${PARENT}-01-more`,
  `00-${TRACE}-${PARENT}-01 `,
  `ff-${TRACE}-${PARENT}-01`,
  `00-${'0'.repeat(32)}-${PARENT}-01`,
  `00-${TRACE}-${'0'.repeat(16)}-01`,
  `00-${TRACE.toUpperCase()}-${PARENT}-01`,
  `cc-${TRACE}-${PARENT}-01-${'x'.repeat(600)}`,
  `00-${TRACE}-${PARENT}-01\n`,
])('%j is dropped', (text) => expect(readTraceparent(text)).toBeUndefined())

test('the trace of a delivery is its exchange, the parent its delivery', () => {
  const traceparent = deliveryTraceparent(
    '019ab7c2-1111-7000-8000-123456789012',
    '019ab7c3-2222-7000-9abc-def012345678',
  )
  expect(traceparent).toBe('00-019ab7c2111170008000123456789012-9abcdef012345678-01')
  expect(readTraceparent(traceparent)).toBe(traceparent)
})
