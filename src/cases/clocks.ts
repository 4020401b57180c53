import type { Calendar } from './calendar.ts'
import type { STAGE_OWNERS, StandardRow } from './standard-files.ts'

export interface Stage {
  readonly stage: string
  /** ISO dates, Asia/Shanghai; without an end the stage is under way. */
  readonly startedAt: string
  readonly endedAt?: string
  readonly owner: (typeof STAGE_OWNERS)[number]
}

export interface ClockReading {
  readonly clock: StandardRow<'clocks'>['clock']
  /** Working days used up to `today`. */
  readonly used: number
  readonly limit: number
  readonly remaining: number
  /** A year without a notice was passed, or the row is an aim: it warns, and nothing is a breach. */
  readonly isProvisional: boolean
  readonly isOverdue: boolean
}

/**
 * The clock of a standards row on a day. `whole-process` (全过程办电时间) runs from the application to the day of meter
 * on, whoever holds the ball; `owned-stages` (合计办理时间) adds up the stages whose owner counts. The start day does not
 * count; overlapping stages of owners that count are each counted, as they are reported.
 */
export function readClock(
  calendar: Calendar,
  row: StandardRow<'clocks'>,
  stages: readonly Stage[],
  today: string,
): ClockReading {
  const spans = row.clock === 'whole-process' ? wholeSpan(row, stages, today) : ownedSpans(row, stages, today)
  const counted = spans.map(([from, to]) => calendar.workingDaysBetween(from, to))
  const used = counted.reduce((sum, { count }) => sum + count, 0)
  const isProvisional = row.indicative || counted.some(({ provisional }) => provisional)
  return {
    clock: row.clock,
    used,
    limit: row.workingDays,
    remaining: row.workingDays - used,
    isProvisional,
    isOverdue: used > row.workingDays && !isProvisional,
  }
}

type Span = readonly [from: string, to: string]

function wholeSpan({ endsWith = [] }: StandardRow<'clocks'>, stages: readonly Stage[], today: string): Span[] {
  const [from] = stages.map(({ startedAt }) => startedAt).sort()
  if (from === undefined) return []
  const ends = stages.flatMap(({ stage, endedAt }) => (endsWith.includes(stage) ? (endedAt ?? []) : []))
  return [[from, ends.sort().at(-1) ?? today]]
}

const ownedSpans = (row: StandardRow<'clocks'>, stages: readonly Stage[], today: string): Span[] =>
  stages
    .filter(({ owner }) => row.counts.includes(owner))
    .map(({ startedAt, endedAt }) => [startedAt, endedAt ?? today])
