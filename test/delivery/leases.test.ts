import { setTimeout as sleep } from 'node:timers/promises'
import { sql } from 'kysely'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { holdLeases, type Leases } from '#delivery/leases.ts'
import { HubError } from '#kernel/errors.ts'
import { type Db, openDb } from '#store/db.ts'
import { withDatabase } from '../support/database.ts'

withDatabase('leases', (databaseUrl) => {
  let db: Db
  beforeAll(() => {
    db = openDb(databaseUrl, { max: 4 })
  })
  afterAll(() => db.destroy())

  const hold = (name: string, ms: number, from = db, errors: unknown[] = []): Leases =>
    holdLeases(from, [name], { ms, onTaken: () => {}, onError: (error) => errors.push(error) })
  const untilHeld = async (leases: Leases, name: string) => {
    await expect.poll(() => leases.held(name), { timeout: 10_000 }).toBeDefined()
    const lease = leases.held(name)
    if (lease === undefined) throw new HubError('hub.internal')
    return lease
  }

  test('one process has a lease, however many ask for it', async () => {
    const first = hold('alone', 3_000)
    await untilHeld(first, 'alone')
    const second = hold('alone', 3_000)
    await sleep(1_500)
    expect(second.held('alone')).toBeUndefined()
    expect(first.held('alone')).toMatchObject({ epoch: 1 })
    await Promise.all([first.stop(), second.stop()])
  })

  test('what a process gives back at its end is taken at once, under a greater epoch', async () => {
    const first = hold('given', 60_000)
    await untilHeld(first, 'given')
    await first.stop()
    const second = hold('given', 60_000)
    expect((await untilHeld(second, 'given')).epoch).toBe(2)
    await second.stop()
  })

  test('a process that is silent loses its lease, and does not believe that it has it still', async () => {
    const errors: unknown[] = []
    const severed = openDb(databaseUrl, { max: 1 })
    const first = hold('silent', 600, severed, errors)
    const { epoch } = await untilHeld(first, 'silent')
    await severed.destroy()
    const second = hold('silent', 600)
    expect((await untilHeld(second, 'silent')).epoch).toBe(epoch + 1)
    expect(first.held('silent')).toBeUndefined()
    expect(errors.length).toBeGreaterThan(0)
    await Promise.all([first.stop(), second.stop()])
  })

  test('a transaction of a stopped process gives its locks up', async () => {
    const sleepy = openDb(databaseUrl, { max: 1, idleInTransactionMs: 300 })
    const stopped = sleepy.transaction().execute(async (tx) => {
      await sql`INSERT INTO lease (name, owner, epoch, until) VALUES ('locked', gen_random_uuid(), 1, now())`.execute(
        tx,
      )
      await sleep(1_500)
      await sql`SELECT 1`.execute(tx)
    })
    await expect(stopped).rejects.toThrow(/idle-in-transaction|terminat|not queryable/)
    const { rows } = await sql`SELECT FROM lease WHERE name = 'locked'`.execute(db)
    expect(rows).toEqual([])
    await sleepy.destroy()
  })
})
