import { execFile } from 'node:child_process'
import { chmod, mkdir, rm, statfs } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { type EmbeddedPostgres, startEmbeddedPostgres } from '#store/embedded.ts'
import type { ProxyTarget } from '../support/tcp-proxy.ts'
import { createTurns } from './in-turn.ts'

const execute = promisify(execFile)
/** With messages that can be read. */
const run = (command: string, args: readonly string[]) =>
  execute(command, [...args], { env: { ...process.env, LC_ALL: 'C' } })
const DISK = '768m'
/** The log must fit on the small disk many times over. */
const SETTINGS = { max_wal_size: '96MB', min_wal_size: '32MB', max_connections: '150' }
const LAST_BYTES = 16 * 1024 * 1024
const SOCKET = '.s.PGSQL.5432'

/** A durable PostgreSQL that can be stopped, killed and started again on the same data, and whose disk can be full. */
export interface FaultDatabase {
  readonly target: () => ProxyTarget
  /** Why the disk cannot be filled, or undefined. */
  readonly noFullDisk: string | undefined
  /** Starts it where it does not run, be it that we stopped it or that it died; on a full disk it need not succeed. */
  readonly ensure: () => Promise<void>
  /** `fast` breaks its connections and ends in order; `kill` is SIGKILL of the postmaster. */
  readonly stop: (how: 'fast' | 'kill') => Promise<void>
  /** Leaves no block free. */
  readonly fillDisk: () => Promise<void>
  readonly freeDisk: () => Promise<void>
  readonly log: () => readonly string[]
  readonly close: () => Promise<void>
}

/** Runs on a file system of its own in `dir` where we may mount one (as root on Linux). */
export async function openFaultDatabase(dir: string): Promise<FaultDatabase> {
  const disk = join(dir, 'disk')
  await mkdir(disk)
  await chmod(disk, 0o711)
  const noFullDisk = await mount(disk)
  const ballast = join(disk, 'ballast')
  const lines: string[] = []
  let running: EmbeddedPostgres | undefined
  let isFull = false
  const inTurn = createTurns()

  const start = async (): Promise<void> => {
    if (running !== undefined && isAlive(running.pid)) return
    await running?.stop()
    running = undefined
    running = await startEmbeddedPostgres({
      dataDir: join(disk, 'pg'),
      settings: SETTINGS,
      log: (line) => {
        lines.push(line)
        lines.splice(0, lines.length - 200)
      },
    })
  }
  /** Recovery after a crash needs room: on a full disk it may fail, and whoever frees the disk starts it again. */
  const ensure = async (): Promise<void> => {
    const beganFull = isFull
    try {
      await start()
    } catch (error) {
      if (isFull) return
      if (!beganFull) throw error
      await start()
    }
  }
  const stop = async (how: 'fast' | 'kill'): Promise<void> => {
    const { pid } = running ?? {}
    if (how === 'kill' && pid !== undefined && isAlive(pid)) process.kill(pid, 'SIGKILL')
    await running?.stop()
    running = undefined
  }

  await inTurn(start)
  return {
    target: () => ({ path: join(disk, 'pg', SOCKET) }),
    noFullDisk,
    ensure: () => inTurn(ensure),
    stop: (how) => inTurn(() => stop(how)),
    async fillDisk() {
      isFull = true
      await fill(disk, ballast)
    },
    async freeDisk() {
      await emptied(ballast)
      isFull = false
    },
    log: () => lines,
    async close() {
      await inTurn(() => stop('fast'))
      if (noFullDisk === undefined) await run('umount', ['-l', disk])
    },
  }
}

/** Most of it at once, which is quick; then block by block until there is none, because the server takes some meanwhile. */
async function fill(disk: string, ballast: string): Promise<void> {
  const { bavail, bsize } = await statfs(disk)
  const most = bavail * bsize - LAST_BYTES
  if (most > 0) await run('fallocate', ['-l', String(most), `${ballast}-most`]).catch(() => undefined)
  const filled = await run('dd', ['if=/dev/zero', `of=${ballast}-rest`, 'bs=4k']).catch(({ stderr }) => String(stderr))
  if (typeof filled !== 'string' || !filled.includes('No space left')) throw new Error(`${disk} could not be filled`)
}

async function emptied(ballast: string): Promise<void> {
  for (const part of ['most', 'rest']) await rm(`${ballast}-${part}`, { force: true })
}

async function mount(disk: string): Promise<string | undefined> {
  if (process.platform !== 'linux' || process.getuid?.() !== 0) return 'only root on Linux may mount a small disk'
  try {
    await run('mount', ['-t', 'tmpfs', '-o', `size=${DISK},mode=0711`, 'tmpfs', disk])
    return undefined
  } catch {
    return 'this system does not let us mount a small disk'
  }
}

function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0)
  } catch {
    return false
  }
}
