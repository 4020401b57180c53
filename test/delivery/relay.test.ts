import { randomUUID } from 'node:crypto'
import { sql } from 'kysely'
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import type { Bus, BusRecord } from '#bus/bus.ts'
import { outTopic } from '#bus/topic-names.ts'
import { busValue } from '#compose-vault.ts'
import { compileRule } from '#contracts/rules.ts'
import { requireEgress } from '#delivery/egress.ts'
import { claimsOf } from '#delivery/outcomes.ts'
import { pullDeliveries } from '#delivery/pull.ts'
import { createRelay, RELAY_LANES, type Relay } from '#delivery/relay.ts'
import { HubError } from '#kernel/errors.ts'
import { openPartyEncryption } from '#parties/key-files.ts'
import { addEncryptionKey } from '#parties/keys.ts'
import { takeLeases } from '#store/lease-queries.ts'
import { closeDrained, openGeneration, openGenerations, topicGenerations } from '#store/topic-queries.ts'
import { decryptWith } from '#trust/jwe.ts'
import { eventually } from '../bus/eventually.ts'
import { CHIFENG, caseMessages, HOHHOT, type Place } from '../faults/messages.ts'
import { withDatabase } from '../support/database.ts'
import { type Message, openTestHub, type TestHub } from '../support/hub.ts'

const OWNER = (n: number): string => `00000000-0000-4000-8000-00000000000${n}`
const EAST = 'state-grid-east'
const WEST = 'inner-mongolia-power'
const OUT_EAST = outTopic(EAST)
const OUT_WEST = outTopic(WEST)

/** A bus that remembers, and does to a topic's publishing what a test says. */
function rememberingBus() {
  const published: { topic: string; record: BusRecord }[] = []
  const hooks = new Map<string, () => Promise<void>>()
  const publish: Bus['publish'] = async (topic, records) => {
    await hooks.get(topic)?.()
    published.push(...records.map((record) => ({ topic, record })))
  }
  return { published, hooks, bus: { publish } as Bus }
}

withDatabase('the relay', (databaseUrl) => {
  let hub: TestHub
  let memory: ReturnType<typeof rememberingBus>
  beforeAll(async () => {
    hub = await openTestHub(databaseUrl)
  })
  beforeEach(() => {
    memory = rememberingBus()
  })
  afterAll(() => hub.close())

  const errors: unknown[] = []
  const relayOf = async (owner: string, leaseMs = 60_000, contracts = hub.core.contracts): Promise<Relay> => {
    const taken = await takeLeases(hub.core.db, RELAY_LANES, owner, leaseMs)
    const lost = new Set<string>()
    return createRelay({
      db: hub.core.db,
      bus: memory.bus,
      hubId: 'dianqiao',
      recipients: () => [EAST, WEST],
      held: (lane) => (lost.has(lane) ? undefined : taken.find(({ name }) => name === lane)),
      lose: (lane) => void lost.add(lane),
      valueOf: busValue({ ...hub.core, contracts }),
      outboundKey: hub.core.digests.outboundKey,
      onError: (error) => errors.push(error),
      onFree: () => {},
    })
  }
  const free = (owner: string) => takeLeases(hub.core.db, RELAY_LANES, owner, 1)

  /** So many applications under one number: deliveries of one order key. */
  async function send(place: Place, number: string, count: number): Promise<void> {
    for (let n = 0; n < count; n++) {
      const { application } = caseMessages(place, number)
      const answer = await hub.party(place.sender).push({ ...application.input, jti: randomUUID() } as Message)
      expect(answer.status).toBe(202)
    }
  }
  const publishedTo = (topic: string): string[] =>
    memory.published.filter((one) => one.topic === topic).map(({ record }) => String(record.headers['ce_id']))
  const untilPublished = (relay: Relay, topic: string) => async (): Promise<number> => {
    await relay.step()
    return publishedTo(topic).length
  }
  const inLogOrder = async (): Promise<string[]> => {
    const { rows } = await sql<{ id: string }>`
      SELECT id FROM delivery WHERE recipient IN (${EAST}, ${WEST}) ORDER BY pos`.execute(hub.core.db)
    return rows.map(({ id }) => id)
  }
  const settleAll = () => sql`UPDATE delivery SET state = 'acknowledged' WHERE state = 'published'`.execute(hub.core.db)

  test('a process that wakes up after its lease went on repeats, but marks nothing and reorders nothing', async () => {
    await send(CHIFENG, 'zombie', 3)
    const wakes = Promise.withResolvers<void>()
    let asleep = false
    memory.hooks.set(OUT_EAST, async () => {
      if (asleep) return
      asleep = true
      await wakes.promise
    })
    const zombie = await relayOf(OWNER(1), 50)
    expect(await zombie.step()).toBe(0)
    await send(CHIFENG, 'zombie', 2)
    const successor = await relayOf(OWNER(2))
    expect(await successor.step()).toBe(5)
    const order = await inLogOrder()
    expect(publishedTo(OUT_EAST)).toEqual(order)
    wakes.resolve()
    await zombie.idle()
    expect(publishedTo(OUT_EAST)).toEqual([...order, ...order.slice(0, 3)])
    const { rows } = await sql<{ publications: number }>`
      SELECT DISTINCT publications FROM delivery WHERE recipient = ${EAST}`.execute(hub.core.db)
    expect(rows).toEqual([{ publications: 1 }])
    await send(CHIFENG, 'zombie', 1)
    expect(await zombie.step()).toBe(0)
    expect(await successor.step()).toBe(1)
    await free(OWNER(2))
  })

  test('a topic that refuses or does not answer holds no other recipient up', async () => {
    await send(CHIFENG, 'held', 1)
    await send(HOHHOT, 'free', 1)
    const relay = await relayOf(OWNER(3))
    memory.hooks.set(OUT_EAST, () => Promise.reject(new HubError('bus.unavailable')))
    expect(await relay.step()).toBe(1)
    expect(errors).toMatchObject([{ code: 'bus.unavailable' }])
    const answers = Promise.withResolvers<void>()
    memory.hooks.set(OUT_EAST, () => answers.promise)
    await send(HOHHOT, 'free', 1)
    await expect.poll(untilPublished(relay, OUT_WEST), { timeout: 5_000 }).toBe(2)
    await send(HOHHOT, 'free', 1)
    expect(await relay.step()).toBe(1)
    answers.resolve()
    await relay.idle()
    await expect.poll(untilPublished(relay, OUT_EAST), { timeout: 5_000 }).toBe(1)
    expect(publishedTo(OUT_WEST)).toHaveLength(3)
    await free(OWNER(3))
  })

  test('a new generation takes new keys at once and each old key when it is settled; the drained one is closed', async () => {
    const { db } = hub.core
    const relay = await relayOf(OWNER(4))
    await settleAll()
    await send(CHIFENG, 'old-key', 1)
    expect(await relay.step()).toBe(1)
    await openGeneration(db, EAST, 2)
    await send(CHIFENG, 'old-key', 1)
    await send(CHIFENG, 'new-key', 1)
    expect(await relay.step()).toBe(2)
    expect([publishedTo(OUT_EAST).length, publishedTo(`${OUT_EAST}.G2`).length]).toEqual([2, 1])
    expect(await closeDrained(db)).toBe(0)
    expect(await topicGenerations(db, [EAST])).toMatchObject([{ unsettled: 2 }, { unsettled: 1 }])

    await settleAll()
    expect(await closeDrained(db)).toBe(1)
    expect(await openGenerations(db, EAST)).toEqual([2])
    await send(CHIFENG, 'old-key', 1)
    expect(await relay.step()).toBe(1)
    expect(publishedTo(`${OUT_EAST}.G2`)).toHaveLength(2)
    await free(OWNER(4))
  })

  test('the key of a record is another one in another topic', async () => {
    await send(CHIFENG, 'one-name', 2)
    const relay = await relayOf(OWNER(5))
    expect(await relay.step()).toBe(2)
    const [first, second] = memory.published.map(({ record }) => record)
    const orderKey = String(first?.headers['dx-order-key'])
    expect(first?.key).toBe(second?.key)
    expect(first?.key).toBe(hub.core.digests.outboundKey(`${OUT_EAST}.G2`, orderKey))
    expect(first?.key).not.toBe(hub.core.digests.outboundKey(OUT_EAST, orderKey))
    await free(OWNER(5))
  })

  test('what is personal is wrapped for its recipient alone; without its key nothing of it goes out, and others get theirs', async () => {
    const { db, register, config } = hub.core
    await send(CHIFENG, 'personal', 1)
    await send(HOHHOT, 'personal', 1)
    await sql`DELETE FROM party_encryption_key WHERE party = ${WEST}`.execute(db)
    await register.refresh()
    const relay = await relayOf(OWNER(6))
    errors.length = 0
    await relay.step()
    await relay.idle()
    expect(errors).toMatchObject([{ code: 'party.encryption_key_missing' }])
    expect(memory.published.map(({ record }) => record.headers['content-type'])).toEqual(['application/jose'])
    const wrapped = String(memory.published[0]?.record.value)
    const token = await decryptWith(openPartyEncryption(config.partyKeysDir, EAST, false), wrapped)
    expect(claimsOf(token)).toMatchObject({ contract: 'power-application@1' })
    await expect(decryptWith(openPartyEncryption(config.partyKeysDir, WEST, false), wrapped)).rejects.toThrow()

    const { current } = openPartyEncryption(config.partyKeysDir, WEST, false)
    await addEncryptionKey(db, WEST, current.jwk, { by: 'test' })
    await register.refresh()
    await expect.poll(untilPublished(relay, OUT_WEST), { timeout: 5_000 }).toBe(1)
    await expect(addEncryptionKey(db, WEST, current.jwk, { by: 'test' })).rejects.toMatchObject({ code: 'key.refused' })
    await expect(addEncryptionKey(db, 'nobody', current.jwk, { by: 'test' })).rejects.toMatchObject({
      code: 'party.unknown',
    })
    await free(OWNER(6))
  })

  test('without its key a recipient still gets what needs none, but nothing under a key overtakes what waits', async () => {
    const contract = hub.core.contracts.get('power-application@1')
    if (contract === undefined) throw new RangeError()
    const { db, register } = hub.core
    await settleAll()
    await send(HOHHOT, 'locked', 1)
    await send(HOHHOT, 'plain', 1)
    await send(HOHHOT, 'locked', 1)
    const [, plain = ''] = (await inLogOrder()).slice(-3)
    await sql`UPDATE delivery SET order_key = 'locked' WHERE state = 'accepted' AND id <> ${plain}`.execute(db)
    await sql`UPDATE exchange SET contract = 'plain@1' WHERE id = (
      SELECT exchange FROM delivery WHERE id = ${plain})`.execute(db)
    await sql`UPDATE exchange SET contract = 'plain@1' WHERE id = (
      SELECT exchange FROM delivery WHERE state = 'accepted' ORDER BY pos DESC LIMIT 1)`.execute(db)
    await sql`DELETE FROM party_encryption_key WHERE party = ${WEST}`.execute(db)
    await register.refresh()
    const get = (ref: string) => ({ ...contract, personal: ref !== 'plain@1' })
    const relay = await relayOf(OWNER(9), 60_000, { ...hub.core.contracts, get })
    errors.length = 0
    await relay.step()
    await relay.idle()
    expect(errors).toMatchObject([{ code: 'party.encryption_key_missing' }])
    expect(publishedTo(OUT_WEST)).toEqual([plain])

    const { current } = openPartyEncryption(hub.core.config.partyKeysDir, WEST, false)
    await addEncryptionKey(db, WEST, current.jwk, { by: 'test' })
    await register.refresh()
    await expect.poll(untilPublished(relay, OUT_WEST), { timeout: 5_000 }).toBe(3)
    expect(publishedTo(OUT_WEST)).toEqual([plain, ...(await inLogOrder()).slice(-3).filter((id) => id !== plain)])
    await free(OWNER(9))
  })

  test('a delivery whose content is gone dies with its cause; what stands behind it goes out', async () => {
    const { db } = hub.core
    await send(CHIFENG, 'gone', 1)
    await sql`UPDATE exchange SET token = '\\x01ffffffff'::bytea || substring(token FROM 6)
              WHERE id IN (SELECT exchange FROM delivery WHERE state = 'accepted')`.execute(db)
    await send(CHIFENG, 'gone', 1)
    const relay = await relayOf(OWNER(7))
    // An unknown key may be one that another process has just made: first it is looked for.
    const publish = async (): Promise<number> => {
      await relay.step()
      return memory.published.length
    }
    await expect.poll(publish, { timeout: 10_000 }).toBe(1)
    await relay.idle()
    const { rows } = await sql<{ state: string; cause: string | null }>`
      SELECT state, cause FROM delivery WHERE recipient = ${EAST} ORDER BY pos DESC LIMIT 2`.execute(db)
    expect(rows).toEqual([
      { state: 'published', cause: null },
      { state: 'dead', cause: 'vault.sealed_damaged' },
    ])
    await free(OWNER(7))
  })

  test('what breaks a rule for what leaves is dead with its cause, by topic and by inbox, and others go on', async () => {
    const rule = compileRule({
      id: 'never-this-number',
      severity: 'error',
      stage: 'egress',
      expression: 'data.applicationNo != "APP-held"',
      pointer: '/applicationNo',
      message: { zh: '不得离开', en: 'must not leave' },
    })
    const contract = hub.core.contracts.get('power-application@1')
    if (contract === undefined || !('judge' in rule)) throw new RangeError()
    const contracts = { ...hub.core.contracts, get: () => ({ ...contract, rules: [rule] }) }
    await settleAll()
    await send(CHIFENG, 'held', 1)
    await send(HOHHOT, 'free', 1)
    const [held = '', free = ''] = (await inLogOrder()).slice(-2)
    const relay = await relayOf(OWNER(8), 60_000, contracts)
    await eventually(async () => expect(await untilPublished(relay, OUT_WEST)()).toBe(1))
    expect(publishedTo(OUT_EAST)).toEqual([])
    expect(publishedTo(OUT_WEST)).toEqual([free])
    const stateOf = async (id: string) => {
      const { rows } = await sql`SELECT state, cause FROM delivery WHERE id = ${id}`.execute(hub.core.db)
      return rows[0]
    }
    expect(await stateOf(held)).toEqual({ state: 'dead', cause: 'contract.rule_violated' })
    await sql`UPDATE party SET channel = 'inbox' WHERE id = ${EAST}`.execute(hub.core.db)
    await sql`UPDATE delivery SET state = 'published', settled_at = NULL WHERE id = ${held}`.execute(hub.core.db)
    const pulled = await pullDeliveries(
      hub.core.db,
      hub.core.vault,
      {
        recipients: () => [EAST],
        limit: 10,
        waitSeconds: 0,
        requireEgress: (ref, token) => requireEgress(contracts, ref, token, Date.now()),
      },
      AbortSignal.timeout(1_000),
    )
    expect(pulled).toEqual([])
    expect(await stateOf(held)).toEqual({ state: 'dead', cause: 'contract.rule_violated' })
  })
})
