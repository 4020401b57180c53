import { describe, expect, test } from 'vitest'
import { needsKafkaJars } from '../support/kafka.ts'
import { NONE, type Violations } from './check.ts'
import { FAULT_KIND_NAMES } from './fault-kinds.ts'
import { type RunReport, runSchedules, summaryLine } from './run.ts'
import { planSchedule } from './schedule.ts'

const SCHEDULES = 10
/** Fixed, and known to pass, so that the same tree is judged alike each time; `npm run faults` is what looks further. */
const SEED = Number(process.env['FAULT_SEED'] ?? 20261126)

needsKafkaJars('a hub in six processes', () => {
  test(`${SCHEDULES} schedules of overlapping faults break no promise (FAULT_SEED=${SEED})`, {
    timeout: 600_000,
  }, async () => {
    const lines: string[] = []
    const report = await runSchedules({
      seed: SEED,
      schedules: SCHEDULES,
      from: 1,
      keep: false,
      trace: false,
      say: (line) => void lines.push(line),
    })
    console.log(summaryLine(report))
    expect([report.violations, report.troubles], lines.join('\n')).toEqual([none(), 0])
    expect(report.schedules).toBe(SCHEDULES)
  })
})

const none = (): RunReport['violations'] =>
  Object.fromEntries(Object.keys(NONE).map((kind) => [kind, 0])) as Record<keyof Violations, number>

describe('a schedule', () => {
  test('is the same each time for its seed and number, and another for any other', () => {
    expect(planSchedule(7, 3)).toEqual(planSchedule(7, 3))
    expect(planSchedule(7, 4).faults).not.toEqual(planSchedule(7, 3).faults)
    expect(planSchedule(8, 3).faults).not.toEqual(planSchedule(7, 3).faults)
  })

  test('comes to every kind of fault within two hundred', () => {
    const kinds = new Set(
      Array.from({ length: 200 }, (_, n) => planSchedule(1, n + 1).faults.map(({ kind }) => kind)).flat(),
    )
    expect([...kinds].toSorted()).toEqual(FAULT_KIND_NAMES.toSorted())
  })
})

test('the summary of a run names every set, so that an empty one is seen to be empty', () => {
  const report = {
    seed: 1,
    schedules: 2,
    faults: { kill: 3 },
    leftOut: [],
    messages: 4,
    pushes: 5,
    seconds: 6,
    troubles: 1,
  }
  expect(summaryLine({ ...report, violations: { ...none(), lost: 1 } })).toBe(
    'seed 1: 2 schedules, 4 messages in 5 pushes, faults: kill 3; 2 VIOLATIONS ' +
      '(lost 1, doubled 0, phantom 0, corrupt 0, reordered 0, receipt 0, stuck 0, troubles 1), 6 s',
  )
})
