import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { addMonths } from '#contracts/months.ts'
import { checkRules, compileRule } from '#contracts/rules.ts'

describe('addMonths', () => {
  test.each([
    ['2026-01-31', 1, '2026-02-28'],
    ['2028-01-31', 1, '2028-02-29'],
    ['2028-02-29', 1, '2028-03-29'],
    ['2028-02-29', 12, '2029-02-28'],
    ['2026-03-31', 1, '2026-04-30'],
    ['2026-12-31', 1, '2027-01-31'],
    ['2026-12-01', 1, '2027-01-01'],
    ['2026-03-31', -1, '2026-02-28'],
    ['2026-01-15', -13, '2024-12-15'],
    ['2026-05-20', 0, '2026-05-20'],
    ['0099-01-31', 1, '0099-02-28'],
  ])('%s and %i months is %s', (day, months, wanted) => {
    expect(addMonths(day, months)).toBe(wanted)
  })

  test.each([['2026-02-30'], ['2026-13-01'], ['2026-1-31'], ['20260131'], [''], ['2026-01-31T00:00:00Z']])(
    '%s is no day',
    (text) => {
      expect(addMonths(text, 1)).toBeUndefined()
    },
  )

  test('what would lie before the year 1 or after 9999 is no day either', () => {
    expect(addMonths('9999-12-01', 1)).toBeUndefined()
    expect(addMonths('0001-01-01', -1)).toBeUndefined()
  })

  test('the result is never in another month than the one asked for, and never a later day of the month', () => {
    const day = fc
      .date({ min: new Date('1900-01-01'), max: new Date('2200-12-31'), noInvalidDate: true })
      .map((at) => at.toISOString().slice(0, 10))
    fc.assert(
      fc.property(day, fc.integer({ min: -600, max: 600 }), (from, months) => {
        const [year = 0, month = 0, date = 0] = from.split('-').map(Number)
        const [toYear = 0, toMonth = 0, toDate = 0] = (addMonths(from, months) ?? '').split('-').map(Number)
        expect(toYear * 12 + toMonth).toBe(year * 12 + month + months)
        expect(toDate).toBeLessThanOrEqual(date)
      }),
    )
  })
})

describe('addMonths in a rule', () => {
  const compiled = compileRule({
    id: 'ahead',
    severity: 'error',
    stage: 'ingress',
    expression: 'data.to >= addMonths(data.from, 1)',
    pointer: '/to',
    message: { zh: '中', en: 'en' },
  })
  if (!('judge' in compiled)) throw new RangeError(compiled.join())
  const broken = (data: { from: string; to: string }) =>
    checkRules({ rules: [compiled] }, { data, claims: {}, nowMs: 0 }).errors.map(({ message }) => message.en)

  test('judges days', () => {
    expect(broken({ from: '2026-01-31', to: '2026-02-28' })).toEqual([])
    expect(broken({ from: '2026-01-31', to: '2026-02-27' })).toEqual(['en'])
  })

  test('a text that is no day fails the rule instead of passing it or throwing', () => {
    expect(broken({ from: '2026-02-30', to: '2026-12-31' })).toEqual([expect.stringContaining('cannot be evaluated')])
  })
})
