import { existsSync, readdirSync, readFileSync } from 'node:fs'

/** USER_HZ of Linux, the unit of /proc/<pid>/stat (proc_pid_stat(5)), is 100 on every architecture that Node runs on. */
const TICK_US = 10_000

interface Stat {
  readonly parent: number
  readonly ownTicks: number
  /** Of children that have ended and were waited for. */
  readonly pastChildrenTicks: number
}

/** Undefined when the process has ended. */
function readStat(pid: number): Stat | undefined {
  try {
    const text = readFileSync(`/proc/${pid}/stat`, 'latin1')
    // The name in parentheses may hold spaces; what follows it are numbers. The first of them is field 4.
    const fields = text
      .slice(text.lastIndexOf(')') + 4)
      .split(' ')
      .map(Number)
    const ticks = (field: number): number => fields[field - 4] ?? 0
    return { parent: ticks(4), ownTicks: ticks(14) + ticks(15), pastChildrenTicks: ticks(16) + ticks(17) }
  } catch {
    return undefined
  }
}

/** The process and all that descend from it. */
function processTree(root: number): number[] {
  const children = new Map<number, number[]>()
  for (const name of readdirSync('/proc')) {
    const pid = Number(name)
    const stat = Number.isInteger(pid) ? readStat(pid) : undefined
    if (stat !== undefined) children.set(stat.parent, [...(children.get(stat.parent) ?? []), pid])
  }
  const found = [root]
  for (const pid of found) found.push(...(children.get(pid) ?? []))
  return found
}

/** A tick is a twentieth of what a short window takes; where the kernel tells ns, all readings are in ns. */
const TELLS_NS = existsSync('/proc/self/schedstat')

/** CPU time that one process has used so far, µs; 0 when it has ended. */
export function cpuOf(pid: number): number {
  if (!TELLS_NS) return (readStat(pid)?.ownTicks ?? 0) * TICK_US
  return threadsOf(pid).reduce((sum, id) => sum + nanosecondsOf(pid, id), 0) / 1_000
}

function threadsOf(pid: number): readonly string[] {
  try {
    return readdirSync(`/proc/${pid}/task`)
  } catch {
    return []
  }
}

/** 0 when the thread has ended since it was listed. */
function nanosecondsOf(pid: number, thread: string): number {
  try {
    return Number.parseInt(readFileSync(`/proc/${pid}/task/${thread}/schedstat`, 'latin1'), 10)
  } catch {
    return 0
  }
}

/** CPU time of a server and all its children, µs; those that have ended are counted by their parent. */
export function cpuOfTree(root: number): number {
  const living = processTree(root).reduce((sum, pid) => sum + cpuOf(pid), 0)
  return living + (readStat(root)?.pastChildrenTicks ?? 0) * TICK_US
}

/** Proportional set size of a process tree, MB: memory that several share counts once. */
export function pssOfTree(root: number): number {
  let kilobytes = 0
  for (const pid of processTree(root)) {
    try {
      kilobytes += Number(/^Pss:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/smaps_rollup`, 'latin1'))?.[1] ?? 0)
    } catch (error) {
      // ended since it was listed
      if ((error as NodeJS.ErrnoException).code === 'EACCES') throw error
    }
  }
  return kilobytes / 1024
}
