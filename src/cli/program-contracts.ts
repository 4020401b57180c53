import { type Command, Option } from 'commander'
import { COMPATIBILITY_MODES, type CompatibilityMode } from '#contracts/compat/verdict.ts'
import { PAGE_LANGUAGES, type PageLanguage } from '#contracts/contract-page.ts'
import type { Answer } from './program-options.ts'

export function addContracts(contracts: Command, answer: Answer): void {
  contracts
    .command('lint')
    .description('every fault of contracts/ and schemas/')
    .action(async () => answer(await (await import('./contracts.ts')).lint()))
  contracts
    .command('diff')
    .description('whether a schema may follow another, and what breaks where it may not')
    .argument('<old.json>')
    .argument('<new.json>')
    .addOption(new Option('--mode <mode>', 'which way').choices([...COMPATIBILITY_MODES]).default('backward'))
    .option('--strict', 'undeclared members of open objects may have any value', false)
    .action(async (before: string, after: string, { mode, strict }: { mode: CompatibilityMode; strict: boolean }) =>
      answer((await import('./compatibility.ts')).diff(before, after, mode, strict)),
    )
  contracts
    .command('check')
    .description('whether versions of each schema are to each other what its contract demands')
    .action(async () => answer((await import('./contracts.ts')).check()))
  contracts
    .command('release')
    .description('lock schemas by their digest: from then on the lint refuses any change of them')
    .argument('[path...]', 'under schemas/, such as approval-result/1.1.0.json')
    .option('--all', 'every version of the schemas that contracts use', false)
    .action(async (paths: string[], { all }: { all: boolean }) => (await import('./contracts.ts')).release(paths, all))
  contracts
    .command('types')
    .description('TypeScript types of every contract’s data, for connectors')
    .action(async () => (await import('./contracts.ts')).types())
  contracts
    .command('docs')
    .description('the page of a contract in Markdown; without one the list of all')
    .argument('[ref]', 'name@major, or format: how contract files are written')
    .addOption(new Option('--lang <language>', 'language').choices([...PAGE_LANGUAGES]).default('zh'))
    .action(async (ref: string | undefined, { lang }: { lang: PageLanguage }) =>
      (await import('./contracts.ts')).docs(ref, lang),
    )
}
