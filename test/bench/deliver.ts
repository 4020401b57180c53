import { setTimeout as sleep } from 'node:timers/promises'
import { prepare } from '#cli/boot.ts'
import { readConfig } from '#config.ts'
import { subjectOf } from './accept.ts'
import { openDeliveries } from './deliver-world.ts'
import { startHub } from './hub.ts'
import { type LoadGenerator, openLoadGenerator, type Subject, turnsIn, type Window } from './pairs.ts'
import { cpuOf, cpuOfTree } from './processes.ts'
import { type Bench, median, percentile, type Report, rounded } from './report.ts'
import { openWorld, query, type World } from './world.ts'

const PAIRS = 5
const CONCURRENCY = 64
const FIRST_LOOK = 400
const MIN_COUNT = 200
const STEADY_PER_SECOND = 100
const ALL_WITHIN_MS = 120_000

interface Delivered {
  readonly perSecond: number
  /** CPU of each part per delivery, µs. */
  readonly cpuUs: Readonly<Record<Part, number>>
}

type Part = 'gateway' | 'worker' | 'postgres'

interface EndToEnd {
  readonly perSecond: number
  readonly p50Ms: number
  readonly p99Ms: number
}

/**
 * Accept → Kafka → connector → the utility's system → acknowledged, in processes of their own, beside acceptance alone
 * on a hub of its own, in turns. Sustained: from the first push until the last of them is acknowledged. End to end: from
 * when a push was due until the commit of its acknowledgement, by the commit time that PostgreSQL keeps.
 */
export const deliver: Bench = async ({ seconds, say }) => {
  const world = await openWorld({ track_commit_timestamp: 'on' })
  try {
    const databaseUrl = await secondHubOf(world)
    const load = await openLoadGenerator(world, 'application')
    const alone = await startHub(world.hubEnv)
    const deliveries = await openDeliveries(world, databaseUrl)
    try {
      const through = deliveryLoad(load, await subjectOf([deliveries.gateway]), databaseUrl, () => ({
        gateway: cpuOf(deliveries.gateway.pid),
        worker: cpuOf(deliveries.worker.pid),
        postgres: cpuOfTree(world.postgresPid),
      }))
      const subject = await subjectOf([alone])
      const first = await through.sustained(FIRST_LOOK)
      const worth = (part: number): number => Math.max(MIN_COUNT, Math.round(first.perSecond * seconds * part))
      const turns = turnsIn(seconds, PAIRS)
      const pairs: { accept: Window; deliver: Delivered }[] = []
      while (pairs.length < turns) {
        const accept = await load.closed(subject, CONCURRENCY, 2 * worth(0.4 / turns))
        pairs.push({ accept, deliver: await through.sustained(worth(0.5 / turns)) })
      }
      const sustained = median(pairs.map(({ deliver: one }) => one.perSecond))
      const steadySeconds = Math.max(3, seconds * 0.2)
      const at100 = await through.steady(STEADY_PER_SECOND, Math.round(STEADY_PER_SECOND * steadySeconds))
      const half = await through.steady(sustained / 2, Math.round((sustained / 2) * steadySeconds))
      await through.check()
      const acceptPerSecond = median(pairs.map(({ accept }) => accept.perSecond))
      const ratio = median(pairs.map(({ accept, deliver: one }) => one.perSecond / accept.perSecond))
      const cpuOfPart = (part: Part): number => median(pairs.map(({ deliver: one }) => one.cpuUs[part]))
      const cpuUs = { gateway: cpuOfPart('gateway'), worker: cpuOfPart('worker'), postgres: cpuOfPart('postgres') }
      return report({ turns, sustained, cpuUs, acceptPerSecond, ratio, at100, half }, say)
    } finally {
      await load.stop()
      await deliveries.stop()
      await alone.stop()
    }
  } finally {
    await world.close()
  }
}

/** Another hub on the same server, with the same keys. */
async function secondHubOf(world: World): Promise<string> {
  const databaseUrl = await world.createDatabase('deliver')
  const config = readConfig({ ...world.hubEnv, DATABASE_URL: databaseUrl }, process.getuid?.() === 0)
  await prepare(config, databaseUrl)
  return databaseUrl
}

interface DeliveryLoad {
  sustained(count: number): Promise<Delivered>
  steady(perSecond: number, count: number): Promise<EndToEnd>
  /** Every delivery was acknowledged as applied, one for each receipt. */
  check(): Promise<void>
}

function deliveryLoad(
  load: LoadGenerator,
  subject: Subject,
  databaseUrl: string,
  cpu: () => Record<Part, number>,
): DeliveryLoad {
  let sent = 0
  return {
    async sustained(count) {
      const before = cpu()
      const window = await load.closed(subject, CONCURRENCY, count)
      sent += count
      await untilAcknowledged(databaseUrl)
      const after = cpu()
      const last = Math.max(...(await acknowledgements(databaseUrl, window.begunAtMs)).values())
      const cpuUs = {
        gateway: (after.gateway - before.gateway) / count,
        worker: (after.worker - before.worker) / count,
        postgres: (after.postgres - before.postgres) / count,
      }
      return { perSecond: count / ((last - window.begunAtMs) / 1_000), cpuUs }
    },
    async steady(perSecond, count) {
      const window = await load.steady(subject, perSecond, count)
      sent += count
      await untilAcknowledged(databaseUrl)
      const ended = await acknowledgements(databaseUrl, window.begunAtMs)
      const latencies = window.due.map(([exchange, dueMs]) => (ended.get(exchange) ?? Number.NaN) - dueMs)
      if (latencies.length !== count || latencies.some(Number.isNaN)) throw new Error('an exchange without an outcome')
      return { perSecond: window.perSecond, p50Ms: percentile(latencies, 0.5), p99Ms: percentile(latencies, 0.99) }
    },
    async check() {
      const [row] = await query(
        databaseUrl,
        `SELECT count(*)::int AS rows, count(*) FILTER (WHERE state = 'acknowledged' AND outcome = 'applied')::int AS applied
         FROM delivery`,
      )
      if (row?.['rows'] !== sent || row['applied'] !== sent) {
        throw new Error(`${sent} receipts, but ${row?.['rows']} deliveries, of which ${row?.['applied']} were applied`)
      }
    },
  }
}

const OPEN = `SELECT EXISTS (SELECT FROM delivery WHERE state IN ('unrouted', 'accepted', 'published', 'delivering')) AS open`

async function untilAcknowledged(databaseUrl: string): Promise<void> {
  const until = performance.now() + ALL_WITHIN_MS
  while ((await query(databaseUrl, OPEN))[0]?.['open'] === true) {
    if (performance.now() > until) throw new Error(`deliveries were still open after ${ALL_WITHIN_MS} ms`)
    await sleep(100)
  }
}

/** When the last change of each delivery since then was committed, ms since the epoch, by exchange. */
async function acknowledgements(databaseUrl: string, sinceMs: number): Promise<ReadonlyMap<string, number>> {
  const rows = await query(
    databaseUrl,
    `SELECT exchange::text, extract(epoch FROM pg_xact_commit_timestamp(xmin))::float8 * 1000 AS at
     FROM delivery WHERE accepted_at >= to_timestamp(${Math.floor(sinceMs / 1_000)})`,
  )
  return new Map(rows.map((row) => [String(row['exchange']), Number(row['at'])]))
}

interface Found {
  readonly turns: number
  readonly sustained: number
  readonly cpuUs: Delivered['cpuUs']
  readonly acceptPerSecond: number
  readonly ratio: number
  readonly at100: EndToEnd
  readonly half: EndToEnd
}

function report(
  { turns, sustained, cpuUs, acceptPerSecond, ratio, at100, half }: Found,
  say: (line: string) => void,
): Report {
  say(`medians of ${turns} interleaved pairs, concurrency ${CONCURRENCY}`)
  say(`  sustained            ${rounded(sustained)}/s acknowledged`)
  say(`  accept alone         ${rounded(acceptPerSecond)}/s, ratio ${rounded(ratio, 3)}`)
  say(
    `  CPU µs per delivery  gateway ${rounded(cpuUs.gateway)} + relay, cases, connectors ${rounded(cpuUs.worker)} + PostgreSQL ${rounded(cpuUs.postgres)}`,
  )
  for (const [name, { perSecond, p50Ms, p99Ms }] of [
    ['at 100/s', at100],
    ['at half load', half],
  ] as const) {
    say(`${name}, ${rounded(perSecond)}/s: end to end p50 ${rounded(p50Ms, 1)} ms, p99 ${rounded(p99Ms, 1)} ms`)
  }
  return {
    bench: 'deliver',
    perSecond: rounded(sustained),
    p50Ms: rounded(at100.p50Ms, 1),
    p99Ms: rounded(at100.p99Ms, 1),
    ratio: rounded(ratio, 3),
    floorUs: null,
    cpuUs: rounded(cpuUs.gateway + cpuUs.worker + cpuUs.postgres),
    shares: null,
    figures: {
      gatewayUs: rounded(cpuUs.gateway),
      workerUs: rounded(cpuUs.worker),
      postgresUs: rounded(cpuUs.postgres),
      acceptPerSecond: rounded(acceptPerSecond),
      halfPerSecond: rounded(half.perSecond),
      halfP50Ms: rounded(half.p50Ms, 1),
      halfP99Ms: rounded(half.p99Ms, 1),
    },
    ok: true,
  }
}
