import path from 'node:path'
import { sql } from 'kysely'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { PROJECT_ROOT } from '#compose.ts'
import { DELIVERY_STATES } from '#delivery/states.ts'
import { sweepStep } from '#delivery/sweeper.ts'
import { HubError } from '#kernel/errors.ts'
import type { JsonObject } from '#kernel/json.ts'
import { readSeeds } from '#parties/seed-files.ts'
import { withDatabase } from '../support/database.ts'
import { at, openTestHub, openTestRelay, type TestHub } from '../support/hub.ts'

const seeds = readSeeds(path.join(PROJECT_ROOT, 'seeds'))

withDatabase('the hub side of delivery', (databaseUrl) => {
  let hub: TestHub
  let serial = 0
  beforeAll(async () => {
    hub = await openTestHub(databaseUrl)
  })
  afterAll(() => hub.close())

  const sweep = (republishAfterMs = 3_600_000) =>
    sweepStep({
      db: hub.core.db,
      clock: hub.core.clock,
      hubId: 'dianqiao',
      signer: hub.core.signer,
      republishAfterMs,
      isNotice: (ref) => hub.core.contracts.get(ref)?.kind === 'notice',
      acceptOwn: async (token) => {
        const result = await hub.core.acceptOwn(token)
        if (result.kind === 'refused') throw result.error
      },
    })

  /** Chifeng's application under a number of its own: it goes to State Grid East. */
  async function apply(): Promise<{ exchange: string; number: string }> {
    const message = seeds.applications[0]
    if (message === undefined) throw new HubError('seed.invalid')
    const number = `HD-${serial++}`
    const data: JsonObject = {
      ...message.data,
      applicationNo: number,
      aliases: [{ scheme: 'application-no', issuer: 'state-grid-east', number }],
    }
    const answer = await hub.party('platform-chifeng').push({ contract: 'power-application@1', sub: number, data })
    expect(answer.status).toBe(202)
    return { exchange: String((await hub.verified(answer.text))['exchange']), number }
  }

  async function deliveryOf(exchange: string): Promise<JsonObject> {
    const { json } = await hub.party('platform-chifeng').get(`/v1/exchanges/${exchange}`)
    return at(json, 'deliveries', 0) as JsonObject
  }

  const acknowledge = (party: string, delivery: string, outcome: string, obo?: string) =>
    hub.party(party).push({
      contract: 'delivery-ack@1',
      sub: delivery,
      ...(obo === undefined ? {} : { obo }),
      data: {
        outcomes: [
          {
            delivery,
            outcome,
            recipientRef: 'R-1',
            at: new Date().toISOString(),
            ...(outcome === 'rejected' ? { code: 'peer.rejected' } : {}),
          },
        ],
      },
    })

  const eventsOnBus = async (delivery: string): Promise<JsonObject[]> => {
    const { rows } = await sql<{ headers: JsonObject }>`
      SELECT headers FROM bus_log WHERE headers ->> 'ce_id' = ${delivery}`.execute(hub.core.db)
    return rows.map((row) => row.headers)
  }

  const makeOverdue = (delivery: string) =>
    sql`UPDATE delivery SET deliver_by = now() - interval '1 s' WHERE id = ${delivery}`.execute(hub.core.db)

  test('a crash between publish and mark publishes the same event again, never another one', async () => {
    const { exchange } = await apply()
    const { delivery } = await deliveryOf(exchange)
    const errors: unknown[] = []
    const relay = await openTestRelay(hub.core, {
      fault: (point) => {
        if (point === 'relay.after-publish') throw new HubError('hub.internal')
      },
      onError: (error) => errors.push(error),
    })
    expect(await relay.step()).toBe(0)
    expect(errors).toMatchObject([{ code: 'hub.internal' }])
    expect((await deliveryOf(exchange))['state']).toBe('accepted')
    await hub.settle()
    const events = await eventsOnBus(String(delivery))
    expect(events).toHaveLength(2)
    expect(events[0]).toEqual(events[1])
    expect(events[0]).toMatchObject({
      ce_specversion: '1.0',
      ce_type: 'power-application@1',
      'dx-contract': 'power-application@1',
    })
    expect((await deliveryOf(exchange))['state']).toBe('published')
  })

  test('the recipient settles its delivery, through its connector, and nobody else does', async () => {
    const { exchange } = await apply()
    await hub.settle()
    const delivery = String((await deliveryOf(exchange))['delivery'])
    expect((await acknowledge('platform-hohhot', delivery, 'applied')).status).toBe(202)
    await hub.settle()
    expect((await deliveryOf(exchange))['state']).toBe('published')
    expect((await acknowledge('connector-state-grid-east', delivery, 'applied', 'state-grid-east')).status).toBe(202)
    await hub.settle()
    expect(await deliveryOf(exchange)).toMatchObject({ state: 'acknowledged', outcome: 'applied', recipientRef: 'R-1' })
  })

  test('a connector without a mandate for the utility cannot acknowledge in its name', async () => {
    const { exchange } = await apply()
    const delivery = String((await deliveryOf(exchange))['delivery'])
    const answer = await acknowledge('connector-inner-mongolia-power', delivery, 'applied', 'state-grid-east')
    expect(answer).toMatchObject({ status: 403, json: { code: 'right.no_mandate' } })
  })

  test('what nobody acknowledges is published again with the same event id', async () => {
    const { exchange } = await apply()
    await hub.settle()
    const delivery = String((await deliveryOf(exchange))['delivery'])
    await new Promise((resolve) => setTimeout(resolve, 5))
    expect((await sweep(1)).reopened).toBeGreaterThan(0)
    await hub.settle()
    expect(await eventsOnBus(delivery)).toHaveLength(2)
  })

  test('an overdue delivery expires and its sender is told once, with a signed notice it can pull', async () => {
    const { exchange } = await apply()
    await hub.settle()
    const delivery = String((await deliveryOf(exchange))['delivery'])
    await makeOverdue(delivery)
    await sweep()
    await sweep()
    await hub.settle()
    expect(await deliveryOf(exchange)).toMatchObject({ state: 'expired', cause: 'delivery.expired' })
    const { json } = await hub.party('platform-chifeng').get('/v1/inbox?limit=100')
    const notices = (json['deliveries'] as JsonObject[]).filter((one) => one['contract'] === 'non-delivery@1')
    const told = await Promise.all(notices.map((notice) => hub.verified(notice['token'])))
    const mine = told.filter((claims) => at(claims, 'data', 'delivery') === delivery)
    expect(mine).toHaveLength(1)
    expect(at(mine[0], 'data')).toMatchObject({ exchange, cause: 'delivery.expired', recipient: 'state-grid-east' })
  })

  test('an acknowledgement that comes after the expiry is what happened, and is shown', async () => {
    const { exchange } = await apply()
    await hub.settle()
    const delivery = String((await deliveryOf(exchange))['delivery'])
    await makeOverdue(delivery)
    await sweep()
    await acknowledge('connector-state-grid-east', delivery, 'applied', 'state-grid-east')
    await hub.settle()
    expect((await deliveryOf(exchange))['state']).toBe('acknowledged')
  })

  test('a rejection is dead and told to the sender; an operator’s replay may still succeed', async () => {
    const { exchange } = await apply()
    await hub.settle()
    const delivery = String((await deliveryOf(exchange))['delivery'])
    await acknowledge('connector-state-grid-east', delivery, 'rejected', 'state-grid-east')
    await hub.settle()
    expect(await deliveryOf(exchange)).toMatchObject({ state: 'dead', cause: 'peer.rejected' })
    expect((await sweep()).announced).toBeGreaterThan(0)
    await acknowledge('connector-state-grid-east', delivery, 'applied', 'state-grid-east')
    await hub.settle()
    expect(await deliveryOf(exchange)).toMatchObject({ state: 'acknowledged', cause: null })
  })

  test('a result whose application never comes ends as unrouted, and its sender is told', async () => {
    const message = seeds.results[0]
    if (message === undefined) throw new HubError('seed.invalid')
    const data: JsonObject = { ...message.data, affairNo: 'HD-lonely' }
    const answer = await hub.party('platform-chifeng').push({ contract: 'approval-result@1', sub: 'HD-lonely', data })
    const exchange = String((await hub.verified(answer.text))['exchange'])
    await hub.settle()
    const { delivery, state, recipient } = await deliveryOf(exchange)
    expect([state, recipient]).toEqual(['unrouted', null])
    await makeOverdue(String(delivery))
    await sweep()
    const { rows } = await sql<{ token: Buffer }>`
      SELECT token FROM exchange WHERE jti = ${`nd-${String(delivery)}`}`.execute(hub.core.db)
    expect(at(await hub.verified(hub.opened(rows[0]?.token)), 'data', 'cause')).toBe('delivery.unrouted')
  })

  test('notices that expire cause no further notice', async () => {
    const { rows } = await sql<{ id: string }>`
      UPDATE delivery d SET deliver_by = now() - interval '1 s' FROM exchange e
      WHERE e.id = d.exchange AND e.contract = 'non-delivery@1' AND d.state IN ('accepted', 'published', 'delivering')
      RETURNING d.id`.execute(hub.core.db)
    expect(rows.length).toBeGreaterThan(0)
    const before = await count('non-delivery@1')
    await sweep()
    await sweep()
    expect(await count('non-delivery@1')).toBe(before)
    const { rows: open } = await sql`
      SELECT 1 FROM delivery WHERE state IN ('dead', 'expired') AND announced_at IS NULL`.execute(hub.core.db)
    expect(open).toEqual([])
  })

  test('a suspended recipient’s deliveries wait for it', async () => {
    const { exchange } = await apply()
    const setStatus = async (status: string): Promise<void> => {
      await sql`UPDATE party SET status = ${status} WHERE id = 'state-grid-east'`.execute(hub.core.db)
      await hub.core.register.refresh()
    }
    await setStatus('suspended')
    await hub.settle()
    expect((await deliveryOf(exchange))['state']).toBe('accepted')
    await setStatus('active')
    await hub.settle()
    expect((await deliveryOf(exchange))['state']).toBe('published')
  })

  async function count(contract: string): Promise<number> {
    const { rows } = await sql<{ n: number }>`
      SELECT count(*)::int AS n FROM exchange WHERE contract = ${contract}`.execute(hub.core.db)
    return rows[0]?.n ?? 0
  }
})

test('every state that a transition names is a state', () => {
  const names = Object.keys(DELIVERY_STATES)
  for (const { next } of Object.values(DELIVERY_STATES)) for (const state of next) expect(names).toContain(state)
})
