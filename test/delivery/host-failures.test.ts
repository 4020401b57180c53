import { cp, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import os from 'node:os'
import path from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { sql } from 'kysely'
import { afterAll, expect, it, onTestFinished } from 'vitest'
import { resumeEndpoint } from '#delivery/breaker.ts'
import { replayDead, skipDead } from '#delivery/replay.ts'
import { HubError } from '#kernel/errors.ts'
import { readBreaker } from '#store/breaker-queries.ts'
import { openDb } from '#store/db.ts'
import { listDeadLetters } from '#store/dead-letter-queries.ts'
import type { Vault } from '#trust/vault.ts'
import { eventually } from '../bus/eventually.ts'
import { withDatabase } from '../support/database.ts'
import { plainVault } from '../support/vault.ts'
import { attemptsOf, CONNECTOR, inboxState, REST, type Stage, setStage } from './host-support.ts'

const TUNING = { scheduleMs: [20, 20, 20, 20, 20], timeoutMs: 1_000, leaseMs: 2_000, pollMs: 20 }
const never = (): Promise<void> => new Promise<void>(() => undefined)

/** The connector with `onDead: continue`. */
async function lenientConnector(): Promise<string> {
  const directory = await mkdtemp(path.join(os.tmpdir(), 'connector-'))
  onTestFinished(() => rm(directory, { recursive: true }))
  await cp(REST.directory, directory, { recursive: true })
  const file = path.join(directory, 'connector.yaml')
  await writeFile(file, (await readFile(file, 'utf8')).replace('onDead: block', 'onDead: continue'))
  return directory
}

const rejected = async (stage: Stage, delivery: string): Promise<void> => {
  await eventually(() =>
    expect(stage.outcomeOf(delivery)).toMatchObject({ outcome: 'rejected', code: 'peer.rejected' }),
  )
}

withDatabase('a host among failures', (url) => {
  const db = openDb(url, { max: 8 })
  afterAll(() => db.destroy())
  const of = (delivery: string) => ({ consumer: CONNECTOR, delivery, reason: 'seen to' })

  it('keeps a key behind its dead head until an operator skips it', async () => {
    const stage = await setStage(db)
    stage.peer.faults.next([{ kind: 'reject', reference: 'A-1' }])
    await stage.start()
    const dead = await stage.deliver('A-1', { orderKey: 'a' })
    const next = await stage.deliver('A-2', { orderKey: 'a' })
    await rejected(stage, dead)
    await sleep(100)
    expect(await inboxState(db, next)).toEqual({ state: 'landed', attempt: 0 })

    expect(await skipDead(db, of(dead))).toEqual({ done: true })
    await eventually(() => expect(stage.outcomeOf(next)?.['outcome']).toBe('applied'))
    expect(await listDeadLetters(db, CONNECTOR, 10)).toMatchObject([
      { event_id: dead, stage: 'send', code: 'peer.rejected', resolution: 'skipped', reason: 'seen to' },
    ])
    expect(await skipDead(db, of(dead))).toEqual({ done: false, because: 'not-dead' })
  })

  it('replays a dead head before its followers, with the same effect key and a new acknowledgement', async () => {
    const stage = await setStage(db)
    stage.peer.faults.next([{ kind: 'status', status: 400, reference: 'A-1' }])
    await stage.start()
    const dead = await stage.deliver('A-1', { orderKey: 'a' })
    const next = await stage.deliver('A-2', { orderKey: 'a' })
    await rejected(stage, dead)
    expect(await replayDead(db, of(dead))).toEqual({ done: true })
    await eventually(() => expect(stage.outcomeOf(next)?.['outcome']).toBe('applied'))
    expect(stage.outcomeOf(dead)).toMatchObject({ outcome: 'applied' })
    expect(stage.peer.effects().map((effect) => effect.effectKey)).toEqual([dead, next])
    expect(stage.acks.filter((ack) => ack.claims['sub'] === dead).map((ack) => ack.claims['jti'])).toEqual([
      dead,
      `${dead}.r1`,
    ])
  })

  it('lets a key continue past a dead delivery where the manifest says so, and then refuses a late replay', async () => {
    const stage = await setStage(db)
    stage.peer.faults.next([{ kind: 'reject', reference: 'A-1' }])
    await stage.start({ directory: await lenientConnector() })
    const dead = await stage.deliver('A-1', { orderKey: 'a' })
    const next = await stage.deliver('A-2', { orderKey: 'a' })
    await eventually(() => expect(stage.outcomeOf(next)?.['outcome']).toBe('applied'))
    await rejected(stage, dead)
    expect(await replayDead(db, of(dead))).toEqual({ done: false, because: 'later-delivered' })
    expect(await inboxState(db, dead)).toMatchObject({ state: 'dead' })
    expect(await replayDead(db, { ...of(dead), isReplaySafe: (ref) => ref === 'approval-result@1' })).toEqual({
      done: true,
    })
    await eventually(() => expect(stage.outcomeOf(dead)?.['outcome']).toBe('applied'))
    expect(await replayDead(db, of('00000000-0000-7000-8000-000000000000'))).toEqual({
      done: false,
      because: 'not-found',
    })
  })

  it('opens the breaker when several keys fail, uses up no attempt meanwhile, and closes by one probe', async () => {
    const stage = await setStage(db)
    stage.peer.faults.next([{ kind: 'status', status: 500, times: 12 }])
    await stage.start({
      tuning: { ...TUNING, scheduleMs: [1, 1, 1, 1, 1, 1], breaker: { firstProbeMs: 1_500 } },
    })
    const ids = await Promise.all(['B-1', 'B-2', 'B-3', 'B-4'].map((affairNo) => stage.deliver(affairNo)))
    await eventually(() => expect(stage.alerts).toMatchObject([{ kind: 'breaker-open', cause: 'peer.unavailable' }]))
    await sleep(100)
    const before = stage.peer.requests().length
    expect(before).toBeGreaterThanOrEqual(10)
    await sleep(100)
    expect(stage.peer.requests()).toHaveLength(before)
    expect(await readBreaker(db, CONNECTOR)).toMatchObject({ state: 'open' })

    await eventually(() => expect(ids.every((id) => stage.outcomeOf(id)?.['outcome'] === 'applied')).toBe(true))
    expect(await readBreaker(db, CONNECTOR)).toMatchObject({ state: 'closed' })
  })

  it('keeps an open breaker across a restart and doubles the time between probes', async () => {
    const stage = await setStage(db)
    stage.peer.faults.next([{ kind: 'status', status: 401, times: 2 }])
    const tuning = { ...TUNING, breaker: { firstProbeMs: 1_000, maxProbeMs: 10_000 } }
    const first = await stage.start({ tuning })
    const delivery = await stage.deliver('U-1')
    await eventually(() => expect(stage.alerts).toMatchObject([{ kind: 'breaker-open', cause: 'peer.unauthorized' }]))
    await first.stop()
    await stage.start({ tuning })
    await sleep(100)
    expect(stage.peer.requests()).toHaveLength(1)
    await eventually(async () =>
      expect(await readBreaker(db, CONNECTOR)).toMatchObject({ state: 'open', probe_in_ms: 2_000 }),
    )
    await eventually(() => expect(stage.outcomeOf(delivery)?.['outcome']).toBe('applied'))
    expect(await inboxState(db, delivery)).toEqual({ state: 'delivered', attempt: 1 })
    expect(await attemptsOf(db, delivery)).toMatchObject([
      { class: 'unauthorized' },
      { class: 'unauthorized' },
      { class: 'ok' },
    ])
  })

  it('disables an endpoint that is gone until somebody resumes it', async () => {
    const stage = await setStage(db)
    stage.peer.faults.next([{ kind: 'status', status: 410 }])
    const tuning = { ...TUNING, breaker: { firstProbeMs: 20 } }
    await stage.start({ tuning })
    const delivery = await stage.deliver('G-1')
    await eventually(() => expect(stage.alerts).toMatchObject([{ kind: 'endpoint-disabled', cause: 'peer.gone' }]))
    await sleep(150)
    expect(stage.peer.requests()).toHaveLength(1)
    await resumeEndpoint(db, CONNECTOR)
    await eventually(() => expect(stage.outcomeOf(delivery)?.['outcome']).toBe('applied'))
  })

  it('has one effect and one acknowledgement when a host dies between effect and final state', async () => {
    const stage = await setStage(db)
    let died = false
    await stage.start({
      faults: (point) => {
        if (point !== 'host.after-effect') return
        died = true
        return never()
      },
    })
    const delivery = await stage.deliver('K-1')
    await eventually(() => expect(died).toBe(true))
    await stage.start()
    await eventually(() => expect(stage.outcomeOf(delivery)?.['outcome']).toBe('duplicate'))
    expect(stage.peer.effects()).toHaveLength(1)
    expect(stage.acks).toHaveLength(1)
  })

  it('changes nothing by a completion whose lease has lapsed', async () => {
    const stage = await setStage(db)
    let release = (): void => undefined
    const held = new Promise<void>((resolve) => {
      release = resolve
    })
    await stage.start({ faults: (point) => (point === 'host.after-effect' ? held : undefined) })
    const delivery = await stage.deliver('L-1')
    await eventually(() => expect(stage.peer.effects()).toHaveLength(1))
    await stage.start()
    await eventually(() => expect(stage.outcomeOf(delivery)?.['outcome']).toBe('duplicate'))
    release()
    await sleep(200)
    expect(stage.acks.flatMap((ack) => ack.outcomes)).toHaveLength(1)
    expect(await attemptsOf(db, delivery)).toEqual([{ class: 'duplicate', status: 409 }])
  })

  it('sends an acknowledgement again, unchanged, until its receipt is stored', async () => {
    const stage = await setStage(db)
    const tokens: string[] = []
    stage.hub.refuse = (token) => {
      tokens.push(token)
      if (tokens.length < 3) throw new HubError('hub.busy')
    }
    await stage.start()
    const delivery = await stage.deliver('S-1')
    await eventually(() => expect(stage.outcomeOf(delivery)).toBeDefined())
    expect(new Set(tokens).size).toBe(1)
  })

  it('sends an acknowledgement again after a crash between answer and receipt', async () => {
    const stage = await setStage(db)
    await stage.start({ faults: (point) => (point === 'host.after-ack-sent' ? never() : undefined) })
    const delivery = await stage.deliver('S-2')
    await eventually(() => expect(stage.acks).toHaveLength(1))
    await sql`UPDATE ack_outbox SET next_at = now()`.execute(db)
    await stage.start()
    await eventually(async () => {
      const { rows } = await sql<{ receipt: string | null }>`SELECT receipt FROM ack_outbox`.execute(db)
      expect(rows).toEqual([{ receipt: `receipt of ${delivery}` }])
    })
    expect(stage.acks.map((ack) => ack.token)).toEqual([stage.acks[0]?.token, stage.acks[0]?.token])
  })

  it.each([
    ['has expired', '-1 day'],
    ['was dated ahead by a clock that has been set right since', '8 days'],
  ])('signs an acknowledgement that %s again with the same jti and content', async (_, until) => {
    const stage = await setStage(db)
    stage.hub.refuse = () => {
      throw new HubError('hub.store_unavailable')
    }
    const first = await stage.start()
    const delivery = await stage.deliver('E-1')
    await eventually(async () => expect(await inboxState(db, delivery)).toMatchObject({ state: 'delivered' }))
    await first.stop()
    const { rows } = await sql<{ token: string }>`
      UPDATE ack_outbox SET expires_at = now() + ${until}::interval, next_at = now() RETURNING token`.execute(db)
    stage.hub.refuse = undefined
    await stage.start()
    await eventually(() => expect(stage.acks).toHaveLength(1))
    const sent = stage.acks[0]
    expect(sent?.token).not.toBe(rows[0]?.token)
    expect(sent?.claims).toMatchObject({ jti: delivery, sub: delivery })
    expect(sent?.outcomes).toMatchObject([{ delivery, outcome: 'applied' }])
  })

  it('soon sends again what the hub calls dated ahead', async () => {
    const stage = await setStage(db)
    stage.hub.refuse = () => {
      throw new HubError('token.not_yet_valid')
    }
    await stage.start()
    await stage.deliver('A-1')
    await eventually(async () => {
      const { rows } = await sql<{ soon: boolean }>`
        SELECT next_at < now() + interval '2 minutes' AS soon FROM ack_outbox
        WHERE last_code = 'token.not_yet_valid'`.execute(db)
      expect(rows).toEqual([{ soon: true }])
    })
    expect(stage.alerts).toEqual([])
  })

  it('tells the operators of an acknowledgement that the hub refuses, and keeps it', async () => {
    const stage = await setStage(db)
    stage.hub.refuse = () => {
      throw new HubError('right.no_mandate')
    }
    await stage.start()
    await stage.deliver('R-1')
    await eventually(() =>
      expect(stage.alerts).toMatchObject([{ kind: 'acknowledgement-refused', cause: 'right.no_mandate' }]),
    )
    await eventually(async () => {
      const { rows } = await sql<{ last_code: string; waits: boolean }>`
        SELECT last_code, next_at > now() + interval '5 minutes' AS waits FROM ack_outbox`.execute(db)
      expect(rows).toEqual([{ last_code: 'right.no_mandate', waits: true }])
    })
  })

  it('acknowledges anew what the hub sends again long after it was finished', async () => {
    const stage = await setStage(db)
    await stage.start()
    const delivery = await stage.deliver('N-1')
    await eventually(async () => {
      const { rows } = await sql<{ receipt: string | null }>`SELECT receipt FROM ack_outbox`.execute(db)
      expect(rows[0]?.receipt).toBeTruthy()
    })
    await sql`UPDATE inbox SET finished_at = now() - interval '1 minute'`.execute(db)
    await stage.deliver('N-1', { delivery })
    await eventually(() => expect(stage.acks).toHaveLength(2))
    expect(stage.acks[1]?.token).toBe(stage.acks[0]?.token)
    expect(stage.peer.requests()).toHaveLength(1)
  })

  it('stops within its bound and leaves the delivery in hand to the next host', async () => {
    const stage = await setStage(db)
    stage.peer.faults.next([{ kind: 'slow', ms: 250 }, { kind: 'timeout' }])
    const first = await stage.start({ tuning: { ...TUNING, timeoutMs: 2_000, leaseMs: 4_000 } })
    const drained = await stage.deliver('Q-1')
    await eventually(() => expect(stage.peer.requests()).toHaveLength(1))
    await first.stop(1_000)
    expect(await inboxState(db, drained)).toMatchObject({ state: 'delivered' })

    const second = await stage.start({ tuning: { ...TUNING, timeoutMs: 2_000, leaseMs: 4_000 } })
    const abandoned = await stage.deliver('Q-2')
    await eventually(() => expect(stage.peer.requests()).toHaveLength(2))
    const startedAt = performance.now()
    await second.stop(100)
    expect(performance.now() - startedAt).toBeLessThan(1_000)
    await sql`UPDATE inbox_lane SET next_at = now()`.execute(db)
    await stage.start()
    await eventually(() => expect(stage.outcomeOf(abandoned)?.['outcome']).toBe('applied'))
  })

  it('gives up a delivery whose content is gone, tells the hub why, and goes on with the others', async () => {
    const stage = await setStage(db)
    let goneLeft = 1
    const vault: Vault = {
      ...plainVault,
      open(sealed) {
        const plain = plainVault.open(sealed)
        // The first that is opened is what was landed.
        if (goneLeft-- > 0) {
          throw new HubError('vault.key_destroyed')
        }
        return plain
      },
    }
    await stage.start({ vault })
    const gone = await stage.deliver('V-1')
    await eventually(() =>
      expect(stage.outcomeOf(gone)).toMatchObject({ outcome: 'rejected', code: 'vault.key_destroyed' }),
    )
    const next = await stage.deliver('V-2')
    await eventually(() => expect(stage.outcomeOf(next)?.['outcome']).toBe('applied'))
    expect(stage.peer.effects().map((effect) => effect.reference)).toEqual(['V-2'])
  })
})
