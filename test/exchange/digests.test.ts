import { describe, expect, test } from 'vitest'
import { createDigests } from '#exchange/digests.ts'

const digests = createDigests(Buffer.alloc(32, 7))

describe('subjects', () => {
  test('a number of 15 digits and of 18 are one person', () => {
    expect(digests.subject('111', '150402511203001')).toBe(digests.subject('111', '150402195112030010'))
    expect(digests.subject('111', '150402511203002')).not.toBe(digests.subject('111', '150402195112030010'))
  })

  test('x in either case and blanks make no difference', () => {
    expect(digests.subject('111', '15010219900101006x')).toBe(digests.subject('111', '150102 19900101 006X'))
  })

  test('15 digits of another kind of code stay what they are', () => {
    expect(digests.subject('999', '150402511203001')).not.toBe(digests.subject('999', '150402195112030010'))
    expect(digests.subject('111', '150402195112030010')).not.toBe(digests.subject('999', '150402195112030010'))
  })
})

describe('look-ups', () => {
  const CERTIFICATE = 'property-certificate@1'

  test.each([
    ['brackets of either width', '蒙（2021）赤峰市不动产权第0001234号', '蒙(2021)赤峰市不动产权第0001234号'],
    ['blanks', '150402003004GB00045F00010001', '150402003004 GB00045 F00010001'],
    ['lower case', '150402003004GB00045F00010001', '150402003004gb00045f00010001'],
  ])('%s make no difference', (_name, a, b) => {
    expect(digests.lookup(CERTIFICATE, a)).toBe(digests.lookup(CERTIFICATE, b))
  })

  test('the same number under another contract, or as a subject, is another key', () => {
    const number = '91150402MADEM002XN'
    const keys = [digests.lookup(CERTIFICATE, number), digests.lookup('x@1', number), digests.subject('001', number)]
    expect(new Set(keys).size).toBe(3)
  })
})
