import type { Command } from 'commander'
import type { RotateOptions } from './vault.ts'

export function addVault(vault: Command): void {
  vault
    .command('status')
    .description('retention classes, their data keys and what is due')
    .action(async () => (await import('./vault.ts')).status())
  vault
    .command('rotate')
    .description('make a new key-encryption key and wrap every data key under it')
    .option('--rewrap-only', 'wrap under the newest version that the keystore holds already')
    .option('--forget', 'give up the versions that nothing needs any more: older backups do not open without them')
    .action(async (options: RotateOptions) => (await import('./vault.ts')).rotate(options))
  vault
    .command('purge')
    .description('destroy the data keys whose retention is over, and report it')
    .option('--dry-run', 'only list them')
    .action(async (options: { dryRun?: boolean }) => (await import('./vault.ts')).purge(options))
  vault
    .command('reports')
    .description('signed reports of what was destroyed, newest first')
    .action(async () => (await import('./vault.ts')).reports())
}
