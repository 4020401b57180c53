import { NONE, type Violations } from './check.ts'
import { type Cluster, openCluster, PROCESSES } from './cluster.ts'
import { FAULT_KIND_NAMES, type FaultKindName } from './fault-kinds.ts'
import { playRound, type Round } from './round.ts'
import { faultLine, planSchedule } from './schedule.ts'

export interface RunOptions {
  readonly seed: number
  /** Rounds to play, and the number of the first; one round alone is replayed by its number. */
  readonly schedules: number
  readonly from: number
  /** Leaves the folder of the run behind. */
  readonly keep: boolean
  /** Tells when each fault began and ended, of clean rounds too. */
  readonly trace: boolean
  readonly say: (line: string) => void
}

export interface RunReport {
  readonly seed: number
  readonly schedules: number
  readonly faults: Readonly<Partial<Record<FaultKindName, number>>>
  /** Kinds that this machine cannot play, with the reason. */
  readonly leftOut: readonly string[]
  readonly messages: number
  readonly pushes: number
  readonly seconds: number
  /** Counted over all rounds; all zero when every promise was kept. */
  readonly violations: Readonly<Record<keyof Violations, number>>
  readonly troubles: number
}

/** Plays rounds on one cluster until all are played or one fails. */
export async function runSchedules(options: RunOptions): Promise<RunReport> {
  const begun = performance.now()
  const cluster = await openCluster()
  const { noFullDisk } = cluster.database
  const without = new Set<FaultKindName>(noFullDisk === undefined ? [] : ['full-disk'])
  if (noFullDisk !== undefined) options.say(`full-disk is left out: ${noFullDisk}`)
  if (options.keep) options.say(`folder: ${cluster.dir}`)
  const rounds: Round[] = []
  try {
    for (let n = options.from; n < options.from + options.schedules; n++) {
      const round = await playRound(cluster, planSchedule(options.seed, n, without))
      rounds.push(round)
      options.say(roundLine(round))
      if (options.trace) for (const line of round.trace) options.say(`  ${line}`)
      if (!isClean(round)) {
        explain(round, cluster, options.say)
        break
      }
    }
  } finally {
    await cluster.close(options.keep)
  }
  const seconds = Math.round((performance.now() - begun) / 1_000)
  return reportOf(options.seed, rounds, seconds, noFullDisk === undefined ? [] : [`full-disk: ${noFullDisk}`])
}

const isClean = ({ violations, troubles }: Round): boolean =>
  troubles.length === 0 && Object.values(violations).every((sentences: readonly string[]) => sentences.length === 0)

/** The line that ends a run. */
export function summaryLine(report: RunReport): string {
  const faults = Object.entries(report.faults).map(([kind, count]) => `${kind} ${count}`)
  const found = [...Object.entries(report.violations), ['troubles', report.troubles] as const]
  const wrong = found.reduce((sum, [, count]) => sum + count, 0)
  const sets = found.map(([kind, count]) => `${kind} ${count}`).join(', ')
  const leftOut = report.leftOut.length === 0 ? '' : `; left out: ${report.leftOut.join(', ')}`
  return (
    `seed ${report.seed}: ${report.schedules} schedules, ${report.messages} messages in ${report.pushes} pushes, ` +
    `faults: ${faults.join(', ')}${leftOut}; ${wrong === 0 ? 'no violation' : `${wrong} VIOLATIONS`} (${sets}), ${report.seconds} s`
  )
}

function roundLine({ schedule, messages, pushes, seconds, ...round }: Round): string {
  const faults = schedule.faults.map(({ kind, where }) => `${kind} ${where}`).join(', ') || 'no fault'
  const verdict = isClean({ schedule, messages, pushes, seconds, ...round }) ? 'clean' : 'VIOLATED'
  return `#${schedule.number}  ${verdict}  ${messages} messages, ${pushes} pushes, ${seconds.toFixed(1)} s  ${faults}`
}

const TAIL = 12

function explain(
  { schedule, trace, violations, troubles }: Round,
  cluster: Cluster,
  say: (line: string) => void,
): void {
  say(`replay: npm run faults -- --seed ${schedule.seed} --from ${schedule.number} --schedules 1`)
  for (const fault of schedule.faults) say(`  ${faultLine(fault)}`)
  say('trace:')
  for (const line of trace) say(`  ${line}`)
  for (const [kind, sentences] of Object.entries(violations) as [string, readonly string[]][]) {
    for (const sentence of sentences) say(`  ${kind}: ${sentence}`)
  }
  for (const trouble of troubles) say(`  ${trouble}`)
  for (const name of PROCESSES) {
    say(`log of ${name}:`)
    for (const line of cluster.role(name).log().slice(-TAIL)) say(`  ${line.slice(0, 600)}`)
  }
  say('log of the database:')
  for (const line of cluster.database.log().slice(-TAIL)) say(`  ${line}`)
}

function reportOf(seed: number, rounds: readonly Round[], seconds: number, leftOut: readonly string[]): RunReport {
  const sum = (of: (round: Round) => number): number => rounds.reduce((total, round) => total + of(round), 0)
  const countOf = (kind: FaultKindName): number =>
    sum(({ schedule }) => schedule.faults.filter((fault) => fault.kind === kind).length)
  const violations = Object.fromEntries(
    (Object.keys(NONE) as (keyof Violations)[]).map((kind) => [kind, sum((round) => round.violations[kind].length)]),
  ) as Record<keyof Violations, number>
  return {
    seed,
    schedules: rounds.length,
    faults: Object.fromEntries(
      FAULT_KIND_NAMES.map((kind) => [kind, countOf(kind)] as const).filter(([, count]) => count > 0),
    ),
    leftOut,
    messages: sum((round) => round.messages),
    pushes: sum((round) => round.pushes),
    seconds,
    violations,
    troubles: sum((round) => round.troubles.length),
  }
}
