import { setTimeout as sleep } from 'node:timers/promises'
import { type Child, startChild } from './child.ts'
import type { Asked } from './licences.ts'
import type { LoadResult, Target } from './load-process.ts'
import type { MessageKind } from './message.ts'
import { cpuOf, cpuOfTree } from './processes.ts'
import type { World } from './world.ts'

/** One window of load on one target. CPU in µs per exchange. */
export interface Window extends LoadResult {
  readonly perSecond: number
  readonly processUs: number
  readonly postgresUs: number
  readonly cpuUs: number
}

export interface Subject {
  readonly target: Target
  /** The processes under test. */
  readonly pids: readonly number[]
}

export interface LoadGenerator {
  closed(subject: Subject, concurrency: number, count: number): Promise<Window>
  steady(subject: Subject, perSecond: number, count: number): Promise<Window>
  stop(): Promise<void>
}

/** Below so many seconds it is a quick look, which nobody quotes. */
const QUICK_SECONDS = 10

/** How often a bench of so many seconds takes its turns. */
export const turnsIn = (seconds: number, turns: number): number => (seconds < QUICK_SECONDS ? 1 : turns)

/** What PostgreSQL and the collector still do for a window is counted in it. */
const SETTLE_MS = 60

/** Sends messages of a kind, or queries about `what`. */
export async function openLoadGenerator(
  world: World,
  what: MessageKind | readonly Asked[] = 'result',
): Promise<LoadGenerator> {
  const child = startChild('load-process.ts')
  await child.ask('open', { keysDir: world.keysDir, what })

  async function measure(subject: Subject, method: string, input: object, count: number): Promise<Window> {
    await child.ask('sign', { count })
    const cpuOfSubject = (): number => subject.pids.reduce((sum, pid) => sum + cpuOf(pid), 0)
    const processBefore = cpuOfSubject()
    const postgresBefore = cpuOfTree(world.postgresPid)
    const result = (await child.ask(method, { ...subject.target, ...input })) as LoadResult
    await sleep(SETTLE_MS)
    const processUs = (cpuOfSubject() - processBefore) / result.sent
    const postgresUs = (cpuOfTree(world.postgresPid) - postgresBefore) / result.sent
    if (result.sent !== count || result.verified === 0) throw new Error(`${result.sent} of ${count} exchanges answered`)
    return { ...result, perSecond: result.sent / result.seconds, processUs, postgresUs, cpuUs: processUs + postgresUs }
  }

  return {
    closed: (subject, concurrency, count) => measure(subject, 'closed', { concurrency }, count),
    steady: (subject, perSecond, count) => measure(subject, 'steady', { perSecond }, count),
    stop: child.stop,
  }
}

/** Starts the bare process on a database of its own. */
export async function startFloor(world: World, senderJwk: object): Promise<{ subject: Subject; child: Child }> {
  const child = startChild('floor-process.ts')
  const target = await child.ask('start', { databaseUrl: await world.createDatabase('floor'), senderJwk })
  return { subject: { target: target as Target, pids: [child.pid] }, child }
}
