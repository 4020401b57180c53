import { existsSync } from 'node:fs'
import path from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import type { JSONWebKeySet } from 'jose'
import { type HubProcess, startHub } from './hub.ts'
import { senderSigner } from './message.ts'
import { type LoadGenerator, openLoadGenerator, type Subject, startFloor, turnsIn, type Window } from './pairs.ts'
import { sharesOfProfile } from './profile.ts'
import { type Bench, median, type Report, rounded, type Shares } from './report.ts'
import { openWorld, query, type World } from './world.ts'

const PAIRS = 7
export const CONCURRENCIES = [64, 256] as const
/** To learn how fast the host is. */
const FIRST_LOOK = 500
/** Of what the time asked for is worth: tens of thousands of messages pass before V8 has compiled what either side runs. */
const WARM_UP = 0.3
const MIN_COUNT = 200

interface Pair {
  readonly floor: Window
  readonly hub: Window
}

interface Series {
  readonly concurrency: number
  readonly pairs: readonly Pair[]
}

/** The hub's gateway beside the bare process, in turns on the same PostgreSQL. */
export const accept: Bench = async ({ seconds, processes, say }) => {
  const world = await openWorld()
  try {
    const load = await openLoadGenerator(world)
    const floor = await startFloor(world, senderSigner(world.keysDir).publicJwk)
    const hubs = [await startHub(world.hubEnv)]
    while (hubs.length < processes) hubs.push(await startHub(world.hubEnv))
    try {
      const subject = await subjectOf(hubs)
      const accepted = counted(load)
      const { perSecond } = await accepted.closed(subject, CONCURRENCIES[0], FIRST_LOOK)
      const worth = (part: number): number => Math.max(MIN_COUNT, Math.round(perSecond * seconds * part))
      const bare = { load, subject: floor.subject }
      const { series, steady } = await inTurns(seconds, worth, bare, { load: accepted, subject })
      for (const hub of hubs) await hub.stop()
      const inHub = await profiledShares(world, accepted, worth(0.1))
      await checkLog(world, accepted.total())
      return report('accept', { series, steady, inHub, processes }, say)
    } finally {
      await floor.child.stop()
      await load.stop()
    }
  } finally {
    await world.close()
  }
}

interface Side {
  readonly load: Omit<LoadGenerator, 'stop'>
  readonly subject: Subject
}

/** Both warmed up, then in turns at each concurrency, then the hub alone at half of what it takes. */
export async function inTurns(
  seconds: number,
  worth: (part: number) => number,
  floor: Side,
  hub: Side,
): Promise<Pick<Measured, 'series' | 'steady'>> {
  const turns = turnsIn(seconds, PAIRS)
  for (const { load, subject } of [floor, hub]) await load.closed(subject, CONCURRENCIES[0], worth(WARM_UP))
  const count = worth(0.5 / (turns * 2 * CONCURRENCIES.length))
  const series: Series[] = []
  for (const concurrency of CONCURRENCIES) {
    const pairs: Pair[] = []
    while (pairs.length < turns) {
      const bare = await floor.load.closed(floor.subject, concurrency, count)
      pairs.push({ floor: bare, hub: await hub.load.closed(hub.subject, concurrency, count) })
    }
    series.push({ concurrency, pairs })
  }
  const half = hubMedian(series[0], (window) => window.perSecond) / 2
  const steady: Window[] = []
  while (steady.length < turns) steady.push(await hub.load.steady(hub.subject, half, worth(0.1 / turns)))
  return { series, steady }
}

/** Gateways on one database, which share their keys, as the target of exchanges or of queries. */
export async function subjectOf(hubs: readonly HubProcess[], asks = false): Promise<Subject> {
  const jwks = (await (await fetch(`${hubs[0]?.url}/.well-known/jwks.json`)).json()) as JSONWebKeySet
  const urls = hubs.map(({ url }) => `${url}/v1/${asks ? 'queries' : 'exchanges'}`)
  return { pids: hubs.map(({ pid }) => pid), target: { urls, jwks, bare: false, asks } }
}

/** Counts what the hub said it accepted. */
function counted(load: LoadGenerator): Omit<LoadGenerator, 'stop'> & { total(): number } {
  let total = 0
  const add = (window: Window): Window => {
    total += window.sent
    return window
  }
  return {
    closed: async (...window) => add(await load.closed(...window)),
    steady: async (...window) => add(await load.steady(...window)),
    total: () => total,
  }
}

/** Every receipt that left must stand in the log, each at a position of its own without a gap. */
async function checkLog(world: World, expected: number): Promise<void> {
  const [row] = await query(
    world.databaseUrl,
    `SELECT count(*)::int AS rows, (SELECT pos::int FROM log_head) AS head, (SELECT count(*)::int FROM delivery) AS deliveries
     FROM log JOIN exchange ON exchange.id = log.exchange`,
  )
  const { rows, head, deliveries } = row ?? {}
  if (rows !== expected || head !== expected || deliveries !== expected) {
    throw new Error(`${expected} receipts, but ${rows} exchanges, ${deliveries} deliveries, log head ${head}`)
  }
}

/** Where a hub spends its own time, by V8's sampling profiler, in a run that is not measured otherwise. */
export async function profiledShares(
  world: World,
  load: Omit<LoadGenerator, 'stop'>,
  count: number,
  asks = false,
): Promise<Shares> {
  const file = path.join(world.hubEnv['DATA_DIR'] ?? '', 'load.cpuprofile')
  const preload = import.meta.resolve('./profiler.ts')
  const hub = await startHub({ ...world.hubEnv, DIANQIAO_BENCH_PROFILE: file }, [`--import=${preload}`])
  const subject = await subjectOf([hub], asks)
  await load.closed(subject, CONCURRENCIES[0], count)
  process.kill(hub.pid, 'SIGUSR2')
  await load.closed(subject, CONCURRENCIES[0], count)
  process.kill(hub.pid, 'SIGUSR2')
  while (!existsSync(file)) await sleep(20)
  await hub.stop()
  return sharesOfProfile(file)
}

const hubMedian = (series: Series | undefined, pick: (window: Window) => number): number =>
  median((series?.pairs ?? []).map(({ hub }) => pick(hub)))

function figuresOf({ concurrency, pairs }: Series) {
  const of = (side: keyof Pair, pick: (window: Window) => number): number =>
    median(pairs.map((pair) => pick(pair[side])))
  const floorUs = of('floor', (window) => window.cpuUs)
  const cpuUs = of('hub', (window) => window.cpuUs)
  return {
    concurrency,
    ratio: rounded(floorUs / cpuUs, 3),
    floorUs: rounded(floorUs),
    cpuUs: rounded(cpuUs),
    floorProcessUs: rounded(of('floor', (window) => window.processUs)),
    floorPostgresUs: rounded(of('floor', (window) => window.postgresUs)),
    processUs: rounded(of('hub', (window) => window.processUs)),
    postgresUs: rounded(of('hub', (window) => window.postgresUs)),
    perSecond: rounded(of('hub', (window) => window.perSecond)),
    floorPerSecond: rounded(of('floor', (window) => window.perSecond)),
    p50Ms: rounded(
      of('hub', (window) => window.p50Ms),
      1,
    ),
    p99Ms: rounded(
      of('hub', (window) => window.p99Ms),
      1,
    ),
  }
}

interface Measured {
  readonly series: readonly Series[]
  /** At half load. */
  readonly steady: readonly Window[]
  readonly inHub: Shares
  readonly processes: number
}

export function report(
  bench: 'accept' | 'fetch',
  { series, steady, inHub, processes }: Measured,
  say: (line: string) => void,
): Report {
  const [unit, done] = bench === 'accept' ? ['exchange', 'accepted'] : ['query', 'answered']
  const found = series.map(figuresOf)
  const main = found.reduce((least, one) => (one.ratio < least.ratio ? one : least))
  const shares = sharesWith(inHub, main.processUs, main.postgresUs)
  for (const one of found) {
    say(`concurrency ${one.concurrency}, gateways ${processes}, medians of ${steady.length} interleaved pairs`)
    say(`  ratio                ${one.ratio}   (floor ${one.floorUs} µs ÷ hub ${one.cpuUs} µs of CPU per ${unit})`)
    say(
      `  hub + PostgreSQL µs  ${one.processUs} + ${one.postgresUs}   (floor ${one.floorProcessUs} + ${one.floorPostgresUs})`,
    )
    say(`  ${done}/s           ${one.perSecond}   (floor ${one.floorPerSecond})`)
    say(`  p50, p99 ms          ${one.p50Ms}, ${one.p99Ms}`)
  }
  const atHalf = (pick: (window: Window) => number): number => rounded(median(steady.map(pick)), 1)
  const p50Ms = atHalf((window) => window.p50Ms)
  const p99Ms = atHalf((window) => window.p99Ms)
  say(`half load, ${rounded(atHalf((window) => window.perSecond))}/s, medians of ${steady.length} windows`)
  say(`  p50, p99 ms          ${p50Ms}, ${p99Ms}`)
  say(
    `shares of CPU          ${Object.entries(shares)
      .map(([kind, part]) => `${kind} ${rounded(part * 100)} %`)
      .join(', ')}`,
  )
  const figures = found.flatMap((one) =>
    Object.entries(one).map(([name, value]) => [`${name}At${one.concurrency}`, value] as const),
  )
  return {
    bench,
    perSecond: main.perSecond,
    p50Ms,
    p99Ms,
    ratio: main.ratio,
    floorUs: main.floorUs,
    cpuUs: main.cpuUs,
    shares,
    figures: {
      processes,
      ...Object.fromEntries(figures.filter(([name]) => !name.startsWith('concurrency'))),
    },
    ok: true,
  }
}

/** PostgreSQL's time counts as store. */
function sharesWith(inHub: Shares, processUs: number, postgresUs: number): Shares {
  const total = processUs + postgresUs
  const part = (kind: keyof Shares, more = 0): number => rounded((inHub[kind] * processUs + more) / total, 3)
  return {
    crypto: part('crypto'),
    validation: part('validation'),
    store: part('store', postgresUs),
    rest: part('rest'),
  }
}
