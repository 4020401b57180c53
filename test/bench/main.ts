import { parseArgs } from 'node:util'
import type { Bench } from './report.ts'

/** The benches by name; loaded when asked for. */
const BENCHES: Readonly<Record<string, () => Promise<Bench>>> = {
  floor: async () => (await import('./floor.ts')).floor,
  accept: async () => (await import('./accept.ts')).accept,
  deliver: async () => (await import('./deliver.ts')).deliver,
  endpoints: async () => (await import('./endpoints.ts')).endpoints,
  fetch: async () => (await import('./fetch.ts')).fetch,
  load: async () => (await import('./load.ts')).load,
  grow: async () => (await import('./grow.ts')).grow,
  neighbour: async () => (await import('./neighbour.ts')).neighbour,
  start: async () => (await import('./start.ts')).start,
  validate: async () => (await import('./validate.ts')).validate,
}

const USAGE = `usage: npm run bench ${Object.keys(BENCHES).join('|')} -- [--json] [--seconds N] [--processes N] [--most N] [--allowance N]\n`
const DEFAULT_SECONDS = 120
const MAX_PROCESSES = 8

process.exit(await main())

/** 0 when every answer was right, 1 when one was wrong, 2 for a wrong call. */
async function main(): Promise<number> {
  const call = readCall()
  if (call === undefined) {
    process.stderr.write(USAGE)
    return 2
  }
  if (process.platform !== 'linux') {
    process.stderr.write('the benches read CPU times and memory from /proc: Linux only\n')
    return 2
  }
  const { load, json, ...options } = call
  const bench = await load()
  const say = (line: string): void => void (json ? process.stderr : process.stdout).write(`${line}\n`)
  try {
    const report = await bench({ ...options, say })
    if (json) process.stdout.write(`${JSON.stringify(report)}\n`)
    return 0
  } catch (error) {
    process.stderr.write(`${error instanceof Error ? (error.stack ?? error.message) : String(error)}\n`)
    return 1
  }
}

interface Call {
  readonly load: () => Promise<Bench>
  readonly json: boolean
  readonly seconds: number
  readonly processes: number
  readonly most: number | undefined
  readonly allowance: number | undefined
}

function readCall(): Call | undefined {
  try {
    const { values, positionals } = parseArgs({
      allowPositionals: true,
      options: {
        json: { type: 'boolean', default: false },
        seconds: { type: 'string', default: `${DEFAULT_SECONDS}` },
        processes: { type: 'string', default: '1' },
        most: { type: 'string' },
        allowance: { type: 'string' },
      },
    })
    const load = Object.hasOwn(BENCHES, positionals[0] ?? '') ? BENCHES[positionals[0] ?? ''] : undefined
    const seconds = Number(values.seconds)
    const processes = Number(values.processes)
    const most = numberOf(values.most)
    const allowance = numberOf(values.allowance)
    if (load === undefined || positionals.length !== 1 || !(seconds > 0) || Number.isNaN(most)) return undefined
    if (allowance !== undefined && !(allowance >= 2)) return undefined
    if (!Number.isInteger(processes) || processes < 1 || processes > MAX_PROCESSES) return undefined
    return { load, json: values.json, seconds, processes, most, allowance }
  } catch {
    return undefined
  }
}

function numberOf(text: string | undefined): number | undefined {
  return text === undefined ? undefined : Number(text)
}
