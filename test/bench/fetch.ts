import { CONCURRENCIES, inTurns, profiledShares, report, subjectOf } from './accept.ts'
import { type Child, startChild } from './child.ts'
import { startHub } from './hub.ts'
import { licenceOf, signerOf, UTILITY } from './licences.ts'
import type { Target } from './load-process.ts'
import { openLoadGenerator, type Subject } from './pairs.ts'
import type { Bench } from './report.ts'
import { openStock, type Stock } from './stock.ts'
import { openWorld, query, type World } from './world.ts'

const DOCUMENTS = 1_000_000
/** A quick look stands on fewer documents: so many for each second asked for. */
const DOCUMENTS_PER_SECOND = 10_000
const ASKED = 2_000
const FIRST_LOOK = 500
const MIN_COUNT = 200

/** Signed queries over a million documents, beside the bare process for a fetch, in turns on the same PostgreSQL. */
export const fetch: Bench = async ({ seconds, say }) => {
  const world = await openWorld()
  try {
    const documents = Math.min(DOCUMENTS, Math.round(seconds * DOCUMENTS_PER_SECOND))
    const stock = await openStock(world, Math.min(ASKED, Math.round(documents / 10)))
    await stock.growTo(documents)
    await stock.close()
    const load = await openLoadGenerator(world, stock.asked)
    const floor = await startFetchFloor(world, stock)
    const hub = await startHub(world.hubEnv)
    try {
      const subject = await subjectOf([hub], true)
      const { perSecond } = await load.closed(subject, CONCURRENCIES[0], FIRST_LOOK)
      const worth = (part: number): number => Math.max(MIN_COUNT, Math.round(perSecond * seconds * part))
      const bare = { load, subject: floor.subject }
      const { series, steady } = await inTurns(seconds, worth, bare, { load, subject })
      await hub.stop()
      const inHub = await profiledShares(world, load, worth(0.1), true)
      await checkRecords(world)
      say(`${documents} documents stored`)
      const found = report('fetch', { series, steady, inHub, processes: 1 }, say)
      return { ...found, figures: { ...found.figures, documents } }
    } finally {
      await floor.child.stop()
      await load.stop()
    }
  } finally {
    await world.close()
  }
}

async function startFetchFloor(
  world: World,
  stock: Stock,
): Promise<{ readonly subject: Subject; readonly child: Child }> {
  const [grant] = await query(
    world.databaseUrl,
    `SELECT fields FROM access_grant WHERE party = '${UTILITY}' AND contract = 'business-licence-query@1'`,
  )
  const child = startChild('floor-fetch-process.ts')
  const target = await child.ask('start', {
    databaseUrl: world.databaseUrl,
    senderJwk: signerOf(world.keysDir, UTILITY).publicJwk,
    fields: grant?.['fields'],
    asked: stock.asked.map(({ uscc }, at) => ({ code: uscc, data: licenceOf(at) })),
  })
  return { subject: { target: target as Target, pids: [child.pid] }, child }
}

/** Every answer that left must have been recorded and counted first. */
async function checkRecords(world: World): Promise<void> {
  const [row] = await query(
    world.databaseUrl,
    `SELECT (SELECT count(*)::int FROM access_record) AS records, (SELECT sum(used)::int FROM grant_usage WHERE scope = 'party') AS counted,
       (SELECT count(*)::int FROM access_record WHERE cardinality(documents) <> 1) AS strange`,
  )
  const { records, counted, strange } = row ?? {}
  if (records !== counted || strange !== 0) {
    throw new Error(`${records} records, ${counted} counted, ${strange} with another number of documents than one`)
  }
}
