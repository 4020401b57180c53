import { randomUUID } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import { sql } from 'kysely'
import { afterAll, expect, it } from 'vitest'
import { openDb } from '#store/db.ts'
import { eventually } from '../bus/eventually.ts'
import { withDatabase } from '../support/database.ts'
import { attemptsOf, CONNECTOR, inboxState, setStage } from './host-support.ts'

withDatabase('the receiving side of a delivery', (url) => {
  const db = openDb(url, { max: 8 })
  afterAll(() => db.destroy())
  const count = async (table: string): Promise<number> => {
    const { rows } = await sql<{ n: number }>`SELECT count(*)::int AS n FROM ${sql.table(table)}`.execute(db)
    return rows[0]?.n ?? -1
  }

  it('brings a delivery to the peer and its reference back in a signed acknowledgement', async () => {
    const stage = await setStage(db)
    await stage.start()
    const delivery = await stage.deliver('CF-1')

    await eventually(() => expect(stage.outcomeOf(delivery)).toBeDefined())
    expect(stage.peer.effects()).toMatchObject([{ effectKey: delivery, reference: 'CF-1' }])
    expect(stage.outcomeOf(delivery)).toMatchObject({ outcome: 'applied', recipientRef: 'REST-0000001' })
    const claims = stage.acks[0]?.claims ?? {}
    expect(claims).toMatchObject({
      iss: 'connector-state-grid-east',
      obo: 'state-grid-east',
      aud: 'dianqiao',
      contract: 'delivery-ack@1',
      jti: delivery,
      sub: delivery,
    })
    expect(Number(claims['exp']) - Number(claims['iat'])).toBe(7 * 86_400)
    expect(await inboxState(db, delivery)).toEqual({ state: 'delivered', attempt: 1 })
    await eventually(async () => {
      const { rows } = await sql<{ receipt: string }>`SELECT receipt FROM ack_outbox`.execute(db)
      expect(rows).toEqual([{ receipt: `receipt of ${delivery}` }])
    })
    expect(await count('inbox_lane')).toBe(0)
  })

  it('lands a delivery once, however often it comes, and has one effect', async () => {
    const stage = await setStage(db)
    await stage.start()
    const delivery = await stage.deliver('CF-1')
    await stage.deliver('CF-1', { delivery })
    await eventually(() => expect(stage.outcomeOf(delivery)).toBeDefined())
    await stage.deliver('CF-1', { delivery })
    await eventually(async () => expect(await stage.bus.lag('dx.out.state-grid-east', CONNECTOR)).toBe(0))
    await sleep(100)
    expect(await count('inbox')).toBe(1)
    expect(stage.peer.requests()).toHaveLength(1)
    expect(stage.acks).toHaveLength(1)
  })

  it('keeps the order of a key: nobody overtakes a head that is being retried', async () => {
    const stage = await setStage(db)
    stage.peer.faults.next([{ kind: 'status', status: 500, times: 2, reference: 'A-1' }])
    await stage.start()
    for (const affairNo of ['A-1', 'A-2', 'A-3']) await stage.deliver(affairNo, { orderKey: 'a' })
    await eventually(() => expect(stage.peer.effects()).toHaveLength(3))
    expect(stage.peer.requests().map((request) => request.reference)).toEqual(['A-1', 'A-1', 'A-1', 'A-2', 'A-3'])
  })

  it('lets one failing key stop nobody else, and does not look at its followers meanwhile', async () => {
    const stage = await setStage(db)
    stage.peer.faults.next([{ kind: 'status', status: 500, times: 1_000, reference: 'BAD' }])
    await stage.start({ tuning: { scheduleMs: [60_000], timeoutMs: 1_000, leaseMs: 2_000, pollMs: 20 } })
    const bad = await stage.deliver('BAD', { orderKey: 'bad' })
    const follower = await stage.deliver('FOLLOWER', { orderKey: 'bad' })
    const others = await Promise.all(Array.from({ length: 40 }, (_, n) => stage.deliver(`GOOD-${n}`)))
    await eventually(() => expect(stage.peer.effects()).toHaveLength(40))
    await eventually(() =>
      expect(others.every((other) => stage.outcomeOf(other)?.['outcome'] === 'applied')).toBe(true),
    )
    expect(await inboxState(db, bad)).toEqual({ state: 'retrying', attempt: 1 })
    expect(await inboxState(db, follower)).toEqual({ state: 'landed', attempt: 0 })
    expect(await count('inbox_lane')).toBe(1)
  })

  it('has one effect when the peer acted but its answer never came', async () => {
    const stage = await setStage(db)
    stage.peer.faults.next([
      { kind: 'timeout-after', reference: 'T-1' },
      { kind: 'reset-after', reference: 'T-2' },
    ])
    await stage.start()
    const timedOut = await stage.deliver('T-1')
    const cutOff = await stage.deliver('T-2')
    await eventually(() =>
      expect([timedOut, cutOff].map((id) => stage.outcomeOf(id)?.['outcome'])).toEqual(['duplicate', 'duplicate']),
    )
    expect(stage.peer.effects()).toHaveLength(2)
    expect(stage.outcomeOf(timedOut)?.['recipientRef']).toBe(
      stage.peer.effects().find((effect) => effect.effectKey === timedOut)?.receiptNo,
    )
    expect(await attemptsOf(db, timedOut)).toEqual([
      { class: 'retry', status: null },
      { class: 'duplicate', status: 409 },
    ])
  })

  it('honours Retry-After for the whole endpoint', async () => {
    const stage = await setStage(db)
    stage.peer.faults.next([{ kind: 'status', status: 429, retryAfterSeconds: 1, reference: 'SLOW' }])
    await stage.start()
    const throttled = await stage.deliver('SLOW')
    await eventually(() => expect(stage.peer.requests()).toHaveLength(1))
    const askedAt = performance.now()
    await sleep(50)
    const other = await stage.deliver('OTHER')
    await sleep(600)
    expect(stage.peer.requests()).toHaveLength(1)
    await eventually(() => expect(stage.outcomeOf(throttled)).toBeDefined())
    expect(performance.now() - askedAt).toBeGreaterThan(900)
    await eventually(() => expect(stage.outcomeOf(other)).toBeDefined())
  })

  it('rejects a message whose receipt does not fit, with its bytes kept and the hub told', async () => {
    const stage = await setStage(db)
    await stage.start()
    const forged = await stage.deliver('F-1', { receipt: 'forged' })
    const good = await stage.deliver('F-2')
    await eventually(() => expect(stage.outcomeOf(forged)).toBeDefined())
    await eventually(() => expect(stage.outcomeOf(good)).toBeDefined())
    expect(stage.outcomeOf(forged)).toMatchObject({ outcome: 'rejected', code: 'delivery.receipt_invalid' })
    expect(stage.peer.effects().map((effect) => effect.reference)).toEqual(['F-2'])
    const { rows } = await sql<{ stage: string; bytes: number }>`
      SELECT stage, length(value) AS bytes FROM dead_letter`.execute(db)
    expect(rows).toMatchObject([{ stage: 'verify' }])
    expect(rows[0]?.bytes).toBeGreaterThan(100)
  })

  it('delivers the intact copy that follows a damaged one, under an acknowledgement of its own', async () => {
    const stage = await setStage(db)
    await stage.start()
    const delivery = await stage.deliver('F-1', { receipt: 'forged' })
    await stage.deliver('F-1', { delivery })
    await eventually(() => expect(stage.acks).toHaveLength(2))
    expect(stage.acks.map((ack) => ack.claims['jti']).sort()).toEqual([delivery, `${delivery}.v`])
    expect(stage.peer.effects()).toHaveLength(1)
  })

  it('makes no dead letter while verification is impossible, and lands the batch when it is possible again', async () => {
    const stage = await setStage(db)
    let possible = false
    await stage.start({
      verifyDelivery: () => {
        if (!possible) throw new TypeError('no keys yet')
        return { claims: { contract: 'approval-result@1' }, data: {} }
      },
    })
    const delivery = await stage.deliver('V-1')
    await sleep(150)
    expect(await count('dead_letter')).toBe(0)
    expect(await count('inbox')).toBe(0)
    possible = true
    await eventually(() => expect(stage.outcomeOf(delivery)).toBeDefined())
  })

  it('makes a delivery that no mapping fits a dead letter without an attempt at the peer', async () => {
    const stage = await setStage(db)
    await stage.start()
    const delivery = await stage.deliver('M-1', { data: { affairNo: 'M-1', finishedAt: 'no date at all' } })
    await eventually(() =>
      expect(stage.outcomeOf(delivery)).toMatchObject({ outcome: 'rejected', code: 'mapping.failed' }),
    )
    expect(stage.peer.requests()).toEqual([])
  })

  it('gives up after the last attempt of the schedule and says why', async () => {
    const stage = await setStage(db)
    stage.peer.faults.next([{ kind: 'status', status: 500, times: 100 }])
    await stage.start({ tuning: { scheduleMs: [10, 10], timeoutMs: 1_000, leaseMs: 2_000, pollMs: 20 } })
    const delivery = await stage.deliver('D-1')
    await eventually(() =>
      expect(stage.outcomeOf(delivery)).toMatchObject({ outcome: 'rejected', code: 'peer.unavailable' }),
    )
    expect(await attemptsOf(db, delivery)).toHaveLength(3)
  })

  it('lets several hosts share the work without doubling or reordering', async () => {
    const stage = await setStage(db)
    await Promise.all([stage.start(), stage.start(), stage.start()])
    const sent: string[] = []
    for (let n = 0; n < 60; n++)
      sent.push(await stage.deliver(`K${n % 6}-${n}`, { orderKey: `key-${n % 6}`, delivery: randomUUID() }))
    await eventually(() => expect(sent.every((id) => stage.outcomeOf(id) !== undefined)).toBe(true))
    expect(stage.peer.requests()).toHaveLength(60)
    expect(stage.acks.flatMap((ack) => ack.outcomes)).toHaveLength(60)
    for (let key = 0; key < 6; key++) {
      const order = stage.peer
        .effects()
        .filter((effect) => effect.reference.startsWith(`K${key}-`))
        .map((effect) => Number(effect.reference.split('-')[1]))
      expect(order).toEqual([...order].sort((a, b) => a - b))
    }
  })
})
