import { setTimeout as sleep } from 'node:timers/promises'
import { type Child, startChild } from './child.ts'
import { turnsIn } from './pairs.ts'
import { cpuOf, cpuOfTree } from './processes.ts'
import { type Bench, median, rounded } from './report.ts'
import { openWorld, type World } from './world.ts'

const ENDPOINTS = 10
const LAST = ENDPOINTS - 1
const PAIRS = 7
/** The failing key is one of a thousand. */
const KEYS = 1_000
const SETTLE_MS = 60

interface Pair {
  /** Throughput of the others with the trouble, as a part of that without: by CPU time, and by the clock. */
  readonly cpu: number
  readonly clock: number
}

/**
 * What one dead endpoint among ten costs the other nine, and what one failing key of an endpoint costs the other 999, by
 * the CPU µs of connectors and PostgreSQL until the others have all, in turns with everything sound.
 */
export const endpoints: Bench = async ({ seconds, say }) => {
  const world = await openWorld()
  const rounds = turnsIn(seconds, PAIRS)
  try {
    const all = await openStage(world, ENDPOINTS)
    const count = Math.max(20, Math.round((seconds / 120) * 400))
    const dead = await pairs(rounds, () => deadEndpoint(all, count))
    const perSecond = (count * ENDPOINTS) / median(dead.map(({ seconds: whole }) => whole))
    await all.close()
    const one = await openStage(world, 1)
    const failing = await pairs(rounds, () => failingKey(one, KEYS))
    await one.close()
    const of = (list: readonly Pair[], pick: keyof Pair): number => rounded(median(list.map((pair) => pair[pick])), 3)
    const figures = {
      deadEndpointCpuRatio: of(dead, 'cpu'),
      deadEndpointClockRatio: of(dead, 'clock'),
      failingKeyCpuRatio: of(failing, 'cpu'),
      failingKeyClockRatio: of(failing, 'clock'),
    }
    say(`medians of ${rounds} interleaved pairs; the others' throughput with the trouble ÷ without`)
    say(
      `  one endpoint of ${ENDPOINTS} dead    ${figures.deadEndpointCpuRatio} by CPU, ${figures.deadEndpointClockRatio} by the clock`,
    )
    say(
      `  one key of ${KEYS} failing   ${figures.failingKeyCpuRatio} by CPU, ${figures.failingKeyClockRatio} by the clock`,
    )
    const none = { p50Ms: null, p99Ms: null, floorUs: null, cpuUs: null, shares: null }
    return {
      bench: 'endpoints',
      ...none,
      perSecond: rounded(perSecond),
      ratio: figures.deadEndpointCpuRatio,
      figures,
      ok: true,
    }
  } finally {
    await world.close()
  }
}

interface Stage {
  readonly play: (keys: readonly string[], but?: { readonly peer: number; readonly missing: number }) => Promise<Cost>
  readonly hosts: Child
  readonly peers: Child
  close(): Promise<void>
}

interface Cost {
  readonly cpuUs: number
  readonly seconds: number
}

async function openStage(world: World, count: number): Promise<Stage> {
  const peers = startChild('endpoint-peers-process.ts')
  const hosts = startChild('endpoint-hosts-process.ts')
  const urls = await peers.ask('open', { count })
  const databaseUrl = await world.migratedDatabase(`endpoints_${count}`)
  await hosts.ask('open', { databaseUrl, urls })
  let played = 0
  return {
    hosts,
    peers,
    async play(keys, but) {
      const cpu = (): number => cpuOf(hosts.pid) + cpuOfTree(world.postgresPid)
      const before = cpu()
      const seconds = (await hosts.ask('play', { keys, ...(but === undefined ? {} : { but }) })) as number
      await sleep(SETTLE_MS)
      played += keys.length
      return { cpuUs: cpu() - before, seconds }
    },
    async close() {
      const effects = (await peers.ask('effects', {})) as readonly { count: number; doubled: number }[]
      if (effects.some((one) => one.count !== played || one.doubled !== 0)) {
        throw new Error(`${played} deliveries to each endpoint, effects: ${JSON.stringify(effects)}`)
      }
      await hosts.stop()
      await peers.stop()
    },
  }
}

async function pairs(
  rounds: number,
  play: () => Promise<Pair & { readonly seconds: number }>,
): Promise<(Pair & { readonly seconds: number })[]> {
  await play()
  const all: (Pair & { readonly seconds: number })[] = []
  while (all.length < rounds) all.push(await play())
  return all
}

let run = 0
const newKeys = (count: number): string[] => {
  run++
  return Array.from({ length: count }, (_, n) => `AFF-${run}-${n}`)
}

/** All ten sound; then the last one cuts every connection, while the nine are waited for. */
async function deadEndpoint(
  { play, hosts, peers }: Stage,
  count: number,
): Promise<Pair & { readonly seconds: number }> {
  const sound = await play(newKeys(count))
  await peers.ask('fail', { peer: LAST })
  const troubled = await play(newKeys(count), { peer: LAST, missing: count })
  await peers.ask('heal', { peer: LAST })
  await hosts.ask('resume', { peer: LAST, missing: count })
  return ratios(sound, troubled)
}

/** All keys sound; then every attempt at one of them fails, while the others are waited for. */
async function failingKey({ play, hosts, peers }: Stage, count: number): Promise<Pair & { readonly seconds: number }> {
  const sound = await play(newKeys(count))
  const keys = newKeys(count)
  await peers.ask('fail', { peer: 0, reference: keys[0] })
  const troubled = await play(keys, { peer: 0, missing: 1 })
  await peers.ask('heal', { peer: 0 })
  await hosts.ask('resume', { peer: 0, missing: 1 })
  return ratios(sound, troubled)
}

const ratios = (sound: Cost, troubled: Cost): Pair & { readonly seconds: number } => ({
  cpu: sound.cpuUs / troubled.cpuUs,
  clock: sound.seconds / troubled.seconds,
  seconds: sound.seconds,
})
