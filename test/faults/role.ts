import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { takePort } from '#sandbox/ports.ts'

const HERE = join(import.meta.dirname, '../..')
const CLOCK_SHIFT = join(import.meta.dirname, 'clock-shift.ts')
const KEPT_LINES = 400

export interface RoleOptions {
  readonly name: string
  readonly roles: string
  /** The folder that holds `src`: another one runs another build. */
  readonly root?: string
  /** Holds the file that shifts its clock. */
  readonly dir: string
  readonly env: Readonly<Record<string, string>>
}

/** `dianqiao start` with some roles, always on the same port; killed, stopped and started again by faults. */
export interface RoleProcess {
  readonly name: string
  readonly port: number
  /** Does nothing while it runs. Does not wait until it is ready. */
  readonly start: (env?: Readonly<Record<string, string>>) => void
  readonly isAlive: () => boolean
  readonly isReady: () => Promise<boolean>
  /** Does nothing when no process runs. */
  readonly signal: (signal: NodeJS.Signals) => void
  /** SIGKILL, and resolves when it has ended. */
  readonly kill: () => Promise<void>
  /** Shifts its wall clock. */
  readonly shiftClock: (ms: number) => void
  /** Ends that no SIGKILL explains, with the exit code. */
  readonly ownEnds: () => readonly string[]
  /** The last lines that its processes wrote to stderr. */
  readonly log: () => readonly string[]
  readonly close: () => Promise<void>
}

/** Takes a port; nothing runs before `start`. */
export async function openRole(options: RoleOptions): Promise<RoleProcess> {
  const { name, roles, root = HERE, dir } = options
  const { port, release } = await takePort()
  const clockFile = join(dir, `${name}.clock`)
  const lines: string[] = []
  const ownEnds: string[] = []
  let running: { readonly child: ChildProcess; readonly ended: Promise<unknown> } | undefined
  const env = {
    ...options.env,
    [roles.includes('gateway') ? 'PORT' : 'OPERATIONS_PORT']: String(port),
    ROLES: roles,
    FAULT_CLOCK_FILE: clockFile,
  }

  const signal = (what: NodeJS.Signals): void => void running?.child.kill(what)
  const kill = async (): Promise<void> => {
    signal('SIGKILL')
    await running?.ended
  }

  return {
    name,
    port,
    start(more = {}) {
      if (running !== undefined) return
      const child = spawnRole(root, { ...env, ...more })
      child.stderr?.setEncoding('utf8').on('data', (text: string) => {
        lines.push(...text.trimEnd().split('\n'))
        lines.splice(0, lines.length - KEPT_LINES)
      })
      const ended = once(child, 'exit').then(([code, by]: unknown[]) => {
        running = undefined
        lines.push(`--- ended by ${by ?? code}`)
        if (by !== 'SIGKILL') ownEnds.push(`${name} ended by itself: ${by ?? code}`)
      })
      running = { child, ended }
    },
    isAlive: () => running !== undefined,
    isReady: () =>
      fetch(`http://127.0.0.1:${port}/health/ready`, { signal: AbortSignal.timeout(2_000) }).then(
        (response) => response.ok,
        () => false,
      ),
    signal,
    kill,
    shiftClock: (ms) => writeFileSync(clockFile, String(ms)),
    ownEnds: () => ownEnds,
    log: () => lines,
    async close() {
      signal('SIGCONT')
      signal('SIGTERM')
      await Promise.race([running?.ended, sleep(5_000, undefined, { ref: false })])
      await kill()
      await release()
    },
  }
}

function spawnRole(root: string, env: NodeJS.ProcessEnv): ChildProcess {
  const child = spawn(process.execPath, ['--import', CLOCK_SHIFT, 'src/main.ts', 'start'], {
    cwd: root,
    // Nothing else of our own environment: a DATABASE_URL of the developer must not reach what is to be killed.
    env: { PATH: process.env['PATH'], ...env },
    stdio: ['ignore', 'ignore', 'pipe'],
  })
  const end = (): void => void child.kill('SIGKILL')
  process.once('exit', end)
  child.once('exit', () => process.off('exit', end))
  return child
}
