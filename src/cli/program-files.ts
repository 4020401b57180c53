import type { Command } from 'commander'

export function addUploads(files: Command): void {
  files
    .command('ls')
    .description('what is uploaded, how far, and until when it is named; the last 1,000')
    .option('--party <id>', 'of one uploader')
    .action(async ({ party }: { party?: string }) => (await import('./files.ts')).listAll(party))
  files
    .command('fetches <digest>')
    .description('who fetched a file, and which bytes of it')
    .action(async (digest: string) => (await import('./files.ts')).fetches(digest))
}
