import { setTimeout as sleep } from 'node:timers/promises'
import { NONE, type Violations } from './check.ts'
import { type Cluster, GATEWAYS } from './cluster.ts'
import { type Fault, kindOf } from './fault-kinds.ts'
import { CHIFENG, caseMessages, HOHHOT, type Message } from './messages.ts'
import { startOperator } from './operator.ts'
import { type Outside, openOutside } from './outside.ts'
import { seededRandom } from './random.ts'
import { faultLine, type Schedule } from './schedule.ts'

/** What one schedule brought to light. */
export interface Round {
  readonly schedule: Schedule
  readonly messages: number
  readonly pushes: number
  readonly seconds: number
  readonly violations: Violations
  /** Refusals that no fault explains, faults that could not be played, processes that did not come back. */
  readonly troubles: readonly string[]
  /** When each fault really began and ended. */
  readonly trace: readonly string[]
}

const LOAD_MS = 2_500
const PATIENCE_MS = 4_000
const ANSWER_WITHIN_MS = 60_000
const QUIET_WITHIN_MS = 60_000

/** A gateway whose clock is wrong judges freshness wrongly; such a refusal is none of the token's. */
const CLOCK_REFUSALS: ReadonlySet<string | undefined> = new Set([
  'token.expired',
  'token.not_yet_valid',
  'token.key_inactive',
])

/** Plays one schedule under load, heals everything, lets it come to rest and judges its own messages. */
export async function playRound(cluster: Cluster, schedule: Schedule): Promise<Round> {
  const begun = performance.now()
  const trace: string[] = []
  const troubles: string[] = []
  const note = (line: string): void =>
    void trace.push(`${String(Math.round(performance.now() - begun)).padStart(6)} ms  ${line}`)
  const hasWrongClock = schedule.faults.some(({ kind }) => kind === 'clock-jump')
  const outside = openOutside({
    keysDir: cluster.keysDir,
    peers: cluster.peers,
    historyDir: cluster.dir,
    clients: cluster.clients,
    statusUrl: () => cluster.directUrl(GATEWAYS[0] ?? ''),
    excuses: (code) => hasWrongClock && CLOCK_REFUSALS.has(code),
    patienceMs: PATIENCE_MS,
    quietWithinMs: QUIET_WITHIN_MS,
  })
  // Clients know the hub's keys before anything goes wrong: what they then send is the load, not its preparation.
  for (const { sender } of [CHIFENG, HOHHOT]) {
    for (const gateway of GATEWAYS) await outside.client(sender, cluster.clientUrl(gateway))
  }
  const started = performance.now()
  const load = Promise.all(
    Array.from({ length: schedule.lanes }, (_, lane) =>
      beClient(cluster, outside, schedule, lane).catch((error: unknown) => {
        troubles.push(error instanceof Error ? error.message : String(error))
      }),
    ),
  )
  await Promise.all(
    schedule.faults.map(async (fault) => {
      await playFault(cluster, fault, started, note).catch((error: unknown) => {
        troubles.push(`${faultLine(fault)}: ${error instanceof Error ? error.message : String(error)}`)
      })
    }),
  )
  const notReady = await cluster.recover()
  note('all is healed')
  troubles.push(...notReady.map((name) => `${name} did not become ready again`))
  await load
  note('all is answered')
  const operator = startOperator(cluster.databaseUrl, note)
  const violations = await outside.judge().catch((error: unknown) => {
    troubles.push(`the history could not be judged: ${error instanceof Error ? error.message : String(error)}`)
    return NONE
  })
  await operator.stop().catch((error: unknown) => {
    troubles.push(`the operator could not work: ${error instanceof Error ? error.message : String(error)}`)
  })
  note('all is judged')
  return {
    schedule,
    messages: new Set(outside.pushes.map(({ message }) => message)).size,
    pushes: outside.pushes.length,
    seconds: (performance.now() - begun) / 1_000,
    violations,
    troubles,
    trace,
  }
}

async function playFault(cluster: Cluster, fault: Fault, started: number, note: (line: string) => void): Promise<void> {
  const kind = kindOf(fault)
  await sleep(Math.max(0, started + fault.atMs - performance.now()))
  note(`${faultLine(fault)}: begins`)
  await kind.start(cluster, fault)
  await sleep(fault.forMs)
  await kind.heal(cluster, fault)
  note(`${fault.kind} ${fault.where}: is healed`)
}

/** Sends cases, one message after the other, through both gateways in turn; sometimes twice at once. */
async function beClient(cluster: Cluster, outside: Outside, schedule: Schedule, lane: number): Promise<void> {
  const random = seededRandom(schedule.loadSeed + lane)
  const started = performance.now()
  const urlOf = (attempt: number): string => cluster.clientUrl(GATEWAYS[(lane + attempt) % GATEWAYS.length] ?? '')
  for (let n = 0; performance.now() - started < LOAD_MS; n++) {
    const messages = nextCase(
      random() < 0.5,
      random.between(1, 5),
      lane,
      `s${schedule.seed}-${schedule.number}-${lane}-${n}`,
    )
    for (const message of messages) {
      await sleep(random.between(20, 250))
      const giveUp = performance.now() + ANSWER_WITHIN_MS
      const again = random() < 0.1 ? outside.push(message, urlOf(1)) : undefined
      await Promise.all([
        outside.pushUntilAnswered(message, (attempt) => (performance.now() > giveUp ? undefined : urlOf(attempt))),
        again,
      ])
    }
  }
}

/** The application before or behind the first result of its case: what comes before it waits for it. */
function nextCase(applicationFirst: boolean, results: number, lane: number, name: string): readonly Message[] {
  const { application, result } = caseMessages(lane % 2 === 0 ? CHIFENG : HOHHOT, name)
  const all = Array.from({ length: results }, (_, n) => result(n + 1))
  return all.toSpliced(applicationFirst ? 0 : 1, 0, application)
}
