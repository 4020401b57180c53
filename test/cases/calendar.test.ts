import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { readCalendar } from '#cases/calendar.ts'
import { PROJECT_ROOT } from '#compose.ts'
import { HubError } from '#kernel/errors.ts'

const calendar = readCalendar(join(PROJECT_ROOT, 'seeds/calendars'), 'cn')

test.each([
  ['2026-09-28', 5, '2026-10-10'],
  ['2026-02-13', 5, '2026-02-27'],
  ['2026-02-13', 6, '2026-02-28'],
  ['2026-04-30', 3, '2026-05-08'],
  ['2026-04-30', 4, '2026-05-09'],
  ['2025-12-31', 2, '2026-01-05'],
  ['2026-01-30', 15, '2026-02-27'],
  ['2026-01-30', 22, '2026-03-09'],
  ['2026-03-02', 0, '2026-03-02'],
])('%s and %i working days is %s: the start day does not count', (from, days, to) => {
  expect(calendar.addWorkingDays(from, days)).toEqual({ day: to, provisional: false })
  expect(calendar.workingDaysBetween(from, to)).toEqual({ count: days, provisional: false })
})

test('a year without a notice is provisional: week-ends and the holidays whose day is fixed', () => {
  expect(calendar.addWorkingDays('2026-12-30', 3)).toEqual({ day: '2027-01-05', provisional: true })
  expect(calendar.addWorkingDays('2026-12-30', 1)).toEqual({ day: '2026-12-31', provisional: false })
  expect(calendar.isWorkingDay('2027-10-01')).toBe(false)
  expect(calendar.isCovered('2027-10-01')).toBe(false)
})

test.each([
  [2020, 249],
  [2021, 250],
  [2022, 249],
  [2023, 249],
  [2024, 251],
  [2025, 248],
  [2026, 248],
])('%i has %i working days', (year, days) => {
  expect(calendar.workingDaysBetween(`${year - 1}-12-31`, `${year}-12-31`).count).toBe(days)
})

test('nothing is between a day and an earlier one', () => {
  expect(calendar.workingDaysBetween('2026-03-09', '2026-03-02').count).toBe(0)
})

let folder: string
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'dianqiao-calendar-'))
  mkdirSync(join(folder, 'x'))
})
afterAll(() => rmSync(folder, { recursive: true }))

test('a faulty year is refused with every fault and its file', () => {
  const notice = "notice: n\npublishedAt: '2026-01-01'"
  writeFileSync(
    join(folder, 'x', '2026.yaml'),
    `year: 2025\n${notice}\noff: [{from: '2026-01-01', to: '2026-01-02'}]\nwork: ['2025-01-06']\n`,
  )
  writeFileSync(join(folder, 'x', '2027.yaml'), `year: 2027\n${notice}\noff: []\n`)
  try {
    readCalendar(folder, 'x')
    expect.unreachable()
  } catch (error) {
    expect(error).toBeInstanceOf(HubError)
    const found = (error as HubError).violations.map(({ pointer, rule }) => `${pointer} ${rule}`)
    expect(found).toEqual([
      'x/2026.yaml#/year year',
      'x/2026.yaml# year',
      'x/2026.yaml# year',
      'x/2026.yaml#/work/0 work',
      'x/2027.yaml#/work invalid_type',
    ])
  }
  expect(() => readCalendar(folder, 'nowhere')).toThrow(HubError)
})
