import { setTimeout as sleep } from 'node:timers/promises'
import { sql } from 'kysely'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { openKafkaDoor } from '#gateway/kafka/door.ts'
import type { JsonObject } from '#kernel/json.ts'
import { eventually } from '../bus/eventually.ts'
import { withDatabase } from '../support/database.ts'
import { at, openTestHub, type TestHub } from '../support/hub.ts'
import { newNumber, result } from './messages.ts'

const PARTY = 'platform-nmg'

withDatabase('the bus door', (databaseUrl) => {
  let hub: TestHub
  beforeAll(async () => {
    hub = await openTestHub(databaseUrl)
  })
  afterAll(() => hub.close())

  const publish = (tokens: readonly string[], topic = `dx.in.${PARTY}`) =>
    hub.core.bus.publish(
      topic,
      tokens.map((value) => ({ key: 'k', value, headers: {} })),
    )

  const openDoor = () =>
    openKafkaDoor(
      { bus: hub.core.bus, hubId: 'dianqiao', accept: hub.core.accept, onError: (error) => expect.fail(String(error)) },
      [PARTY],
    )

  interface Reply {
    readonly value: string
    readonly headers: JsonObject
  }

  async function replies(): Promise<Reply[]> {
    const { rows } = await sql<{ value: Buffer; headers: JsonObject }>`
      SELECT value, headers FROM bus_log WHERE topic = ${`dx.receipt.${PARTY}`} ORDER BY pos`.execute(hub.core.db)
    return rows.map(({ value, headers }) => ({ value: hub.opened(value), headers }))
  }

  test('what comes through dx.in gets its signed receipt on dx.receipt, in order, and stands in the log', async () => {
    const door = await openDoor()
    const party = hub.party(PARTY)
    const messages = [1, 2, 3].map(() => result(newNumber()))
    await publish(messages.map((message) => party.exchange(message)))
    await eventually(async () => expect(await replies()).toHaveLength(3))
    const receipts = await Promise.all((await replies()).map(({ value }) => hub.verified(value)))
    const { rows } = await sql<{ id: string }>`
      SELECT e.id FROM log l JOIN exchange e ON e.id = l.exchange ORDER BY l.pos`.execute(hub.core.db)
    expect(rows.map((row) => row.id)).toEqual(receipts.map((receipt) => receipt['exchange']))
    await door.close()
  })

  test('another party’s exchange in this topic is refused as token.topic_foreign, a broken one as malformed', async () => {
    const door = await openDoor()
    const before = (await replies()).length
    await publish([hub.party('platform-hohhot').exchange(result(newNumber())), 'no token', 'bytes \u00ff'])
    await eventually(async () => expect(await replies()).toHaveLength(before + 3))
    const [foreign, broken, bytes] = (await replies()).slice(before)
    expect(at(await hub.verified(foreign?.value), 'problem', 'code')).toBe('token.topic_foreign')
    for (const reply of [broken, bytes]) {
      expect(reply?.headers['content-type']).toBe('application/problem+json')
      expect(JSON.parse(reply?.value ?? '')).toMatchObject({ code: 'token.malformed', status: 401 })
    }
    await door.close()
  })

  test('freshness is judged when the bus took it: an outage of the hub expires nothing', async () => {
    const now = Math.floor(Date.now() / 1000)
    const before = (await replies()).length
    await publish([hub.party(PARTY).exchange(result(newNumber()), { iat: now, exp: now + 2 })])
    await sleep(2_500)
    const door = await openDoor()
    await eventually(async () => expect(await replies()).toHaveLength(before + 1))
    const receipt = await hub.verified((await replies()).at(-1)?.value)
    expect(Number(receipt['acceptedAt'])).toBeLessThanOrEqual(now + 2)
    await door.close()
  })

  test('the same exchange by HTTP and by the bus has one receipt', async () => {
    const party = hub.party(PARTY)
    const message = result(newNumber())
    const token = party.exchange(message)
    const byHttp = await hub.post('/v1/exchanges', token)
    const before = (await replies()).length
    const door = await openDoor()
    await publish([token])
    await eventually(async () => expect(await replies()).toHaveLength(before + 1))
    expect((await replies()).at(-1)?.value).toBe(byHttp.text)
    await door.close()
  })
})
