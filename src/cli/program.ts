import { Command, CommanderError } from 'commander'
import { ROLES } from '#config.ts'
import { asHubError } from '#kernel/errors.ts'
import type { WhyOptions } from './grants.ts'
import { printError } from './output.ts'
import { addConsents } from './program-consents.ts'
import { addContracts } from './program-contracts.ts'
import { addUploads } from './program-files.ts'
import { type Answer, wholeNumber } from './program-options.ts'
import { addParties } from './program-parties.ts'
import { addStandards } from './program-standards.ts'
import { addSubjects } from './program-subjects.ts'
import { addVault } from './program-vault.ts'
import type { TopicOptions } from './topics.ts'

/** Exit codes (CONSOLE): 0 ok · 1 failed · 2 usage · 3 answered "no" · 5 unreachable. */
const EXIT = { ok: 0, failed: 1, usage: 2, no: 3, unreachable: 5 } as const

/**
 * The CLI `dianqiao`. stdout carries data only; everything else goes to stderr. Each command's module is loaded when
 * it runs, so that `--help` answers at once.
 */
export async function runCli(argv: readonly string[]): Promise<number> {
  let exitCode: number = EXIT.ok
  const program = createProgram((code) => {
    exitCode = code
  })
  try {
    await program.parseAsync([...argv])
    return exitCode
  } catch (error) {
    if (error instanceof CommanderError) return error.exitCode === 0 ? EXIT.ok : EXIT.usage
    const hubError = asHubError(error)
    printError(hubError)
    if (hubError.code === 'cli.usage') return EXIT.usage
    if (hubError.code === 'case.not_found') return EXIT.no
    return hubError.retriable && hubError.code !== 'hub.internal' ? EXIT.unreachable : EXIT.failed
  }
}

function createProgram(answer: Answer): Command {
  const program = new Command('dianqiao')
    .description('电桥: signed exchanges between government platforms and power utilities')
    .exitOverride()
  addHub(program, answer)
  addCases(program.command('case').description('cases folded from the log'))
  addDead(
    program.command('dead').description('deliveries that wait for an operator: rejected for good, or parked'),
    answer,
  )
  addTopics(program.command('topics').description('Kafka topics of the parties'))
  addParties(program.command('party').description('the register of parties, their keys, standing and limits'), answer)
  addGrants(program.command('grant').description('who may ask what, for which purpose'), answer)
  addConsents(program.command('consent').description('consents of people and companies'), answer)
  addSubjects(program.command('subject').description('people and companies that data is about'))
  addStandards(program.command('standard').description('dated limits of stages, time, approval and cost'), answer)
  addUploads(program.command('file').description('files that parties upload and name in exchanges'))
  addVault(program.command('vault').description('encryption at rest: data keys, retention, rotation'))
  program
    .command('ledger-tasks')
    .description('the tasks of the ledger, and what answers each here, a JSON line each')
    .action(async () => (await import('./ledger-tasks.ts')).listLedgerTasks())
  addFiles(program, answer)
  addTokens(program.command('token').description('compact tokens'), answer)
  return program
}

function addHub(program: Command, answer: Answer): void {
  program
    .command('start')
    .description('start the configured roles; PostgreSQL and sandbox peers included where none is configured')
    .option('--roles <roles>', `in place of ROLES: ${ROLES.join(', ')}, comma-separated`)
    .action(async ({ roles }: { roles?: string }) => answer(await (await import('./start.ts')).start(roles)))
  program
    .command('demo')
    .description('play the main job end to end and check every answer')
    .option('--json', 'one JSON line a step')
    .option(
      '--real',
      'over a Kafka and on a PostgreSQL that are started for it (Java 17 or later, Maven the first time)',
    )
    .action(async ({ json = false, real = false }: { json?: boolean; real?: boolean }) =>
      answer(await (await import('./demo.ts')).demo({ json, real })),
    )
  program
    .command('sandbox')
    .description('only the scripted systems of the utilities, on PORT and the ports after it')
    .action(async () => (await import('./sandbox.ts')).sandbox())
  program
    .command('doctor')
    .description('look at database, broker, keys, clock, contracts and peers: what is wrong and what to do')
    .option('--json', 'one JSON line a finding')
    .action(async (options: { json?: boolean }) =>
      answer(await (await import('./doctor.ts')).doctor(options.json === true)),
    )
  program
    .command('migrate')
    .description('bring the database to this program’s schema')
    .action(async () => (await import('./store.ts')).migrateStore())
  program
    .command('seed')
    .description('register the seeded parties; their keys are made here and never leave the key folder')
    .action(async () => (await import('./store.ts')).seedStore())
}

function addCases(cases: Command): void {
  cases
    .command('show <number>')
    .description('a case by any of its numbers')
    .action(async (number: string) => (await import('./cases.ts')).showCase(number))
  cases
    .command('rebuild')
    .description('fold the whole log again')
    .action(async () => (await import('./cases.ts')).rebuild())
}

interface DeadOptions {
  readonly connector: string
  readonly reason: string
}

function addDead(dead: Command, answer: Answer): void {
  dead
    .command('ls')
    .description('dead and parked deliveries of a connector')
    .requiredOption('--connector <id>', 'connector id')
    .action(async ({ connector }: DeadOptions) => answer(await (await import('./dead.ts')).listDead(connector)))
  dead
    .command('replay <delivery>')
    .description('try a dead delivery again, with the same effect key')
    .requiredOption('--connector <id>', 'connector id')
    .requiredOption('--reason <text>', 'why; it is recorded')
    .action(async (delivery: string, options: DeadOptions) =>
      answer(await (await import('./dead.ts')).replay({ delivery, ...options })),
    )
  dead
    .command('skip <delivery>')
    .description('give a dead delivery up and let its key go on')
    .requiredOption('--connector <id>', 'connector id')
    .requiredOption('--reason <text>', 'why; it is recorded')
    .action(async (delivery: string, options: DeadOptions) =>
      answer(await (await import('./dead.ts')).skip({ delivery, ...options })),
    )
  dead
    .command('decide <delivery>')
    .description('say what became of a parked delivery: its system may have acted, and nobody could confirm it')
    .requiredOption('--connector <id>', 'connector id')
    .requiredOption(
      '--outcome <outcome>',
      'applied (it is there), absent (send again), ask (look up again) or rejected (give up)',
    )
    .option('--ref <number>', 'the number that the system gave it, for applied')
    .requiredOption('--reason <text>', 'why; it is recorded')
    .action(async (delivery: string, options: DeadOptions & { outcome: string; ref?: string }) =>
      answer(await (await import('./dead.ts')).decide({ delivery, ...options })),
    )
}

function addTopics(topics: Command): void {
  topics
    .command('apply')
    .description('create what is missing and set what differs; nothing is ever deleted')
    .option('--partitions <n>', 'of the outbound topics (default 6 for new ones)', wholeNumber(1, 1_000))
    .option('--replication <n>', 'copies of each partition', wholeNumber(1, 9), 3)
    .option('--retention-days <n>', 'how long the brokers keep records', wholeNumber(1, 30), 7)
    .option(
      '--new-generation <party...>',
      'send deliveries of these parties to a new topic, under new keys; the old one is drained key by key',
      [],
    )
    .option('--acls', 'give each party’s Kafka user, named like the party, its own topics and no others', false)
    .action(async (options: TopicOptions) => (await import('./topics.ts')).apply(options))
  topics
    .command('ls')
    .description('the generations of each outbound topic and what they still hold')
    .action(async () => (await import('./topics.ts')).list())
}

function addGrants(grants: Command, answer: Answer): void {
  grants
    .command('why')
    .description('every grant that a query would be judged by, and why it covers the query or not')
    .requiredOption('--party <id>', 'who asks, or for whom')
    .requiredOption('--contract <name@major>', 'the query contract')
    .requiredOption('--purpose <purpose>', 'as in the query')
    .requiredOption('--legal-basis <basis>', 'consent, mandate, duty or contract')
    .option('--field <name...>', 'fields that would be asked for; default all that are granted')
    .option('--source <address>', 'IP address it would come from')
    .action(async (options: WhyOptions) => answer(await (await import('./grants.ts')).why(options)))
}

function addFiles(program: Command, answer: Answer): void {
  const connectors = program.command('connector').description('connector folders')
  connectors
    .command('test [folder...]')
    .description('run the fixtures of connector folders, offline')
    .action(async (folders: string[]) => answer(await (await import('./connectors.ts')).testConnectors(folders)))
  connectors
    .command('resume <id>')
    .description('use the endpoint of a connector again after its breaker was opened')
    .action(async (id: string) => (await import('./dead.ts')).resume(id))
  program
    .command('error')
    .description('error codes')
    .command('ls')
    .description('every code with its status, meaning and way out, as a Markdown table')
    .option('--lang <zh|en>', 'language', 'zh')
    .action(async ({ lang }: { lang: string }) => (await import('./errors.ts')).listErrors(lang))
  addContracts(program.command('contract').description('contracts and schemas'), answer)
}

function addTokens(tokens: Command, answer: Answer): void {
  tokens
    .command('sign <typ>')
    .description('sign claims (JSON on stdin) with a private JWK file')
    .requiredOption('--key <file>', 'private JWK')
    .action(async (typ: string, options: { key: string }) => (await import('./tokens.ts')).signToken(typ, options.key))
  tokens
    .command('decode')
    .description('header and claims of a token on stdin; nothing is verified')
    .option('--reveal', 'personal values as they are, not masked', false)
    .action(async ({ reveal }: { reveal: boolean }) => (await import('./tokens.ts')).decodeToken(reveal))
  tokens
    .command('verify')
    .description('verify a token on stdin with a JWK Set file')
    .requiredOption('--jwks <file>', 'JWK Set or single JWK')
    .option('--reveal', 'personal values as they are, not masked', false)
    .action(async ({ jwks, reveal }: { jwks: string; reveal: boolean }) =>
      answer(await (await import('./tokens.ts')).verifyToken(jwks, reveal)),
    )
}
