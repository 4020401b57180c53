import { generateKeyPairSync, type KeyObject } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import { CompactEncrypt, type CompactJWEHeaderParameters } from 'jose'
import { sql } from 'kysely'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { openKafkaDoor } from '#gateway/kafka/door.ts'
import type { JsonObject } from '#kernel/json.ts'
import { decryptWith } from '#trust/jwe.ts'
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

  const publishAsIs = (values: readonly string[]) =>
    hub.core.bus.publish(
      `dx.in.${PARTY}`,
      values.map((value) => ({ key: 'k', value, headers: {} })),
    )
  /** What is personal goes to a broker in a JWE to the hub. */
  const publish = async (tokens: readonly string[]) => publishAsIs(await Promise.all(tokens.map(hub.wrapped)))

  const openDoor = () =>
    openKafkaDoor(
      {
        bus: hub.core.bus,
        hubId: 'dianqiao',
        decrypt: (value) => decryptWith(hub.core.decryption, value),
        accept: hub.core.accept,
        onError: (error) => expect.fail(String(error)),
      },
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
    await publish([hub.party('platform-hohhot').exchange(result(newNumber()))])
    await publishAsIs(['no token', 'bytes \u00ff'])
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

  test('a token of a personal contract that is not wrapped is refused, signed and recorded; a notice needs no wrapping', async () => {
    const door = await openDoor()
    const before = (await replies()).length
    const token = hub.party(PARTY).exchange(result(newNumber()))
    const ack = hub.party(PARTY).exchange({
      contract: 'delivery-ack@1',
      sub: '01990000-0000-7000-8000-000000000000',
      data: {
        outcomes: [
          { delivery: '01990000-0000-7000-8000-000000000000', outcome: 'applied', at: '2026-03-09T16:20:05+08:00' },
        ],
      },
    })
    await publishAsIs([token, ack])
    await eventually(async () => expect(await replies()).toHaveLength(before + 2))
    const [refused, receipt] = (await replies()).slice(before)
    expect(at(await hub.verified(refused?.value), 'problem', 'code')).toBe('token.not_encrypted')
    expect(receipt?.headers['ce_type']).toBe('receipt')
    const { rows } = await sql<{ code: string }>`
      SELECT code FROM refusal WHERE code = 'token.not_encrypted'`.execute(hub.core.db)
    expect(rows).toHaveLength(1)
    await door.close()
  })

  test('a JWE for somebody else, with other algorithms or a changed byte is refused as token.encryption_invalid', async () => {
    const door = await openDoor()
    const before = (await replies()).length
    const wrapped = await hub.wrapped(hub.party(PARTY).exchange(result(newNumber())))
    const stranger = generateKeyPairSync('ec', { namedCurve: 'P-256' }).publicKey
    const encrypt = (header: CompactJWEHeaderParameters, key: KeyObject | Buffer) =>
      new CompactEncrypt(Buffer.from('a.b.c')).setProtectedHeader(header).encrypt(key)
    const kid = hub.core.decryption.current.kid
    await publishAsIs([
      await encrypt({ alg: 'ECDH-ES', enc: 'A256GCM', kid: 'nobody' }, stranger),
      await encrypt({ alg: 'ECDH-ES', enc: 'A256GCM', kid }, stranger),
      await encrypt({ alg: 'ECDH-ES', enc: 'A128GCM', kid }, hub.core.decryption.current.key),
      await encrypt({ alg: 'A256KW', enc: 'A256GCM', kid }, Buffer.alloc(32)),
      `${wrapped.slice(0, -2)}AA`,
    ])
    await eventually(async () => expect(await replies()).toHaveLength(before + 5))
    const codes = (await replies()).slice(before).map(({ value }) => (JSON.parse(value) as JsonObject)['code'])
    expect(codes).toEqual(Array(5).fill('token.encryption_invalid'))
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
