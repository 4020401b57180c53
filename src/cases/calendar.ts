import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import { z } from 'zod'
import { readYamlFile, yamlFault } from '#contracts/yaml-file.ts'
import { HubError, type Violation } from '#kernel/errors.ts'

const day = z.iso.date()
const YEAR = z.strictObject({
  year: z.int().min(2000).max(2100),
  /** The State Council's notice that the year follows. */
  notice: z.string().min(1).max(200),
  publishedAt: day,
  off: z.array(z.strictObject({ from: day, to: day })),
  /** Days of a week-end that are worked. */
  work: z.array(day),
})

export interface CountedDay {
  /** ISO date, Asia/Shanghai. */
  readonly day: string
  /** A year without a notice was passed: the day may still move. It warns, it is never a breach. */
  readonly provisional: boolean
}

/** Working days of one region. Days are ISO dates in Asia/Shanghai. */
export interface Calendar {
  isWorkingDay(day: string): boolean
  /** Whether the notice of the day's year is known. */
  isCovered(day: string): boolean
  /** The n-th working day after a day, which itself does not count (行政许可法). */
  addWorkingDays(from: string, count: number): CountedDay
  /** Working days after `from` up to and with `to`; 0 when `to` is not later. */
  workingDaysBetween(from: string, to: string): { readonly count: number; readonly provisional: boolean }
}

const DAY_MS = 86_400_000
/** Counting stops here: nobody's time limit is longer, and a faulty number must not hang the process. */
const MAX_COUNT = 2_000

const timeOf = (text: string): number => Date.parse(`${text}T00:00:00Z`)
const textOf = (time: number): string => new Date(time).toISOString().slice(0, 10)

/** Statutory holidays whose day is fixed, MM-DD (全国年节及纪念日放假办法, as in force since 2025): those of the moon are not known. */
const FIXED_HOLIDAYS: ReadonlySet<string> = new Set(['01-01', '05-01', '05-02', '10-01', '10-02', '10-03'])

/**
 * Reads `<dir>/<id>/<year>.yaml`. Throws one `seed.invalid` with every fault: a file whose days are of another year, a
 * worked day that is no week-end or is off too.
 */
export function readCalendar(dir: string, id: string): Calendar {
  const faults: Violation[] = []
  const years = new Set<number>()
  const off = new Set<string>()
  const work = new Set<string>()
  for (const name of yearFiles(join(dir, id))) {
    const file = `${id}/${name}`
    const found = readYamlFile(dir, file, YEAR, faults)
    if (found === undefined) continue
    years.add(found.year)
    const days = found.off.flatMap(({ from, to }) => daysFrom(from, to))
    for (const one of days) off.add(one)
    for (const one of found.work) work.add(one)
    faults.push(...yearFaults(file, found, days))
  }
  if (faults.length > 0) throw new HubError('seed.invalid', { violations: faults })
  return createCalendar({ years, off, work })
}

function yearFiles(dir: string): string[] {
  try {
    return readdirSync(dir)
      .filter((name) => name.endsWith('.yaml'))
      .sort()
  } catch (cause) {
    throw new HubError('seed.invalid', {
      cause,
      detail: { zh: `没有日历目录 ${dir}`, en: `there is no calendar ${dir}` },
    })
  }
}

function daysFrom(from: string, to: string): string[] {
  const days: string[] = []
  for (let time = timeOf(from); time <= timeOf(to); time += DAY_MS) days.push(textOf(time))
  return days
}

function yearFaults(file: string, { year, work }: z.infer<typeof YEAR>, off: readonly string[]): Violation[] {
  const faults: Violation[] = []
  if (file.slice(file.indexOf('/') + 1) !== `${year}.yaml`) {
    faults.push(yamlFault(file, '/year', 'year', '年份应与文件名一致', 'the year must be that of the file name'))
  }
  for (const day of [...off, ...work]) {
    if (!day.startsWith(`${year}-`)) {
      faults.push(yamlFault(file, '', 'year', `${day} 不在本年`, `${day} is not of this year`))
    }
  }
  for (const [i, day] of work.entries()) {
    if (isWeekend(timeOf(day)) && !off.includes(day)) continue
    faults.push(
      yamlFault(file, `/work/${i}`, 'work', '调休上班日应为周末且不放假', 'must be a week-end that is not off'),
    )
  }
  return faults
}

const isWeekend = (time: number): boolean => [0, 6].includes(new Date(time).getUTCDay())

function createCalendar({
  years,
  off,
  work,
}: {
  readonly years: ReadonlySet<number>
  readonly off: ReadonlySet<string>
  readonly work: ReadonlySet<string>
}): Calendar {
  const isCovered = (day: string): boolean => years.has(Number(day.slice(0, 4)))
  const isWorkingDay = (day: string): boolean => {
    if (work.has(day)) return true
    if (off.has(day) || isWeekend(timeOf(day))) return false
    return isCovered(day) || !FIXED_HOLIDAYS.has(day.slice(5))
  }
  return {
    isWorkingDay,
    isCovered,
    addWorkingDays(from, count) {
      if (!Number.isInteger(count) || count < 0 || count > MAX_COUNT) {
        throw new HubError('hub.internal', { cause: `working days: ${count}` })
      }
      let time = timeOf(from)
      let provisional = !isCovered(from)
      for (let left = count; left > 0; ) {
        time += DAY_MS
        const day = textOf(time)
        provisional ||= !isCovered(day)
        if (isWorkingDay(day)) left--
      }
      return { day: textOf(time), provisional }
    },
    workingDaysBetween(from, to) {
      const last = Math.min(timeOf(to), timeOf(from) + 4 * MAX_COUNT * DAY_MS)
      let count = 0
      let provisional = !isCovered(from)
      for (let time = timeOf(from) + DAY_MS; time <= last; time += DAY_MS) {
        const day = textOf(time)
        provisional ||= !isCovered(day)
        if (isWorkingDay(day)) count++
      }
      return { count, provisional }
    },
  }
}
