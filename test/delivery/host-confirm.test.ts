import { randomUUID } from 'node:crypto'
import { sql } from 'kysely'
import { afterAll, expect, it } from 'vitest'
import { decideParked, type ParkedDecision } from '#delivery/parked.ts'
import { openDb } from '#store/db.ts'
import { listDeadLetters } from '#store/dead-letter-queries.ts'
import { claimHeads, releaseLanes } from '#store/inbox-queries.ts'
import { eventually } from '../bus/eventually.ts'
import { withDatabase } from '../support/database.ts'
import { attemptsOf, inboxState, SOAP, type Stage, setStage } from './host-support.ts'

const TUNING = { scheduleMs: [20, 20, 20], timeoutMs: 500, leaseMs: 2_000, settleMs: 50, pollMs: 20 }
const never = (): Promise<void> => new Promise<void>(() => undefined)

withDatabase('a host in front of a system that does not recognise what it has already', (url) => {
  const db = openDb(url, { max: 8 })
  afterAll(() => db.destroy())
  const classes = async (delivery: string) => (await attemptsOf(db, delivery)).map((attempt) => attempt.class)
  const decide = (delivery: string, decision: ParkedDecision, recipientRef?: string) =>
    decideParked(db, {
      consumer: SOAP.id,
      delivery,
      decision,
      reason: 'asked by telephone',
      ...(recipientRef === undefined ? {} : { recipientRef }),
    })
  const applied = (stage: Stage, delivery: string) =>
    eventually(() => expect(stage.outcomeOf(delivery)).toMatchObject({ outcome: 'applied' }))

  /** The system has taken `A-1` in, nobody was told, and its look-up does not say; `A-2` waits behind it. */
  async function parkedStage(): Promise<{ stage: Stage; parked: string; next: string }> {
    const stage = await setStage(db, SOAP)
    stage.peer.faults.next([{ kind: 'reset-after', reference: 'A-1' }, { kind: 'unclear' }])
    await stage.start({ tuning: TUNING })
    const parked = await stage.deliver('A-1', { orderKey: 'a' })
    const next = await stage.deliver('A-2', { orderKey: 'a' })
    await eventually(async () => expect(await inboxState(db, parked)).toMatchObject({ state: 'parked' }))
    return { stage, parked, next }
  }

  it.each(['timeout-after', 'reset-after'] as const)(
    'has one effect after a %s, and its number in the ack',
    async (kind) => {
      const stage = await setStage(db, SOAP)
      stage.peer.faults.next([{ kind }])
      await stage.start({ tuning: TUNING })
      const delivery = await stage.deliver('T-1')
      await applied(stage, delivery)
      expect(stage.peer.effects()).toHaveLength(1)
      expect(stage.outcomeOf(delivery)?.['recipientRef']).toBe(stage.peer.effects()[0]?.receiptNo)
      expect(await classes(delivery)).toEqual(['retry', 'confirm-applied'])
    },
  )

  it.each(['timeout', 'reset'] as const)(
    'sends again after a %s before the effect, once it was told so',
    async (kind) => {
      const stage = await setStage(db, SOAP)
      stage.peer.faults.next([{ kind }])
      await stage.start({ tuning: TUNING })
      const delivery = await stage.deliver('T-2')
      await applied(stage, delivery)
      expect(stage.peer.effects()).toHaveLength(1)
      expect(await classes(delivery)).toEqual(['retry', 'confirm-absent', 'ok'])
    },
  )

  it('does not ask after a busy answer, because nothing happened', async () => {
    const stage = await setStage(db, SOAP)
    stage.peer.faults.next([{ kind: 'busy' }])
    await stage.start({ tuning: TUNING })
    const delivery = await stage.deliver('B-1')
    await applied(stage, delivery)
    expect(stage.peer.lookUps()).toEqual([])
  })

  it('asks again when the look-up is down, and sends nothing meanwhile', async () => {
    const stage = await setStage(db, SOAP)
    stage.peer.faults.next([{ kind: 'reset-after' }, { kind: 'status', status: 502, times: 2, on: 'look-up' }])
    await stage.start({ tuning: TUNING })
    const delivery = await stage.deliver('D-1')
    await applied(stage, delivery)
    expect(stage.peer.requests()).toHaveLength(1)
    expect(await classes(delivery)).toEqual(['retry', 'confirm-unreachable', 'confirm-unreachable', 'confirm-applied'])
  })

  it('asks before it sends when a host died between effect and final state', async () => {
    const stage = await setStage(db, SOAP)
    await stage.start({ tuning: TUNING, faults: (point) => (point === 'host.after-effect' ? never() : undefined) })
    const delivery = await stage.deliver('K-1')
    await eventually(() => expect(stage.peer.effects()).toHaveLength(1))
    await stage.start({ tuning: TUNING })
    await applied(stage, delivery)
    expect(stage.peer.effects()).toHaveLength(1)
    expect(await classes(delivery)).toEqual(['lapsed', 'confirm-applied'])
  })

  it('does not send under a lease that became too old while the process stood still', async () => {
    const stage = await setStage(db, SOAP)
    let release = (): void => undefined
    const held = new Promise<void>((resolve) => {
      release = resolve
    })
    await stage.start({ tuning: TUNING, faults: (point) => (point === 'host.before-effect' ? held : undefined) })
    const delivery = await stage.deliver('Z-1')
    await eventually(async () => {
      const { rows } = await sql`SELECT 1 FROM inbox_lane WHERE lease IS NOT NULL AND next_at < now()`.execute(db)
      expect(rows).toHaveLength(1)
    })
    await stage.start({ tuning: TUNING })
    await applied(stage, delivery)
    release()
    await new Promise((resolve) => setTimeout(resolve, 200))
    expect(stage.peer.requests()).toHaveLength(1)
  })

  it('gives a slow system the time to finish before it asks', async () => {
    const stage = await setStage(db, SOAP)
    stage.peer.faults.next([{ kind: 'slow', ms: 800 }])
    await stage.start({ tuning: { ...TUNING, settleMs: 1_000 } })
    const delivery = await stage.deliver('S-1')
    await applied(stage, delivery)
    expect(stage.peer.effects()).toHaveLength(1)
    expect(await classes(delivery)).toEqual(['retry', 'confirm-applied'])
  })

  it('remembers a lapsed lease when the key is given back untouched', async () => {
    const stage = await setStage(db, SOAP)
    const host = await stage.start({
      tuning: TUNING,
      faults: (point) => (point === 'host.before-effect' ? never() : undefined),
    })
    await stage.deliver('R-1')
    const leased = sql`SELECT 1 FROM inbox_lane WHERE lease IS NOT NULL`
    await eventually(async () => expect((await leased.execute(db)).rows).toHaveLength(1))
    await host.stop(10)
    await sql`UPDATE inbox_lane SET next_at = now()`.execute(db)
    for (let n = 0; n < 2; n++) {
      const lease = randomUUID()
      const rows = await claimHeads(db, SOAP.id, lease, 2_000, 1)
      expect(rows).toMatchObject([{ lapsed: true }])
      await releaseLanes(db, SOAP.id, lease, rows)
    }
  })

  it('rejects after the last attempt only when the system says that it has nothing', async () => {
    const stage = await setStage(db, SOAP)
    stage.peer.faults.next([{ kind: 'status', status: 500, times: 100 }])
    await stage.start({ tuning: { ...TUNING, scheduleMs: [10] } })
    const delivery = await stage.deliver('X-1')
    await eventually(() =>
      expect(stage.outcomeOf(delivery)).toMatchObject({ outcome: 'rejected', code: 'peer.unavailable' }),
    )
    expect(await classes(delivery)).toEqual(['retry', 'confirm-absent', 'retry', 'confirm-absent'])
  })

  it('parks what cannot be confirmed to the end of the schedule, and tells the hub nothing that may be false', async () => {
    const stage = await setStage(db, SOAP)
    stage.peer.faults.next([{ kind: 'reset-after' }, { kind: 'status', status: 500, times: 100, on: 'look-up' }])
    await stage.start({ tuning: { ...TUNING, scheduleMs: [10] } })
    const delivery = await stage.deliver('P-1')
    await eventually(async () => expect(await inboxState(db, delivery)).toMatchObject({ state: 'parked' }))
    expect(stage.outcomeOf(delivery)).toBeUndefined()
    stage.peer.faults.clear()
    expect(await decide(delivery, 'ask')).toEqual({ done: true })
    await applied(stage, delivery)
    expect(stage.peer.effects()).toHaveLength(1)
  })

  it('parks the key when the look-up says neither yes nor no, and shows it to the operators', async () => {
    const { stage, parked, next } = await parkedStage()
    await eventually(() =>
      expect(stage.alerts).toEqual([
        { consumer: SOAP.id, kind: 'delivery-parked', cause: 'peer.outcome_unknown', delivery: parked },
      ]),
    )
    expect(await inboxState(db, next)).toEqual({ state: 'landed', attempt: 0 })
    expect(await listDeadLetters(db, SOAP.id, 10)).toMatchObject([
      { event_id: parked, stage: 'confirm', code: 'peer.outcome_unknown', resolution: null },
    ])
    expect(stage.acks).toEqual([])
  })

  it('ends a parked delivery as applied under the number that the operator found, then lets its key go on', async () => {
    const { stage, parked, next } = await parkedStage()
    expect(await decide(parked, 'applied', 'SGE-0000001')).toEqual({ done: true })
    await applied(stage, parked)
    await applied(stage, next)
    expect(stage.outcomeOf(parked)).toMatchObject({ recipientRef: 'SGE-0000001' })
    expect(stage.peer.effects().map((effect) => effect.effectKey)).toEqual([parked, next])
    expect(await listDeadLetters(db, SOAP.id, 10)).toMatchObject([
      { resolution: 'decided', reason: 'asked by telephone' },
    ])
    expect(await decide(parked, 'absent')).toEqual({ done: false, because: 'not-parked' })
  })

  it('sends a parked delivery again only because the operator says that it is absent', async () => {
    const { stage, parked } = await parkedStage()
    expect(stage.peer.requests()).toHaveLength(1)
    await decide(parked, 'absent')
    await applied(stage, parked)
    expect(stage.peer.requests().filter((request) => request.effectKey === parked)).toHaveLength(2)
  })

  it('gives a parked delivery up with a rejection for its sender', async () => {
    const { stage, parked, next } = await parkedStage()
    await decide(parked, 'rejected')
    await eventually(() =>
      expect(stage.outcomeOf(parked)).toMatchObject({ outcome: 'rejected', code: 'peer.outcome_unknown' }),
    )
    await applied(stage, next)
    expect(stage.peer.requests().filter((request) => request.effectKey === parked)).toHaveLength(1)
  })
})
