import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { readCalendar } from '#cases/calendar.ts'
import { readClock, type Stage } from '#cases/clocks.ts'
import { readStandards, type StandardKind } from '#cases/standard-files.ts'
import { createStandards, type StandardFacts } from '#cases/standards.ts'
import { PROJECT_ROOT } from '#compose.ts'
import { HubError } from '#kernel/errors.ts'

const DIR = join(PROJECT_ROOT, 'seeds/standards')
const standards = createStandards(readStandards(DIR))
const rowOf = (kind: StandardKind, facts: StandardFacts): string | undefined => standards.which(kind, facts).applies?.id

describe('which row holds', () => {
  test.each([
    ['R', '2026-06-01', 2],
    ['L0', '2026-06-01', 2],
    ['L1', '2026-06-01', 3],
    ['H1', '2026-06-01', 4],
    ['H2', '2021-01-01', 4],
  ] as const)('%s on %s has at most %i stages (task 1)', (category, date, most) => {
    expect(standards.which('stageCounts', { category, date }).applies?.maxStages).toBe(most)
  })

  test('before the end of 2020 no limit of stages binds', () => {
    expect(rowOf('stageCounts', { category: 'R', date: '2020-12-31' })).toBeUndefined()
  })

  test('low voltage has no design review, intermediate or final inspection (task 12), and high voltage does', () => {
    const cancelled = (category: 'L1' | 'H1'): readonly string[] =>
      standards
        .which('stageCounts', { category, date: '2026-06-01' })
        .matched.flatMap(({ cancelledStages = [] }) => cancelledStages)
    expect(cancelled('L1')).toEqual(['设计审查', '中间检查', '竣工检验'])
    expect(cancelled('H1')).toEqual([])
  })

  test.each([
    ['R', '2021-01-01', 5, 'whole-process'],
    ['L0', '2021-12-31', 25, 'whole-process'],
    ['L0', '2022-01-01', 20, 'whole-process'],
    ['L0', '2022-12-31', 20, 'whole-process'],
    ['L0', '2023-01-01', 15, 'whole-process'],
    ['L1', '2023-01-01', 6, 'owned-stages'],
    ['H1', '2020-12-31', 40, 'owned-stages'],
    ['H1', '2021-01-01', 22, 'owned-stages'],
    ['H2', '2020-12-31', 55, 'owned-stages'],
    ['H2', '2026-06-01', 32, 'owned-stages'],
  ] as const)('%s on %s: %i working days by the clock %s (tasks 2, 3, 12)', (category, date, days, clock) => {
    const { binding } = standards.which('clocks', { category, date })
    expect([binding?.workingDays, binding?.clock]).toEqual([days, clock])
  })

  test('the 2025 opinion gives 5 days without external works and 15 with, as an aim that never is a breach', () => {
    const asked = { category: 'L0', date: '2026-06-01' } as const
    const without = standards.which('clocks', { ...asked, externalWorks: false })
    expect([without.applies?.workingDays, without.applies?.indicative]).toEqual([5, true])
    expect(without.binding?.workingDays).toBe(15)
    expect(without.matched.map(({ id }) => id)).toEqual(['clock-l0-2025-no-works', 'clock-l0-2022'])
    expect(without.why.en).toContain('clock-l0-2022 match too')
    const withWorks = standards.which('clocks', { ...asked, externalWorks: true })
    expect(withWorks.applies?.id).toBe('clock-l0-2022')
    expect(withWorks.matched).toHaveLength(2)
    expect(rowOf('clocks', { ...asked, date: '2025-06-02', externalWorks: false })).toBe('clock-l0-2022')
  })

  test('the cut from the baseline is at least 40 in 100 (task 12)', () => {
    for (const category of ['H1', 'H2'] as const) {
      const [before, after] = ['2020-12-31', '2021-01-01'].map(
        (date) => standards.which('clocks', { category, date }).binding?.workingDays ?? 0,
      )
      expect((after ?? 0) / (before ?? 1)).toBeLessThanOrEqual(0.6)
    }
  })

  test.each([
    [0.38, 5],
    [10, 10],
    [20, 10],
    [35, 20],
    [110, 20],
  ])(
    'approval of access works at %d kV takes at most %i working days: 20 kV is of the 10-day class',
    (voltageKv, days) => {
      expect(standards.which('approvalLimits', { voltageKv, date: '2026-06-01' }).binding?.workingDays).toBe(days)
    },
  )

  test.each([
    ['2022-06-01', true, 160, 'boundary-small-urban-2021'],
    ['2022-06-01', true, 160.1, undefined],
    ['2022-12-31', false, 100, 'boundary-small-rural-2021'],
    ['2022-12-31', false, 100.1, undefined],
    ['2023-01-01', false, 100.1, 'boundary-small-2022'],
    ['2023-01-01', false, 160, 'boundary-small-2022'],
    ['2023-01-01', true, 160.1, undefined],
    ['2021-12-31', true, 50, undefined],
  ])('small and micro on %s, urban %s, %d kW: the meter is the boundary by %s', (date, isUrban, capacityKw, id) => {
    const { matched } = standards.which('investmentBoundary', { date, isUrban, capacityKw, customers: ['small-micro'] })
    expect(matched.find(({ boundary }) => boundary === 'LOW_VOLTAGE_METER')?.id).toBe(id)
  })

  test('when two boundaries hold the more favourable applies and both are named', () => {
    const facts = {
      date: '2026-06-01',
      category: 'L0',
      capacityKw: 160,
      customers: ['small-micro', 'private'],
    } as const
    const { applies, binding, matched, why } = standards.which('investmentBoundary', facts)
    expect(applies?.id).toBe('red-line-small-low-voltage-2020')
    expect(binding?.indicative).toBe(false)
    expect(matched.length).toBe(4)
    for (const { id } of matched) expect(why.zh).toContain(id)
  })

  test('a private organisation that is neither small nor micro has the aim of 2025 alone', () => {
    const facts = { date: '2026-06-01', capacityKw: 160, customers: ['private'] } as const
    expect(standards.which('investmentBoundary', facts)).toMatchObject({ applies: { id: 'boundary-private-2025' } })
    expect(standards.which('investmentBoundary', facts).binding).toBeUndefined()
    expect(rowOf('investmentBoundary', { ...facts, capacityKw: 160.1 })).toBeUndefined()
  })

  test('residents and 三零 customers pay nothing upstream of the boundary (task 17)', () => {
    for (const category of ['R', 'L0'] as const) {
      expect(standards.which('charges', { category, date: '2026-06-01' }).binding?.maxUpstreamCny).toBe(0)
    }
    expect(rowOf('charges', { category: 'L1', date: '2026-06-01' })).toBeUndefined()
  })

  test.each([
    ['150102', '农村', 11],
    ['150402', '农村', 15],
    ['150402', '市区', 5],
  ])('outage hours in %s, %s: at most %i (task 18)', (division, areaClass, hours) => {
    expect(standards.which('outageHours', { division, areaClass, date: '2026-06-01' }).binding?.maxHours).toBe(hours)
  })
})

describe('the two clocks', () => {
  const calendar = readCalendar(join(PROJECT_ROOT, 'seeds/calendars'), 'cn')
  const stages: readonly Stage[] = [
    { stage: '用电申请', startedAt: '2026-03-02', endedAt: '2026-03-03', owner: 'UTILITY' },
    { stage: '外部工程实施', startedAt: '2026-03-03', endedAt: '2026-03-20', owner: 'CUSTOMER' },
    { stage: '装表接电', startedAt: '2026-03-20', endedAt: '2026-03-24', owner: 'UTILITY' },
  ]
  const clockOf = (category: 'L0' | 'L1') => {
    const { binding } = standards.which('clocks', { category, date: '2026-03-02' })
    if (binding === undefined) throw new HubError('hub.internal')
    return binding
  }

  test('the whole process counts everybody’s days, the owned stages only the utility’s', () => {
    expect(readClock(calendar, clockOf('L0'), stages, '2026-06-01')).toMatchObject({
      used: 16,
      limit: 15,
      isOverdue: true,
    })
    expect(readClock(calendar, clockOf('L1'), stages, '2026-06-01')).toMatchObject({
      used: 3,
      limit: 6,
      isOverdue: false,
    })
  })

  test('between two stages the whole process goes on, and the owned stages rest', () => {
    const underWay = stages.slice(0, 1)
    expect(readClock(calendar, clockOf('L0'), underWay, '2026-03-09')).toMatchObject({ used: 5, remaining: 10 })
    expect(readClock(calendar, clockOf('L1'), underWay, '2026-03-09')).toMatchObject({ used: 1, remaining: 5 })
  })

  test('what passes a year without a notice, and what is an aim, is never overdue', () => {
    const late = [{ stage: '用电申请', startedAt: '2026-12-30', owner: 'UTILITY' }] as const
    expect(readClock(calendar, clockOf('L1'), late, '2027-03-01')).toMatchObject({
      isProvisional: true,
      isOverdue: false,
    })
    const aim = standards.which('clocks', { category: 'L0', date: '2026-03-02', externalWorks: false }).applies
    expect(aim && readClock(calendar, aim, stages, '2026-06-01')).toMatchObject({
      isProvisional: true,
      isOverdue: false,
    })
  })
})

describe('faulty tables', () => {
  let dir: string
  beforeAll(() => {
    dir = mkdtempSync(join(tmpdir(), 'dianqiao-standards-'))
    cpSync(DIR, dir, { recursive: true })
  })
  afterAll(() => rmSync(dir, { recursive: true }))

  test.each([
    ['stageLimits: {供电方案答复: 10, 其余: 12}', 'stageLimits: {供电方案答复: 10, 其余: 13}', 'sum'],
    ["effectiveTo: '2021-12-31'", "effectiveTo: '2020-12-31'", 'order'],
    ['id: clock-l0-2021', 'id: clock-l0-2022', 'unique'],
    ['endsWith: [装表接电, 施工接电]', 'note: {zh: x, en: x}', 'ends-with'],
    ['workingDays: 5', 'workingDays: five', 'invalid_type'],
  ])('%s as %s is refused by the rule %s', (right, wrong, rule) => {
    const text = readFileSync(join(DIR, 'clocks.yaml'), 'utf8')
    writeFileSync(join(dir, 'clocks.yaml'), text.replace(right, wrong))
    try {
      readStandards(dir)
      expect.unreachable()
    } catch (error) {
      expect((error as HubError).violations.map((one) => one.rule)).toContain(rule)
    }
  })
})
