import { spawn } from 'node:child_process'
import path from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { startHub } from './hub.ts'
import { ROOT } from './message.ts'
import { pssOfTree } from './processes.ts'
import { type Bench, median, rounded } from './report.ts'
import { temporaryDir } from './world.ts'

/** Between the start and the look at the memory: all loops have turned, nothing is under way. */
const IDLE_MS = 3_000
/** A round takes about this long on two cores. */
const ROUND_SECONDS = 12

interface Round {
  readonly firstStartMs: number
  readonly secondStartMs: number
  readonly idleMb: number
  readonly demoMs: number
}

/** Start with initdb, start on existing data, idle memory of the whole process tree, and the demo. */
export const start: Bench = async ({ seconds, say }) => {
  const rounds: Round[] = []
  const wanted = Math.max(1, Math.min(5, Math.floor(seconds / ROUND_SECONDS)))
  while (rounds.length < wanted) rounds.push(await round())
  const middle = (pick: (round: Round) => number): number => rounded(median(rounds.map(pick)))
  const figures = {
    firstStartMs: middle((one) => one.firstStartMs),
    secondStartMs: middle((one) => one.secondStartMs),
    idleMb: middle((one) => one.idleMb),
    demoMs: middle((one) => one.demoMs),
  }
  say(`medians of ${rounds.length}; all roles, embedded PostgreSQL, sandbox peers`)
  say(`  first start, with initdb   ${figures.firstStartMs} ms until ready`)
  say(`  second start               ${figures.secondStartMs} ms until ready`)
  say(`  idle memory                ${figures.idleMb} MB PSS of the whole process tree`)
  say(`  demo                       ${figures.demoMs} ms from process start to exit`)
  const none = { perSecond: null, p50Ms: null, p99Ms: null, ratio: null, floorUs: null, cpuUs: null, shares: null }
  return { bench: 'start', ...none, figures, ok: true }
}

async function round(): Promise<Round> {
  const directory = temporaryDir()
  try {
    const env = { PORT: '0', DATA_DIR: path.join(directory.path, 'data') }
    const first = await startHub(env)
    await first.stop()
    const second = await startHub(env)
    await sleep(IDLE_MS)
    const idleMb = pssOfTree(second.pid)
    await second.stop()
    return { firstStartMs: first.startedInMs, secondStartMs: second.startedInMs, idleMb, demoMs: await demo() }
  } finally {
    directory.remove()
  }
}

async function demo(): Promise<number> {
  const begun = performance.now()
  const child = spawn(process.execPath, [path.join(ROOT, 'src/main.ts'), 'demo', '--json'], {
    env: { PATH: process.env['PATH'] },
    stdio: ['ignore', 'ignore', 'inherit'],
  })
  const code = await new Promise<number | null>((resolve) => child.once('exit', resolve))
  if (code !== 0) throw new Error(`the demo ended with ${code}`)
  return performance.now() - begun
}
