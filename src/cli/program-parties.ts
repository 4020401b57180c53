import { type Command, InvalidArgumentError } from 'commander'
import type { LimitOptions } from './parties.ts'
import { addAppKeys } from './program-appkeys.ts'
import { type Answer, wholeNumber } from './program-options.ts'

interface Reason {
  readonly reason: string
}

const WHY = ['--reason <text>', 'why; it is recorded'] as const

function time(text: string): Date {
  const at = new Date(text)
  if (Number.isNaN(at.getTime()) || at.getTime() > Date.now()) {
    throw new InvalidArgumentError('a time in the past, such as 2026-11-01T08:00:00+08:00')
  }
  return at
}

export function addParties(parties: Command, answer: Answer): void {
  parties
    .command('ls')
    .description('every party with its keys and limits')
    .action(async () => (await import('./parties.ts')).listParties())
  parties
    .command('find <name>')
    .description('the party that has this id, name or other name')
    .action(async (name: string) => answer(await (await import('./parties.ts')).find(name)))
  parties
    .command('acts <party>')
    .description('what was done to its entry, by whom and why')
    .action(async (party: string) => (await import('./parties.ts')).showActs(party))
  parties
    .command('add <file>')
    .description('register a party from a YAML file in the shape of an entry of seeds/parties.yaml')
    .action(async (file: string) => (await import('./parties.ts')).add(file))
  parties
    .command('suspend <party>')
    .description('let it do nothing; deliveries to it wait')
    .requiredOption(...WHY)
    .action(async (party: string, { reason }: Reason) => (await import('./parties.ts')).suspend(party, reason))
  parties
    .command('resume <party>')
    .description('let a suspended party act again')
    .requiredOption(...WHY)
    .action(async (party: string, { reason }: Reason) => (await import('./parties.ts')).resume(party, reason))
  parties
    .command('limit <party>')
    .description('limits of its own at each gateway; what is left out is the default')
    .option('--per-second <n>', 'requests and lines', wholeNumber(1, 1_000_000))
    .option('--bytes-per-second <n>', 'bytes of tokens', wholeNumber(1, 1_000_000_000))
    .option('--in-flight <n>', 'what is not answered yet', wholeNumber(1, 100_000))
    .action(async (party: string, options: LimitOptions) => (await import('./parties.ts')).limit(party, options))
  parties
    .command('conform')
    .description('at the party’s side: prove the key to a hub and check that both understand each other')
    .requiredOption('--hub <url>', 'where the hub is')
    .requiredOption('--hub-id <id>', 'its aud')
    .requiredOption('--party <id>', 'who this is')
    .requiredOption('--key <file>', 'the private JWK')
    .action(async (options: { hub: string; hubId: string; party: string; key: string }) =>
      answer(await (await import('./conform.ts')).conform(options)),
    )
  addKeys(parties)
  addAppKeys(parties)
}

function addKeys(parties: Command): void {
  parties
    .command('key-add <party> <file>')
    .description('register a public JWK; it is pending until its holder proves possession')
    .option('--agent <id>', 'the agent that holds it for the party')
    .action(async (party: string, file: string, options: { agent?: string }) =>
      (await import('./parties.ts')).keyAdd(party, file, options.agent),
    )
  parties
    .command('encryption-key <party> <file>')
    .description('register the public JWK (EC P-256) that personal data is wrapped for on the broker')
    .action(async (party: string, file: string) => (await import('./parties.ts')).encryptionKey(party, file))
  for (const [name, to, what] of [
    ['key-replace', 'verify-only', 'a newer key signs from now on; what this one signed before still counts'],
    ['key-retire', 'retired', 'nothing that it signed is taken any more'],
  ] as const) {
    parties
      .command(`${name} <kid>`)
      .description(what)
      .requiredOption(...WHY)
      .action(async (kid: string, options: Reason) => (await import('./parties.ts')).keyMove(kid, to, options))
  }
  parties
    .command('key-revoke <kid>')
    .description('its private half is not the party’s alone any more')
    .requiredOption(...WHY)
    .option('--from <time>', 'since when; what the party sent since then is listed', time)
    .action(async (kid: string, options: Reason & { from?: Date }) =>
      (await import('./parties.ts')).keyMove(kid, 'revoked', options),
    )
}
