import path from 'node:path'
import { readCalendar } from '#cases/calendar.ts'
import { readStandards, type StandardKind } from '#cases/standard-files.ts'
import { createStandards, type StandardFacts } from '#cases/standards.ts'
import { PROJECT_ROOT } from '#compose.ts'
import { printJson } from './output.ts'

/** The row of a standard that holds, and why, as one JSON object; exit code 3 when none does. */
export function which(kind: StandardKind, facts: StandardFacts): number {
  const standards = createStandards(readStandards(path.join(PROJECT_ROOT, 'seeds/standards')))
  const answer = standards.which(kind, facts)
  printJson(answer)
  return answer.applies === undefined ? 3 : 0
}

/** The day a number of working days after another, as one JSON object. */
export function deadline(from: string, days: number, calendar: string): void {
  printJson(readCalendar(path.join(PROJECT_ROOT, 'seeds/calendars'), calendar).addWorkingDays(from, days))
}
