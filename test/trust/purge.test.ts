import { sql } from 'kysely'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { rebuildCases } from '#cases/fold.ts'
import { foldSources } from '#compose-loops.ts'
import { purgeStep } from '#compose-purge.ts'
import { PURGE_CONTRACT } from '#exchange/purge-report.ts'
import type { JsonObject } from '#kernel/json.ts'
import type { RetentionClass } from '#kernel/retention.ts'
import { latestUnder } from '#store/exchange-queries.ts'
import { openFileKeystore } from '#trust/keystore.ts'
import { destroyDueKeys, dueKeys } from '#trust/purge.ts'
import { rotateKeys } from '#trust/rotate.ts'
import { openVault } from '#trust/vault.ts'
import { affair, application, licence, newNumber, result } from '../gateway/messages.ts'
import { withDatabase } from '../support/database.ts'
import { at, openTestHub, type TestHub } from '../support/hub.ts'

const USCC = '91150402MADEM002XN'
const CHIFENG = 'platform-chifeng'

withDatabase('the end of a retention', (databaseUrl) => {
  let hub: TestHub
  beforeAll(async () => {
    hub = await openTestHub(databaseUrl)
  })
  afterAll(() => hub.close())

  /** As on the day after the retention of these classes is over; the keys of that day are made anew. */
  async function purge(...classes: RetentionClass[]): Promise<number> {
    const { core } = hub
    const days = { ...core.config.retentionDays }
    for (const one of classes) days[one] = -1
    const destroyed = await destroyDueKeys({ ...core, days })
    await core.vault.refresh()
    await sql`UPDATE data_key SET period = period - id - 400 WHERE destroyed_at IS NOT NULL`.execute(core.db)
    await core.vault.refresh()
    // What is destroyed and not reported, as after a crash between the two, is reported by the next step.
    expect(await purgeStep(core)).toBe(0)
    return destroyed
  }
  const reports = async (): Promise<JsonObject[]> => {
    const found = await latestUnder(hub.core.db, PURGE_CONTRACT, 10)
    return Promise.all(found.map(async ({ token }) => hub.verified(hub.opened(token))))
  }
  const settleDeliveries = () =>
    sql`UPDATE delivery SET state = 'acknowledged', settled_at = now() WHERE settled_at IS NULL`.execute(hub.core.db)

  test('content outlives its retention while it is still to be delivered', async () => {
    const east = hub.party('state-grid-east')
    expect((await east.push(application(newNumber()))).status).toBe(202)
    await hub.settle()
    expect(await purge('delivered')).toBe(0)
    expect(await reports()).toEqual([])
  })

  test('a purge destroys what is due, tells in a signed report how much became unreadable, and once', async () => {
    await settleDeliveries()
    const { rows } = await sql<{ n: number }>`
      SELECT count(*)::int AS n FROM exchange WHERE contract = 'power-application@1'`.execute(hub.core.db)
    // The day and the one after, made ahead.
    expect(await purge('delivered')).toBe(1)
    const [report, ...others] = await reports()
    expect(others).toEqual([])
    expect(report).toMatchObject({ iss: 'dianqiao', contract: PURGE_CONTRACT })
    expect(at(report, 'data', 'keys')).toMatchObject([
      { retention: 'delivered', unreadable: expect.arrayContaining([{ table: 'exchange', values: rows[0]?.n }]) },
    ])
    const keys = await sql<{ wrapped: Buffer | null }>`
      SELECT wrapped FROM data_key WHERE destroyed_at IS NOT NULL`.execute(hub.core.db)
    expect(keys.rows).toEqual([{ wrapped: null }])
    expect(await purge()).toBe(0)
    expect(await reports()).toHaveLength(1)
  })

  test('replays, receipts, states and log positions outlive the content', async () => {
    const east = hub.party('state-grid-east')
    const token = east.exchange(application(newNumber()))
    const first = await hub.post('/v1/exchanges', token, { accept: 'application/json' })
    await hub.settle()
    await settleDeliveries()
    expect(await purge('delivered')).toBe(1)
    const again = await hub.post('/v1/exchanges', token, { accept: 'application/json' })
    expect([again.status, again.json['receipt']]).toEqual([200, first.json['receipt']])
    const status = await east.get(`/v1/exchanges/${String(first.json['exchange'])}`)
    expect([status.status, status.json['receipt']]).toEqual([200, first.json['receipt']])
    expect(at(await hub.verified(status.json['receipt']), 'of', 'iss')).toBe('state-grid-east')
  })

  test('cases stay as they are: they cannot be folded again from what is gone', async () => {
    const { db } = hub.core
    const before = (await sql`SELECT * FROM case_file ORDER BY id`.execute(db)).rows
    expect(before.length).toBeGreaterThan(0)
    await expect(rebuildCases(db, foldSources(hub.core))).rejects.toMatchObject({ code: 'vault.key_destroyed' })
    expect((await sql`SELECT * FROM case_file ORDER BY id`.execute(db)).rows).toEqual(before)
  })

  test('readers of the log pass over what is gone, with a record, and go on to what is not', async () => {
    const gone = await hub.party('state-grid-east').push(application(newNumber()))
    await settleDeliveries()
    expect(await purge('delivered')).toBe(1)
    const number = newNumber()
    await hub.party('state-grid-east').push(application(number))
    hub.logged.length = 0
    await hub.settle()
    const passed = hub.logged.filter(({ message }) => message.includes('passed over'))
    const exchange = (await hub.verified(gone.text))['exchange']
    expect(passed).toMatchObject([{ level: 'warn', error: { code: 'vault.key_destroyed' }, fields: { exchange } }])
    expect((await hub.party('state-grid-east').get(`/v1/cases/${number}`)).status).toBe(200)
  })

  test('who pulls a delivery whose content is gone gets the others; its sender is told why', async () => {
    const number = newNumber('A')
    await hub.party('state-grid-east').push(application(newNumber(), { aliases: [affair(CHIFENG, number)] }))
    await hub.settle()
    await sql`UPDATE delivery SET settled_at = now() WHERE settled_at IS NULL`.execute(hub.core.db)
    expect(await purge('delivered')).toBe(1)
    await sql`UPDATE delivery SET settled_at = NULL WHERE state = 'published'`.execute(hub.core.db)
    await hub.party('state-grid-east').push(application(newNumber()))
    await hub.settle()
    const pulled = await hub.party(CHIFENG).get('/v1/inbox?limit=100')
    const listed = pulled.json['deliveries'] as JsonObject[]
    expect(listed.length).toBeGreaterThan(0)
    for (const { token } of listed) expect(String(token)).toMatch(/^eyJ/)
    const { rows } = await sql<{ state: string }>`
      SELECT DISTINCT state FROM delivery WHERE cause = 'vault.key_destroyed'`.execute(hub.core.db)
    expect(rows).toEqual([{ state: 'dead' }])
  })

  test('a query for a document whose content is gone is refused as vault.key_destroyed, and others are answered', async () => {
    const number = newNumber()
    const east = hub.party('state-grid-east')
    await hub.party('market-regulation-nmg').push(licence(USCC))
    await east.push(application(number, { applicant: USCC }))
    await hub.settle()
    const ask = () =>
      east.ask({
        contract: 'business-licence-query@1',
        sub: USCC,
        purpose: 'power-connection',
        legalBasis: 'duty',
        item: '11150000MB0000000X2000199001000',
        operator: 'staff-0042',
        caseNo: number,
      })
    expect((await ask()).status).toBe(200)
    expect(await purge('archive')).toBe(1)
    const answer = await ask()
    expect([answer.status, answer.json['code']]).toEqual([410, 'vault.key_destroyed'])
    expect(await hub.verified(answer.json['refusal'])).toMatchObject({ problem: { code: 'vault.key_destroyed' } })
    expect((await hub.party(CHIFENG).push(result(newNumber()))).status).toBe(202)
  })

  test('by default queries go after their day, what is delivered after 180 days, and an archive is kept', async () => {
    const { db, config } = hub.core
    const due = async (inDays: number): Promise<string[]> => {
      const clock = (): number => Date.now() + inDays * 86_400_000
      const keys = await dueKeys({ db, clock, days: config.retentionDays })
      return [...new Set(keys.map(({ retention }) => retention))].toSorted()
    }
    await sql`UPDATE delivery SET settled_at = now() WHERE settled_at IS NULL`.execute(db)
    expect(await due(0)).toEqual([])
    expect(await due(1)).toEqual(['query'])
    expect(await due(9)).toEqual(['precase', 'query'])
    expect(await due(32)).toEqual(['assertion', 'precase', 'query'])
    expect(await due(180)).not.toContain('delivered')
    expect(await due(182)).toContain('delivered')
    expect(await due(1_098)).toEqual(['access', 'assertion', 'delivered', 'precase', 'query'])
  })

  test('a rotation wraps every key anew; nothing that is sealed changes, and given-up versions open nothing', async () => {
    const { db, vault, config, clock } = hub.core
    const keystore = openFileKeystore(config.keystoreFile, false)
    const sealed = vault.seal('delivered', 'before')
    const { version, rewrapped } = await rotateKeys(db, keystore)
    expect(rewrapped).toBeGreaterThan(0)
    const { rows } = await sql<{ kek_version: number }>`
      SELECT DISTINCT kek_version FROM data_key WHERE wrapped IS NOT NULL`.execute(db)
    expect(rows).toEqual([{ kek_version: version }])
    expect((await rotateKeys(db, keystore, { rewrapOnly: true })).rewrapped).toBe(0)
    const old = await keystore.wrap(Buffer.alloc(32), 'b')
    await rotateKeys(db, keystore, { forget: true })
    await expect(keystore.unwrap(old, 'b')).rejects.toMatchObject({ code: 'vault.keystore_faulty' })
    const restarted = await openVault({ db, keystore, clock })
    for (const one of [vault, restarted]) expect(one.open(sealed).toString()).toBe('before')
    await restarted.close()
  })
})
