import { type Command, InvalidArgumentError, Option } from 'commander'
import { CATEGORIES, CUSTOMERS, STANDARD_KINDS, type StandardKind } from '#cases/standard-files.ts'
import type { StandardFacts } from '#cases/standards.ts'
import { type Answer, wholeNumber } from './program-options.ts'

const isoDate = (text: string): string => {
  if (/^\d{4}-\d{2}-\d{2}$/.test(text) && !Number.isNaN(Date.parse(text))) return text
  throw new InvalidArgumentError('a day such as 2026-01-31')
}
const amount = (text: string): number => {
  const number = Number(text)
  if (Number.isFinite(number) && number >= 0) return number
  throw new InvalidArgumentError('a number, not below 0')
}
const yesNo = (text: string): boolean => {
  if (text === 'yes' || text === 'no') return text === 'yes'
  throw new InvalidArgumentError('yes or no')
}

/** What it takes from the command line are the names of the facts themselves. */
export function addStandards(standards: Command, answer: Answer): void {
  standards
    .command('which')
    .description('which row of a standard holds on a day for a connection, and why')
    .argument('<kind>', STANDARD_KINDS.join(' | '), oneOf(STANDARD_KINDS))
    .requiredOption('--date <day>', 'the day it is asked for', isoDate)
    .addOption(new Option('--category <category>', 'customer category').choices([...CATEGORIES]))
    .option('--division <code>', 'supply division (GB/T 2260)')
    .option('--capacity-kw <kW>', 'capacity', amount)
    .option('--voltage-kv <kV>', 'voltage of the access works', amount)
    .option('--is-urban <yes|no>', 'urban or rural', yesNo)
    .option('--external-works <yes|no>', 'with external line works', yesNo)
    .addOption(new Option('--customers <kinds...>', 'kinds of customer').choices([...CUSTOMERS]))
    .option('--area-class <class>', '中心区 | 市区 | 城镇 | 农村')
    .action(async (kind: StandardKind, facts: StandardFacts) => {
      answer((await import('./standards.ts')).which(kind, facts))
    })
  standards
    .command('deadline')
    .description('the day a number of working days after another')
    .requiredOption('--from <day>', 'the start day, which does not count', isoDate)
    .requiredOption('--days <n>', 'working days', wholeNumber(0, 2_000))
    .option('--calendar <id>', 'folder under seeds/calendars', 'cn')
    .action(async ({ from, days, calendar }: { from: string; days: number; calendar: string }) =>
      (await import('./standards.ts')).deadline(from, days, calendar),
    )
}

const oneOf =
  <T extends string>(names: readonly T[]) =>
  (text: string): T => {
    const found = names.find((name) => name === text)
    if (found === undefined) throw new InvalidArgumentError(`one of ${names.join(', ')}`)
    return found
  }
