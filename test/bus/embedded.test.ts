import { sql } from 'kysely'
import { afterAll, expect, it } from 'vitest'
import { openEmbeddedBus } from '#bus/embedded.ts'
import { trimTopics } from '#store/bus-queries.ts'
import { openDb } from '#store/db.ts'
import { withDatabase } from '../support/database.ts'
import { plainSeal } from '../support/vault.ts'
import { busSuite } from './bus-suite.ts'
import { eventually } from './eventually.ts'

withDatabase('the embedded bus', (url) => {
  const db = openDb(url, { max: 8 })
  afterAll(() => db.destroy())
  const positions = async (topic: string): Promise<number[]> => {
    const { rows } = await sql<{ pos: number }>`
      SELECT pos::float8 AS pos FROM bus_log WHERE topic = ${topic} ORDER BY pos`.execute(db)
    return rows.map((row) => row.pos)
  }

  busSuite(() => openEmbeddedBus(db, plainSeal, { pollMs: 20 }))

  it('numbers a topic without gaps, whatever publishers are refused in between', async () => {
    const bus = openEmbeddedBus(db, plainSeal)
    await bus.publish('gaps', [{ key: 'a', value: '1', headers: {} }])
    await expect(bus.publish('gaps', [{ key: 'nul \u0000', value: '2', headers: {} }])).rejects.toThrow()
    await bus.publish('gaps', [{ key: 'a', value: '3', headers: {} }])
    expect(await positions('gaps')).toEqual([1, 2])
    await bus.close()
  })

  it('trims only rows that every group has passed and that are old enough', async () => {
    const bus = openEmbeddedBus(db, plainSeal, { pollMs: 20 })
    const publish = (n: number) => bus.publish('trim', [{ key: 'a', value: String(n), headers: {} }])
    await publish(1)
    await bus.subscribe({ topics: ['trim'], group: 'fast', onBatch: async () => undefined })
    await eventually(async () => expect(await bus.lag('trim', 'fast')).toBe(0))
    const slow = await bus.subscribe({ topics: ['trim'], group: 'slow', onBatch: async () => undefined })
    await eventually(async () => expect(await bus.lag('trim', 'slow')).toBe(0))
    await slow.close()
    await publish(2)
    await eventually(async () => expect(await bus.lag('trim', 'fast')).toBe(0))

    expect(await trimTopics(db, 60_000, 100)).toBe(0)
    expect(await trimTopics(db, 0, 10_000)).toBeGreaterThan(0)
    expect(await positions('trim')).toEqual([2])
    await bus.close()
  })
})
