import { generateKeyPairSync, randomUUID } from 'node:crypto'
import { subjectOf } from './accept.ts'
import { copyCheckout } from './checkout.ts'
import { type HubProcess, startHub } from './hub.ts'
import { senderSigner } from './message.ts'
import { type LoadGenerator, openLoadGenerator, type Subject, startFloor } from './pairs.ts'
import { type Bench, median, rounded } from './report.ts'
import { openStock } from './stock.ts'
import { openWorld, query, type World } from './world.ts'

const STORED = [10_000, 100_000, 1_000_000, 10_000_000]
/** What a run of so many seconds has the time to store, unless it is told. */
const STORED_PER_SECOND = 10_000
const MOST = 1_000_000
const ASKED = 1_000
const CONCURRENCY = 64
const ROUNDS = 3
const MIN_COUNT = 150
/** So many windows of accept, fetch and floor share the time asked for. */
const PARTS = 10
const SIZES = { contracts: 500, parties: 1_000, connectors: 200 } as const
/** A quick look starts fewer hosts: each opens its own subscriptions. */
const QUICK = { contracts: 50, parties: 100, connectors: 10 } as const
const QUICK_SECONDS = 30
/** Nothing is sent to these systems, so nothing need be there. */
const IDLE_HOSTS = {
  ROLES: 'gateway,connect',
  ENDPOINT_INNER_MONGOLIA_POWER_MARKETING: 'http://127.0.0.1:9',
  ENDPOINT_STATE_GRID_EAST_MARKETING: 'http://127.0.0.1:9',
}

/** CPU µs of hub and PostgreSQL per exchange and per fetch; `yardstick` is the bare process's per exchange meanwhile. */
interface Cost {
  readonly accept: number
  readonly fetch: number
  readonly yardstick: number
}

interface Bed {
  readonly world: World
  readonly floor: Subject
  readonly exchanges: LoadGenerator
  readonly queries: LoadGenerator
  readonly count: number
}

/**
 * What one more exchange and one more fetch cost as the store, the contracts, the parties and the connectors grow. The
 * bare process, which grows in nothing, is measured beside each, so that a host that slows down is not taken for growth.
 */
export const grow: Bench = async ({ seconds, most, say }) => {
  const world = await openWorld()
  try {
    const stock = await openStock(world, ASKED)
    const exchanges = await openLoadGenerator(world)
    const queries = await openLoadGenerator(world, stock.asked)
    const { subject: floor, child } = await startFloor(world, senderSigner(world.keysDir).publicJwk)
    try {
      const bed = { world, floor, exchanges, queries, count: await countFor(floor, exchanges, seconds) }
      const figures: Record<string, number> = {}
      const note = (name: string, size: number, cost: Cost): void => {
        for (const [part, us] of Object.entries(cost)) figures[`${part}Us${name}${size}`] = rounded(us)
        say(`${name} ${size}: accept ${rounded(cost.accept)} µs, fetch ${rounded(cost.fetch)} µs`)
      }
      const stored: Cost[] = []
      const upTo = most ?? Math.min(MOST, seconds * STORED_PER_SECOND)
      const levels = STORED.filter((level) => level <= upTo)
      for (const level of levels.length > 1 ? levels : [5_000, 10_000]) {
        await stock.growTo(level)
        stored.push(await costOf(bed))
        note('Stored', level, stored.at(-1) as Cost)
      }
      const base = stored.at(-1) as Cost
      const sizes = seconds < QUICK_SECONDS ? QUICK : SIZES
      const growth: Record<string, Growth> = { Stored: growthOf(stored[0] as Cost, base) }
      for (const [name, size, measure] of [
        ['Contracts', sizes.contracts, withMoreContracts],
        ['Connectors', sizes.connectors, withMoreConnectors],
        ['Parties', sizes.parties, withMoreParties],
      ] as const) {
        const cost = await measure(bed, size)
        note(name, size, cost)
        growth[name] = growthOf(base, cost)
      }
      for (const [name, { accept, fetch }] of Object.entries(growth)) {
        figures[`acceptGrowth${name}`] = rounded(accept, 3)
        figures[`fetchGrowth${name}`] = rounded(fetch, 3)
        say(`${name}: accept ${percent(accept)}, fetch ${percent(fetch)}`)
      }
      const none = { perSecond: null, p50Ms: null, p99Ms: null, ratio: null, shares: null }
      return {
        bench: 'grow',
        ...none,
        floorUs: rounded(base.yardstick),
        cpuUs: rounded(base.accept),
        figures,
        ok: true,
      }
    } finally {
      await stock.close()
      await child.stop()
      await exchanges.stop()
      await queries.stop()
    }
  } finally {
    await world.close()
  }
}

async function countFor(floor: Subject, exchanges: LoadGenerator, seconds: number): Promise<number> {
  const { perSecond } = await exchanges.closed(floor, CONCURRENCY, 500)
  return Math.max(MIN_COUNT, Math.round((perSecond * seconds) / PARTS / (ROUNDS * 3)))
}

interface Growth {
  readonly accept: number
  readonly fetch: number
}

/** Against the yardstick of its own time. */
function growthOf(before: Cost, after: Cost): Growth {
  const host = after.yardstick / before.yardstick
  return { accept: after.accept / before.accept / host - 1, fetch: after.fetch / before.fetch / host - 1 }
}

const percent = (part: number): string => `${part < 0 ? '' : '+'}${rounded(part * 100)} %`

async function costOf(bed: Bed, start: () => Promise<HubProcess> = () => startHub(bed.world.hubEnv)): Promise<Cost> {
  const hub = await start()
  try {
    const accepts = await subjectOf([hub])
    const asks = await subjectOf([hub], true)
    const parts = { accept: [] as number[], fetch: [] as number[], yardstick: [] as number[] }
    // The first round only warms up.
    for (let round = 0; round <= ROUNDS; round++) {
      const yardstick = await bed.exchanges.closed(bed.floor, CONCURRENCY, bed.count)
      const accept = await bed.exchanges.closed(accepts, CONCURRENCY, bed.count)
      const fetch = await bed.queries.closed(asks, CONCURRENCY, bed.count)
      if (round === 0) continue
      parts.yardstick.push(yardstick.cpuUs)
      parts.accept.push(accept.cpuUs)
      parts.fetch.push(fetch.cpuUs)
    }
    return { accept: median(parts.accept), fetch: median(parts.fetch), yardstick: median(parts.yardstick) }
  } finally {
    await hub.stop()
  }
}

async function withMoreContracts(bed: Bed, contracts: number): Promise<Cost> {
  const checkout = copyCheckout({ contracts })
  try {
    return await costOf(bed, () => startHub(bed.world.hubEnv, [], checkout.root))
  } finally {
    checkout.remove()
  }
}

/** Idle hosts: what is sent here goes to none of them, but each looks for work. */
async function withMoreConnectors(bed: Bed, connectors: number): Promise<Cost> {
  const checkout = copyCheckout({ connectors })
  try {
    return await costOf(bed, () => startHub({ ...bed.world.hubEnv, ...IDLE_HOSTS }, [], checkout.root))
  } finally {
    checkout.remove()
  }
}

/** Each with a key, a grant, and a mandate for the sender of the exchanges to act for it. */
async function withMoreParties(bed: Bed, parties: number): Promise<Cost> {
  for (let n = 1; n <= parties; n++) {
    const { publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
    const id = `growing-${n}`
    await query(
      bed.world.databaseUrl,
      `INSERT INTO party (id, name_zh, name_en, level, divisions, roles, channel)
         VALUES ('${id}', '单位 ${n}', 'Party ${n}', 'county', ARRAY['150400'], ARRAY['utility'], 'inbox');
       INSERT INTO party_key (kid, party, public_jwk)
         VALUES ('${randomUUID()}', '${id}', '${JSON.stringify(publicKey.export({ format: 'jwk' }))}');
       INSERT INTO mandate (agent, principal, contract, valid_from)
         VALUES ('platform-chifeng', '${id}', 'approval-result@1', now());
       INSERT INTO access_grant (id, party, contract, purpose, fields, legal_bases, valid_from)
         VALUES ('${id}', '${id}', 'business-licence-query@1', 'power-connection', ARRAY['status'], ARRAY['duty'], now())`,
    )
  }
  return costOf(bed)
}
