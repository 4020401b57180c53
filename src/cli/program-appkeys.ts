import { type Command, Option } from 'commander'
import { SIGN_METHODS } from '#trust/mac.ts'
import type { AppKeyOptions } from './app-keys.ts'

/** AppKeys are for parties that send plain JSON with a MAC because they cannot sign. */
export function addAppKeys(parties: Command): void {
  parties
    .command('appkey-add <party>')
    .description('issue an AppKey for plain JSON with a MAC; its secret is told this once')
    .requiredOption('--network <cidr...>', 'where its requests come from, such as 10.20.0.0/24')
    .option('--contract <name@major...>', 'what it may send; without it, whatever the party may')
    .addOption(new Option('--method <method>').choices(SIGN_METHODS).default(SIGN_METHODS[0]))
    .option('--secret-file <file>', 'write the secret there, readable by you alone, and not to stdout')
    .action(async (party: string, options: AppKeyOptions) => (await import('./app-keys.ts')).appKeyAdd(party, options))
  parties
    .command('appkey-ls')
    .description('every AppKey, without its secret')
    .action(async () => (await import('./app-keys.ts')).listAppKeys())
  parties
    .command('appkey-revoke <appkey>')
    .description('nothing that it sends is taken any more')
    .requiredOption('--reason <text>', 'why; it is recorded')
    .action(async (id: string, { reason }: { reason: string }) =>
      (await import('./app-keys.ts')).appKeyRevoke(id, reason),
    )
  parties
    .command('appkey-evidence <exchange>')
    .description('the request that an exchange came with, its MAC made again')
    .option('--out <file>', 'write the request there as it arrived, readable by you alone')
    .action(async (exchange: string, { out }: { out?: string }) =>
      (await import('./app-keys.ts')).appKeyEvidence(exchange, out),
    )
}
