import { setTimeout as sleep } from 'node:timers/promises'
import { sql } from 'kysely'
import { expect, onTestFinished, test } from 'vitest'
import type { MessageInput } from '#sandbox/party-client.ts'
import { type Db, openDb } from '#store/db.ts'
import { application, licence, newNumber } from '../gateway/messages.ts'
import { withDatabase } from '../support/database.ts'
import type { Message } from '../support/hub.ts'
import { pushToTheEnd } from './ending-hub.ts'
import { openWorld } from './world.ts'

const UTILITY = 'state-grid-east'
const COMPANY = '91150402MADEM002XN'

const inputOf = ({ contract, sub, data }: Message): MessageInput => ({ contract, sub, data })

async function feedHasPassedAll(db: Db): Promise<boolean | undefined> {
  const { rows } = await sql<{ passed: boolean }>`
    SELECT c.pos >= h.pos AS passed FROM log_cursor c CROSS JOIN log_head h WHERE c.name = 'document-status'`.execute(
    db,
  )
  return rows[0]?.passed
}

withDatabase('a hub killed while it tells who fetched a document', () => {
  for (const point of ['feed.before-commit:1', 'feed.before-mark:1']) {
    test(`${point}: the utility is told once`, { timeout: 120_000 }, async (context) => {
      const world = await openWorld(context)
      await world.hub.start()
      const authority = await world.client('market-regulation-nmg')
      const utility = await world.client(UTILITY)
      const number = newNumber('ME')
      expect((await authority.push(inputOf(licence(COMPANY)))).status).toBe(202)
      expect((await utility.push(inputOf(application(number, { applicant: COMPANY })))).status).toBe(202)
      const ask = { contract: 'business-licence-query@1', sub: COMPANY, caseNo: number }
      await expect.poll(async () => (await utility.ask(ask)).status, { timeout: 10_000 }).toBe(200)

      // What came before must not be what passes the point.
      const db = openDb(world.databaseUrl ?? '', { max: 1 })
      onTestFinished(() => db.destroy())
      await expect.poll(() => feedHasPassedAll(db), { timeout: 10_000 }).toBe(true)
      await world.hub.stop()
      await world.hub.start({ FAULT_POINT: point })
      const statusTime = new Date().toISOString()
      const suspension = authority.exchangeToken(inputOf(licence(COMPANY, { status: '02', statusTime })))
      const receipt = await pushToTheEnd(world, 'market-regulation-nmg', suspension)
      const reference = `${String(receipt?.['exchange'])}:${UTILITY}`
      const told = () =>
        world.peers
          .get(UTILITY)
          ?.effects()
          .filter((effect) => effect.reference === reference)
      await expect.poll(told, { timeout: 30_000 }).toHaveLength(1)
      // Long enough for a second notice to show.
      await sleep(1_000)
      expect(told()).toHaveLength(1)
    })
  }
})
