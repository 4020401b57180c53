import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { prepare } from '#cli/boot.ts'
import { readConfig } from '#config.ts'
import { takePort } from '#sandbox/ports.ts'

const ROOT = join(import.meta.dirname, '../..')

export interface HubProcessOptions {
  /** Keys, and the embedded database where no other is given. */
  readonly dataDir: string
  /** Absent: the hub's own embedded PostgreSQL. */
  readonly databaseUrl?: string
  /** Base URLs of the peers by the endpoint names of the connector manifests. */
  readonly endpoints: Readonly<Record<string, string>>
  readonly env?: Readonly<Record<string, string>>
  /** The folder whose build runs; default this one. */
  readonly root?: string
}

export interface Ended {
  readonly code: number | null
  readonly signal: NodeJS.Signals | null
}

/** The real hub in a process of its own, always on the same port, so that it can be killed and started again. */
export interface HubProcess {
  readonly url: string
  readonly keysDir: string
  /** Milliseconds until `/health/ready` answered; undefined when the process ended before that. */
  start(env?: Readonly<Record<string, string>>): Promise<number | undefined>
  /** Resolves when the process that was started last has ended. */
  ended(): Promise<Ended>
  /** SIGKILL, which nothing can tidy up after. */
  kill9(): Promise<void>
  /** SIGHUP: contracts and schemas are read again. */
  reload(): void
  /** SIGTERM; does nothing when no process runs. */
  stop(): Promise<Ended | undefined>
  /** Stops it for good and gives its port back. */
  close(): Promise<void>
  /** What the processes wrote to stderr so far. */
  log(): string
}

/** Every time as short as it can be, so that a crash test waits for work and never for a lease. */
export const QUICK = {
  DRAIN_MS: '0',
  RELAY_REPUBLISH_AFTER_MS: '1500',
  RELAY_LEASE_MS: '1000',
  SWEEP_EVERY_MS: '200',
  CONNECTOR_SCHEDULE_MS: Array.from({ length: 40 }, (_, n) => Math.min(500, 50 * (n + 1))).join(','),
  CONNECTOR_TIMEOUT_MS: '500',
  CONNECTOR_LEASE_MS: '1200',
  CONNECTOR_PROBE_MS: '300',
}

const START_WITHIN_MS = 30_000

/** Prepares database and keys once; nothing runs before `start`. */
export async function openHubProcess(options: HubProcessOptions): Promise<HubProcess> {
  const { port, release } = await takePort()
  const base = {
    ...QUICK,
    PORT: String(port),
    DATA_DIR: options.dataDir,
    ...(options.databaseUrl === undefined ? {} : { DATABASE_URL: options.databaseUrl }),
    ...Object.fromEntries(Object.entries(options.endpoints).map(([name, url]) => [variableOf(name), url])),
    ...options.env,
  }
  const config = readConfig(base, process.getuid?.() === 0)
  if (options.databaseUrl !== undefined) await prepare(config, options.databaseUrl)
  const url = `http://127.0.0.1:${port}`
  let running: { readonly child: ChildProcess; readonly ended: Promise<Ended> } | undefined
  let log = ''

  const signal = async (name: NodeJS.Signals): Promise<Ended | undefined> => {
    running?.child.kill(name)
    return running?.ended
  }

  return {
    url,
    keysDir: config.partyKeysDir,
    async start(env = {}) {
      const begun = performance.now()
      const child = spawnHub(options.root ?? ROOT, { ...base, ...env })
      child.stderr?.on('data', (chunk: Buffer) => {
        log += chunk.toString('utf8')
      })
      const ended = once(child, 'exit').then(([code, by]) => ({ code, signal: by }) as Ended)
      running = { child, ended }
      const ready = await Promise.race([untilReady(url, child), ended.then(() => false)])
      if (child.exitCode !== null && child.exitCode !== 0) throw new Error(`the hub did not start:\n${log}`)
      return ready ? performance.now() - begun : undefined
    },
    ended: () => running?.ended ?? Promise.reject(new Error('no hub was started')),
    async kill9() {
      await signal('SIGKILL')
    },
    reload: () => void running?.child.kill('SIGHUP'),
    stop: () => signal('SIGTERM'),
    async close() {
      await signal('SIGTERM')
      await release()
    },
    log: () => log,
  }
}

function spawnHub(root: string, env: NodeJS.ProcessEnv): ChildProcess {
  const child = spawn(process.execPath, ['src/main.ts', 'start'], {
    cwd: root,
    // Nothing else of our own environment: a DATABASE_URL of the developer must not reach a hub that is to be killed.
    env: { PATH: process.env['PATH'], ...env },
    stdio: ['ignore', 'ignore', 'pipe'],
  })
  const end = (): void => {
    child.kill('SIGKILL')
  }
  process.once('exit', end)
  child.once('exit', () => process.off('exit', end))
  return child
}

async function untilReady(url: string, child: ChildProcess): Promise<boolean> {
  const until = performance.now() + START_WITHIN_MS
  while (child.exitCode === null && child.signalCode === null) {
    const ready = await fetch(`${url}/health/ready`).then(
      (response) => response.ok,
      () => false,
    )
    if (ready) return true
    if (performance.now() > until) throw new Error(`the hub was not ready within ${START_WITHIN_MS} ms`)
    await sleep(40)
  }
  return false
}

const variableOf = (endpoint: string): string => `ENDPOINT_${endpoint.toUpperCase().replaceAll('-', '_')}`
