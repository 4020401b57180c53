import { execFile } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { link, readFile, rename, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { promisify } from 'node:util'
import { HubError } from '#kernel/errors.ts'

/** How long we wait for the server of a dead hub to end (it was told to, by the kernel or by us). */
const ORPHAN_WAIT_MS = 10_000

interface Owner {
  readonly pid: number
  /** When that process was born: a pid alone may since belong to someone else. */
  readonly since: string
}

/**
 * Claims `dataDir` for this process; the answer gives it back. Throws `store.directory_in_use` with the pid of the
 * owner while that process lives. The claim of a dead process is taken over.
 */
export async function claimDirectory(dataDir: string): Promise<() => Promise<void>> {
  const file = join(dataDir, 'owner.json')
  const self: Owner = { pid: process.pid, since: (await bornAt(process.pid)) ?? '' }
  const mine = JSON.stringify(self)
  const draft = `${file}.${randomUUID()}`
  await writeFile(draft, mine, { mode: 0o600 })
  try {
    while (!(await linkNew(draft, file))) await takeOver(file, dataDir)
  } finally {
    await rm(draft, { force: true })
  }
  return async () => {
    if ((await readText(file)) === mine) await rm(file, { force: true })
  }
}

async function takeOver(file: string, dataDir: string): Promise<void> {
  const text = await readText(file)
  if (text === undefined) return
  const owner = parseOwner(text)
  if (owner !== undefined && (await bornAt(owner.pid)) === owner.since) throw inUse(dataDir, owner.pid)
  const aside = `${file}.${randomUUID()}`
  await rename(file, aside).catch(() => undefined)
  const moved = await readText(aside)
  // two processes took over at once and we moved the other's fresh claim: put it back, the loop then finds it
  if (moved !== undefined && moved !== text) await linkNew(aside, file)
  await rm(aside, { force: true })
}

function parseOwner(text: string): Owner | undefined {
  try {
    const owner = JSON.parse(text) as Partial<Owner> | null
    return typeof owner?.pid === 'number' && typeof owner.since === 'string'
      ? { pid: owner.pid, since: owner.since }
      : undefined
  } catch {
    return undefined
  }
}

async function linkNew(from: string, to: string): Promise<boolean> {
  try {
    await link(from, to)
    return true
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false
    throw error
  }
}

const readText = (file: string): Promise<string | undefined> => readFile(file, 'utf8').catch(() => undefined)

/** What tells this process from a later one with the same pid; undefined when no such process runs. */
async function bornAt(pid: number): Promise<string | undefined> {
  if (process.platform !== 'linux') return ps(pid, 'lstart=')
  const line = await readText(`/proc/${pid}/stat`)
  const fields = line?.slice(line.lastIndexOf(')') + 2).split(' ')
  // proc(5): field 3 is the state (a zombie has ended), field 22 the start in ticks since boot
  if (fields === undefined || fields[0] === 'Z' || fields[0] === 'X') return undefined
  const boot = await readText('/proc/sys/kernel/random/boot_id')
  return `${boot?.trim()} ${fields[19]}`
}

/** The server that runs on this cluster now, by `postmaster.pid` and its command line, or undefined. */
async function runningServer(clusterDir: string): Promise<number | undefined> {
  const pid = Number((await readText(join(clusterDir, 'postmaster.pid')))?.split('\n')[0])
  if (!Number.isInteger(pid) || pid <= 1) return undefined
  const commandLine = process.platform === 'linux' ? await readText(`/proc/${pid}/cmdline`) : await ps(pid, 'command=')
  return commandLine?.includes(clusterDir) && commandLine.includes('postgres') ? pid : undefined
}

/**
 * Ends a server whose hub is dead (we hold the claim, so nobody living uses it) and waits for that. On Linux it is
 * already shutting down. Throws `store.directory_in_use` when it still runs after 10 s.
 */
export async function dismissOrphan(clusterDir: string, log: (line: string) => void): Promise<void> {
  const pid = await runningServer(clusterDir)
  if (pid === undefined) return
  log(`waiting for the PostgreSQL of a dead process to end (pid ${pid})`)
  const deadline = performance.now() + ORPHAN_WAIT_MS
  signal(pid)
  while ((await runningServer(clusterDir)) === pid) {
    if (performance.now() > deadline) throw inUse(clusterDir, pid)
    await sleep(20)
  }
}

function signal(pid: number): void {
  try {
    process.kill(pid, 'SIGINT')
  } catch {
    // it has ended in between, or belongs to another user: then the wait runs into its limit and names the pid
  }
}

async function ps(pid: number, column: string): Promise<string | undefined> {
  const answer = await promisify(execFile)('ps', ['-ww', '-o', column, '-p', String(pid)]).catch(() => undefined)
  return answer?.stdout.trim() || undefined
}

/** The refusal that names who holds the directory. */
function inUse(directory: string, pid: number): HubError {
  return new HubError('store.directory_in_use', {
    detail: {
      zh: `进程 ${pid} 正在使用数据目录 ${directory}`,
      en: `process ${pid} uses the data directory ${directory}`,
    },
  })
}
