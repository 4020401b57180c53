import { type Child, startChild } from './child.ts'
import { startHub } from './hub.ts'
import type { Sent } from './neighbour-process.ts'
import { type Bench, percentile, rounded } from './report.ts'
import { openWorld, query, type World } from './world.ts'

const HONEST = 9
const PAIRS = 5
/** Connections of the flood, and how many times its allowance it asks for. */
const FLOOD_LANES = 64
const FLOOD_TIMES = 10
const LIMIT = 2
/** A shorter run tells the figures, but has too few answers beyond its 99th percentile to judge by. */
const VERDICT_SECONDS = 30
/** Sent as fast as one party can, to learn what a hub on this machine takes. */
const FIRST_LOOK_SECONDS = 1
const FIRST_LOOK_SIGNED = 4_000

/**
 * Nine honest parties while a tenth sends as much as they do, and while it floods, in turns. As an operator would set it,
 * the allowance of each of the ten is a tenth of what the hub takes here, unless one is given; the honest use half of theirs.
 */
export const neighbour: Bench = async ({ seconds, allowance: given, say }) => {
  const world = await openWorld()
  const children: Child[] = []
  try {
    const [flooder = '', ...honest] = await platforms(world)
    const open = async (parties: readonly string[]): Promise<Child> => {
      const child = startChild('neighbour-process.ts')
      children.push(child)
      await child.ask('open', { keysDir: world.keysDir, parties })
      return child
    }
    const nine = await open(honest.slice(0, HONEST))
    const tenth = await open([flooder])
    const allowance = given ?? Math.max(2, Math.floor((await capacity(world, tenth)) / (HONEST + 1)))
    const hub = await startHub({ ...world.hubEnv, PARTY_PER_SECOND: `${allowance}` })
    try {
      const window = Math.max(0.5, (seconds * 0.8) / (PAIRS * 2))
      const turn = (flood: boolean): Promise<Turn> =>
        both(nine, tenth, { url: `${hub.url}/v1/exchanges`, window, flood, allowance })
      // What a party saved up in idle times is not what it may take of the others for long.
      for (const flood of [false, true]) await turn(flood)
      const calm: Turn[] = []
      const flooded: Turn[] = []
      while (flooded.length < PAIRS) {
        calm.push(await turn(false))
        flooded.push(await turn(true))
      }
      return report(seconds, allowance, calm, flooded, say)
    } finally {
      await hub.stop()
    }
  } finally {
    for (const child of children) await child.stop()
    await world.close()
  }
}

/** Exchanges of one party without limits that a hub accepts in a second. */
async function capacity(world: World, child: Child): Promise<number> {
  const hub = await startHub(world.hubEnv)
  const url = `${hub.url}/v1/exchanges`
  const flood = { url, lanes: FLOOD_LANES, perSecond: FIRST_LOOK_SIGNED, seconds: FIRST_LOOK_SECONDS }
  try {
    await child.ask('sign', { count: FIRST_LOOK_SIGNED })
    await child.ask('flood', flood)
    const { accepted, seconds } = (await child.ask('flood', flood)) as Sent
    return accepted / seconds
  } finally {
    await hub.stop()
  }
}

interface Turn {
  readonly nine: Sent
  readonly tenth: Sent
}

async function platforms(world: World): Promise<string[]> {
  const rows = await query(
    world.databaseUrl,
    `SELECT id FROM party WHERE 'approval-platform' = ANY (roles) ORDER BY id LIMIT ${HONEST + 1}`,
  )
  return rows.map(({ id }) => String(id))
}

interface Window {
  readonly url: string
  readonly window: number
  readonly flood: boolean
  readonly allowance: number
}

async function both(nine: Child, tenth: Child, { url, window, flood, allowance }: Window): Promise<Turn> {
  const each = allowance / 2
  const floodPerSecond = allowance * FLOOD_TIMES
  await nine.ask('sign', { count: Math.ceil(each * HONEST * window) })
  await tenth.ask('sign', { count: Math.ceil(floodPerSecond * window) })
  const [ours, its] = await Promise.all([
    nine.ask('steady', { url, perSecond: each * HONEST, seconds: window }),
    flood
      ? tenth.ask('flood', { url, lanes: FLOOD_LANES, perSecond: floodPerSecond, seconds: window })
      : tenth.ask('steady', { url, perSecond: each, seconds: window }),
  ])
  return { nine: ours as Sent, tenth: its as Sent }
}

function report(
  seconds: number,
  allowance: number,
  calm: readonly Turn[],
  flooded: readonly Turn[],
  say: (line: string) => void,
): Awaited<ReturnType<Bench>> {
  const before = figuresOf(calm)
  const during = figuresOf(flooded)
  const p99Ratio = rounded(during.p99Ms / before.p99Ms, 2)
  const throughputRatio = rounded(during.perSecond / before.perSecond, 3)
  say(`an allowance of ${allowance}/s for each of ten parties; nine use half of it,`)
  say(`the tenth half as well, then asks for ${FLOOD_TIMES} times its allowance; ${PAIRS} turns each`)
  say(`  before   ${before.perSecond}/s, p50 ${before.p50Ms} ms, p99 ${before.p99Ms} ms`)
  say(`  during   ${during.perSecond}/s, p50 ${during.p50Ms} ms, p99 ${during.p99Ms} ms`)
  say(`  p99 ${p99Ratio} times, throughput ${throughputRatio} times; the flood got ${during.tenthPerSecond}/s through,`)
  say(`  ${during.limited} of its requests were turned away`)
  if (before.honestLimited > 0 || during.honestLimited > 0) throw new Error('an honest party was turned away')
  if (during.limited === 0) throw new Error('the flood was not turned away at all')
  if (seconds >= VERDICT_SECONDS && p99Ratio > LIMIT) {
    throw new Error(`one party's flood takes the others' p99 from ${before.p99Ms} to ${during.p99Ms} ms`)
  }
  const none = { ratio: null, floorUs: null, cpuUs: null, shares: null }
  const main = { perSecond: during.perSecond, p50Ms: during.p50Ms, p99Ms: during.p99Ms }
  const figures = {
    p99Ratio,
    throughputRatio,
    allowance,
    p99BeforeMs: before.p99Ms,
    p50BeforeMs: before.p50Ms,
    perSecondBefore: before.perSecond,
    floodPerSecond: during.tenthPerSecond,
    floodLimited: during.limited,
  }
  return { bench: 'neighbour', ...none, ...main, figures, ok: true }
}

function figuresOf(turns: readonly Turn[]) {
  const all = turns.flatMap(({ nine }) => nine.latenciesMs)
  const sum = (pick: (turn: Turn) => number): number => turns.reduce((total, turn) => total + pick(turn), 0)
  return {
    p50Ms: rounded(percentile(all, 0.5), 1),
    p99Ms: rounded(percentile(all, 0.99), 1),
    perSecond: rounded(all.length / sum(({ nine }) => nine.seconds)),
    honestLimited: sum(({ nine }) => nine.limited),
    limited: sum(({ tenth }) => tenth.limited),
    tenthPerSecond: rounded(sum(({ tenth }) => tenth.accepted) / sum(({ tenth }) => tenth.seconds)),
  }
}
