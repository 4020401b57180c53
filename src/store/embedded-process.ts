import { type ChildProcess, execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { setTimeout as sleep } from 'node:timers/promises'
import { promisify } from 'node:util'
import { HubError } from '#kernel/errors.ts'
import type { Account } from './embedded-account.ts'

/** Recovery after a crash replays at most max_wal_size of log; a slow disk needs its time for that. */
const START_LIMIT_MS = 120_000
/** Backends of a server that was killed hold its shared memory for a moment longer. */
const LEFTOVER_WAIT_MS = 10_000
/** How long each signal may take, mildest first: fast shutdown, immediate shutdown, the end. */
const STOP_STEPS = Object.freeze([
  ['SIGINT', 15_000],
  ['SIGQUIT', 5_000],
  ['SIGKILL', 5_000],
] as const)

export interface LaunchPlan {
  readonly binaries: string
  readonly cluster: string
  readonly socketDir: string
  readonly settings: Readonly<Record<string, string>>
  readonly account: Account | undefined
  readonly log: (line: string) => void
}

export interface Server {
  readonly pid: number
  readonly stop: () => Promise<void>
}

/** Nothing of our environment reaches the server: PG* variables and locales would change what it does. */
const ENVIRONMENT = Object.freeze({ PATH: '/usr/bin:/bin', LC_ALL: 'C' })

const identity = (account: Account | undefined): { uid?: number; gid?: number } =>
  account === undefined ? {} : { uid: account.uid, gid: account.gid }

/** Runs a program to its end; `store.unavailable` with its last line when it fails. */
export async function runToEnd(
  program: string,
  args: readonly string[],
  cwd: string,
  account: Account | undefined,
): Promise<void> {
  try {
    await promisify(execFile)(program, args, { cwd, env: ENVIRONMENT, ...identity(account) })
  } catch (cause) {
    const stderr = typeof cause === 'object' && cause !== null && 'stderr' in cause ? String(cause.stderr) : ''
    throw failed(stderr.trim().split('\n').at(-1) || `${program} could not be run`, cause)
  }
}

/** Starts the server and waits until it takes connections. Throws `store.unavailable` with the server's last words. */
export async function launchServer(plan: LaunchPlan): Promise<Server> {
  const patience = performance.now() + LEFTOVER_WAIT_MS
  for (;;) {
    const attempt = await tryLaunch(plan)
    if (!('lastWords' in attempt)) return attempt
    const { lastWords } = attempt
    const leftover = /pre-existing shared memory|lock file .* already exists/.test(lastWords)
    if (!leftover || performance.now() > patience) throw failed(lastWords)
    await sleep(50)
  }
}

async function tryLaunch(plan: LaunchPlan): Promise<Server | { lastWords: string }> {
  const before = await statusFile(plan.cluster)
  const child = spawnServer(plan)
  const words: string[] = []
  if (child.stderr !== null) {
    createInterface({ input: child.stderr }).on('line', (line) => {
      words.push(line)
      if (words.length > 20) words.shift()
      plan.log(line)
    })
  }
  child.on('error', (error) => words.push(`FATAL:  ${error.message}`))
  const onExit = (): void => void child.kill('SIGINT')
  process.once('exit', onExit)
  child.once('close', () => process.removeListener('exit', onExit))

  if (await becomesReady(plan.cluster, child, before)) {
    child.once('exit', (code, cause) => plan.log(`PostgreSQL (pid ${child.pid}) has ended: ${cause ?? code}`))
    return { pid: child.pid ?? 0, stop: () => halt(child) }
  }
  await halt(child)
  return { lastWords: words.find((line) => line.includes('FATAL:')) ?? words.at(-1) ?? 'the server did not start' }
}

function spawnServer(plan: LaunchPlan): ChildProcess {
  const settings = { ...plan.settings, unix_socket_directories: plan.socketDir }
  const args = ['-D', plan.cluster, ...Object.entries(settings).flatMap(([name, value]) => ['-c', `${name}=${value}`])]
  const postgres = join(plan.binaries, 'bin', 'postgres')
  // SIGKILL of the parent runs no handler of ours: the kernel then tells the server to shut down (prctl(2)).
  const setpriv = ['/usr/bin/setpriv', '/bin/setpriv'].find((path) => existsSync(path))
  const [program, argv] =
    process.platform === 'linux' && setpriv !== undefined
      ? [setpriv, ['--pdeathsig', 'INT', '--', postgres, ...args]]
      : [postgres, args]
  return spawn(program, argv, {
    cwd: plan.cluster,
    env: ENVIRONMENT,
    stdio: ['ignore', 'ignore', 'pipe'],
    // Its own session: Ctrl-C in a terminal reaches the hub, which drains before it stops the server.
    detached: true,
    ...identity(plan.account),
  })
}

const statusFile = (cluster: string): Promise<string> =>
  readFile(join(cluster, 'postmaster.pid'), 'utf8').catch(() => '')

/**
 * Whether our own child reports `ready`: postmaster.pid has the pid in line 1 and the status in line 8. The file of an
 * earlier server may still lie there, even with the same pid (containers repeat them), hence `before`.
 */
async function becomesReady(cluster: string, child: ChildProcess, before: string): Promise<boolean> {
  const deadline = performance.now() + START_LIMIT_MS
  while (child.pid !== undefined && child.exitCode === null && child.signalCode === null) {
    const text = await statusFile(cluster)
    const lines = text.split('\n')
    if (text !== before && Number(lines[0]) === child.pid && lines[7]?.trim() === 'ready') return true
    if (performance.now() > deadline) return false
    await sleep(5)
  }
  return false
}

async function halt(child: ChildProcess): Promise<void> {
  for (const [signal, limitMs] of STOP_STEPS) {
    if (child.pid === undefined || child.exitCode !== null || child.signalCode !== null) return
    const ended = once(child, 'exit')
    child.kill(signal)
    await Promise.race([ended, sleep(limitMs, undefined, { ref: false })])
  }
}

function failed(lastWords: string, cause?: unknown): HubError {
  const words = lastWords.replace(/^.*FATAL:\s*/, '')
  return new HubError('store.unavailable', {
    detail: { zh: `内嵌 PostgreSQL 未能启动：${words}`, en: `the embedded PostgreSQL did not start: ${words}` },
    cause,
  })
}
