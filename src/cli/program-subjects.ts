import type { Command } from 'commander'

export function addSubjects(subjects: Command): void {
  subjects
    .command('disclosures')
    .description('who got what about a person or company, when and for which case; its number comes on stdin')
    .requiredOption('--code-type <code>', 'kind of number: 001 unified social credit code, 111 resident identity')
    .action(async ({ codeType }: { codeType: string }) => (await import('./subjects.ts')).disclosures(codeType))
  subjects
    .command('disputes')
    .description('disputed data: who disputes which members of whose document, until when its provider has to answer')
    .option('--all', 'with those that were answered', false)
    .action(async ({ all }: { all: boolean }) => (await import('./subjects.ts')).disputes(all))
}
