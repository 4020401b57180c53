import type { Command } from 'commander'
import type { Answer } from './program-options.ts'

export function addConsents(consents: Command, answer: Answer): void {
  consents
    .command('show <consentRef>')
    .description('what was consented to, until when, whether it was withdrawn, and how often it was used')
    .action(async (ref: string) => answer(await (await import('./consents.ts')).show(ref)))
}
