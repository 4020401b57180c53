import type { JSONWebKeySet } from 'jose'
import { type Child, startChild } from './child.ts'
import { type HubProcess, startHub } from './hub.ts'
import type { Brought, Way } from './load-rows-process.ts'
import { cpuOf, cpuOfTree, pssOfTree } from './processes.ts'
import { type Bench, rounded } from './report.ts'
import { openWorld, query, type World } from './world.ts'

/** Rows that are signed and pushed at a time. */
const STRETCH = 10_000
/** A quick look pushes fewer. */
const LEAST_STRETCH = 1_000
/** About what one second brings, to know how many stretches fit into the time asked for. */
const ROWS_PER_SECOND = 2_000
const PERIOD_STRETCHES = 2

interface Loaded {
  readonly rows: number
  readonly perSecond: number
  readonly cpuUs: number
  /** PSS of the gateway after the first stretches and after the last, MB. */
  readonly firstMb: number
  readonly lastMb: number
}

/** An initial load of licences, with a signature for each row through batch, and with one signature for `rows[]`. */
export const load: Bench = async ({ seconds, say }) => {
  const world = await openWorld()
  try {
    const child = startChild('load-rows-process.ts')
    const hub = await startHub(world.hubEnv)
    try {
      const rows = Math.max(LEAST_STRETCH, Math.round((seconds * ROWS_PER_SECOND) / 2))
      const batch = await bring(world, hub, child, { way: 'batch', from: 0, rows })
      const signed = await bring(world, hub, child, { way: 'rows', from: 50_000_000, rows: rows * 2 })
      await checkDocuments(world, batch.rows + signed.rows)
      for (const [name, one] of Object.entries({ 'a signature per row': batch, 'rows[] contract': signed })) {
        say(`${name}, ${one.rows} rows`)
        say(`  rows/s              ${rounded(one.perSecond)}   (${rounded(one.cpuUs)} µs of CPU per row)`)
        say(`  memory of the hub   ${rounded(one.firstMb)} MB at first, ${rounded(one.lastMb)} MB at last`)
      }
      const none = { p50Ms: null, p99Ms: null, ratio: null, floorUs: null, shares: null }
      const figures = {
        batchRowsPerSecond: rounded(batch.perSecond),
        rowsPerSecond: rounded(signed.perSecond),
        batchCpuUs: rounded(batch.cpuUs),
        rowsCpuUs: rounded(signed.cpuUs),
        batchMemoryGrowth: rounded(batch.lastMb / batch.firstMb - 1, 3),
        rowsMemoryGrowth: rounded(signed.lastMb / signed.firstMb - 1, 3),
        lastMb: rounded(signed.lastMb),
      }
      const main = { perSecond: figures.rowsPerSecond, cpuUs: figures.rowsCpuUs }
      return { bench: 'load', ...none, ...main, figures, ok: true }
    } finally {
      await child.stop()
      await hub.stop()
    }
  } finally {
    await world.close()
  }
}

async function bring(
  world: World,
  hub: HubProcess,
  child: Child,
  load: { readonly way: Way; readonly from: number; readonly rows: number },
): Promise<Loaded> {
  const { way, rows } = load
  const jwks = (await (await fetch(`${hub.url}/.well-known/jwks.json`)).json()) as JSONWebKeySet
  const stretch = Math.min(STRETCH, Math.max(LEAST_STRETCH, Math.floor(rows / 8)))
  const memory: number[] = []
  let brought = 0
  let seconds = 0
  let cpuUs = 0
  while (brought < rows) {
    const count = Math.min(stretch, rows - brought)
    await child.ask('sign', { keysDir: world.keysDir, way, from: load.from + brought, count })
    const before = cpuOf(hub.pid) + cpuOfTree(world.postgresPid)
    const result = (await child.ask('push', { url: hub.url, jwks, way })) as Brought
    cpuUs += cpuOf(hub.pid) + cpuOfTree(world.postgresPid) - before
    brought += result.rows
    seconds += result.seconds
    memory.push(pssOfTree(hub.pid))
  }
  const period = (values: readonly number[]): number => Math.max(...values)
  return {
    rows: brought,
    perSecond: brought / seconds,
    cpuUs: cpuUs / brought,
    firstMb: period(memory.slice(0, PERIOD_STRETCHES)),
    lastMb: period(memory.slice(-PERIOD_STRETCHES)),
  }
}

/** Whatever a receipt was given for must be there. */
async function checkDocuments(world: World, expected: number): Promise<void> {
  const [row] = await query(world.databaseUrl, 'SELECT count(*)::int AS documents FROM document')
  if (row?.['documents'] !== expected) throw new Error(`${expected} rows brought, ${row?.['documents']} documents`)
}
