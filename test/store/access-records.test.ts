import { randomUUID } from 'node:crypto'
import { sql } from 'kysely'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { type AccessOutcome, type AccessRow, giveBack, pruneUsage, recordAccesses } from '#store/access-queries.ts'
import type { Cap } from '#store/cap-counters.ts'
import { type CapReserve, createCapReserve } from '#store/cap-reserve.ts'
import { type Db, openDb } from '#store/db.ts'
import { withDatabase } from '../support/database.ts'

const DAY = '2026-11-25'

const cap = (name: string, most: number, counts = true): Cap => ({
  scope: counts ? 'party' : 'guesses',
  under: 'grant',
  name,
  cap: most,
  counts,
})

function access(caps: readonly Cap[], change: Partial<AccessRow<Buffer>> = {}): AccessRow<Buffer> {
  return {
    iss: 'state-grid-east',
    jti: randomUUID(),
    contract: 'business-licence-query@1',
    subjectKey: 'subject',
    caseId: undefined,
    session: undefined,
    consent: undefined,
    purpose: 'power-connection',
    legalBasis: 'duty',
    item: 'item',
    operator: 'staff-0042',
    grant: 'grant',
    caps,
    day: DAY,
    fields: ['status'],
    documents: [],
    lookUps: [],
    token: Buffer.from('sealed'),
    answerDigest: 'sha-256:x',
    answeredAtMs: Date.now(),
    ...change,
  }
}

withDatabase('access records', (databaseUrl) => {
  let db: Db
  beforeAll(() => {
    db = openDb(databaseUrl, { max: 8, onError: () => undefined })
  })
  afterAll(() => db.destroy())
  const reserve = createCapReserve()

  const used = async (name: string): Promise<number> =>
    (await sql<{ used: number }>`SELECT used FROM grant_usage WHERE name = ${name}`.execute(db)).rows[0]?.used ?? 0
  const recorded = async (rows: readonly AccessRow<Buffer>[]): Promise<number> => {
    const jtis = rows.map(({ jti }) => jti)
    const { rows: found } = await sql`SELECT FROM access_record WHERE jti = ANY (${jtis})`.execute(db)
    return found.length
  }

  test('what fits together is recorded and counted together', async () => {
    const rows = Array.from({ length: 5 }, () => access([cap('roomy', 5)]))
    expect(await recordAccesses(db, reserve, rows)).toEqual(Array(5).fill('recorded'))
    expect([await recorded(rows), await used('roomy')]).toEqual([5, 5])
  })

  test('of a batch that passes a cap so many are recorded as still fit, and the others of the batch are', async () => {
    const rows = Array.from({ length: 5 }, () => access([cap('tight', 3)]))
    const beside = access([cap('beside', 3)])
    const outcomes = await recordAccesses(db, reserve, [...rows, beside])
    expect(outcomes.filter((one) => one === 'recorded')).toHaveLength(4)
    expect(outcomes.filter((one) => one === 'party')).toHaveLength(2)
    expect([await recorded(rows), await used('tight'), await used('beside')]).toEqual([3, 3, 1])
  })

  test('counters of days that are over are forgotten, some at a time; those of the day and after it are not', async () => {
    const days = ['2026-11-22', '2026-11-23', '2026-11-24', DAY]
    await recordAccesses(
      db,
      reserve,
      days.map((day) => access([cap(`on ${day}`, 9)], { day })),
    )
    expect([await pruneUsage(db, '2026-11-24', 1), await pruneUsage(db, '2026-11-24', 9)]).toEqual([1, 1])
    expect(await pruneUsage(db, '2026-11-24', 9)).toBe(0)
    expect(await Promise.all(days.map((day) => used(`on ${day}`)))).toEqual([0, 0, 1, 1])
  })

  test('one that was used before is replayed and counted once, also within one batch', async () => {
    const once = access([cap('again', 9)])
    expect(await recordAccesses(db, reserve, [once, once])).toEqual(['recorded', 'replayed'])
    expect(await recordAccesses(db, reserve, [access([cap('again', 9)]), once])).toEqual(['recorded', 'replayed'])
    expect(await used('again')).toBe(2)
  })

  test('a record says the same whether its batch fitted or was gone through row by row', async () => {
    const full = (): AccessRow<Buffer> =>
      access([cap('full', 99)], {
        caseId: '01a218d9-09f4-7ba0-b333-851edb5ed6e3',
        session: 'session-1',
        consent: { issuer: 'platform', ref: 'consent-1' },
        fields: ['status', 'business-licence.entityName', 'odd "name", {with} \\\\ all', ''],
        documents: ['01a218d9-093c-765f-9e3d-e3c71214bbb2', '01a218d9-093c-765f-9e3d-e3c71214bbb3'],
        lookUps: [
          {
            provider: 'market-regulation-nmg',
            document: 'business-licence@1',
            identifier: 'one',
            originalDigest: 'sha-256:y',
            exchange: undefined,
          },
        ],
        answeredAtMs: 1_790_000_000_123,
      })
    const [together, singly, again] = [full(), full(), access([cap('full', 99)])]
    expect(await recordAccesses(db, reserve, [together, again])).toEqual(['recorded', 'recorded'])
    expect(await recordAccesses(db, reserve, [again, singly])).toEqual(['replayed', 'recorded'])
    const { rows } = await sql<{ jti: string; row: object }>`
      SELECT a.jti, to_jsonb(a) - 'jti' || jsonb_build_object('looked_up', (
        SELECT jsonb_agg(to_jsonb(l) - 'id' - 'jti') FROM access_look_up l WHERE l.iss = a.iss AND l.jti = a.jti)) AS row
      FROM access_record a WHERE a.jti IN (${together.jti}, ${singly.jti})`.execute(db)
    const recordedAs = new Map(rows.map(({ jti, row }) => [jti, row]))
    expect(recordedAs.get(together.jti)).toMatchObject({ fields: together.fields, documents: together.documents })
    expect(recordedAs.get(together.jti)).toEqual(recordedAs.get(singly.jti))
    expect(recordedAs.get(singly.jti)).toMatchObject({ looked_up: [{ identifier: 'one' }] })
  })

  test('one whose consent was withdrawn is not recorded and counts nothing, whatever it stands beside', async () => {
    const [id, jti] = [randomUUID(), randomUUID()]
    await sql`
      INSERT INTO exchange (id, iss, jti, contract, sub, origin, order_key, token, accepted_at)
      VALUES (${id}, 'platform', ${jti}, 'consent-withdrawal@1', 'ref', 'party-signed', 'k', '', now())`.execute(db)
    const withdrawn = access([cap('consented', 9)], { consent: { issuer: 'platform', ref: 'ref' } })
    const standing = access([cap('consented', 9)], { consent: { issuer: 'platform', ref: 'other' } })
    expect(await recordAccesses(db, reserve, [withdrawn, standing])).toEqual(['withdrawn', 'recorded'])
    expect([await recorded([withdrawn]), await used('consented')]).toEqual([0, 1])
  })

  test('one that counts nothing itself is refused where the cap is reached, and only there', async () => {
    const miss = access([{ ...cap('guess', 2, false), counts: true }])
    const hit = (): AccessRow<Buffer> => access([cap('guess', 2, false)])
    expect(await recordAccesses(db, reserve, [hit(), miss, hit()])).toEqual(['recorded', 'recorded', 'recorded'])
    expect(await recordAccesses(db, reserve, [access([{ ...cap('guess', 2, false), counts: true }])])).toEqual([
      'recorded',
    ])
    expect(await recordAccesses(db, reserve, [hit()])).toEqual(['guesses'])
    expect(await used('guess')).toBe(2)
  })

  test('batches at the same time never record more than a cap, nor one jti twice', async () => {
    const shared = Array.from({ length: 6 }, () => access([cap('raced', 20), cap('other', 1_000)]))
    const batches = Array.from({ length: 8 }, () => [
      ...Array.from({ length: 6 }, () => access([cap('other', 1_000), cap('raced', 20)])),
      ...shared,
    ])
    const outcomes = (await Promise.all(batches.map((rows) => recordAccesses(db, reserve, rows)))).flat()
    expect(outcomes.filter((one) => one === 'recorded')).toHaveLength(20)
    await giveBack(db, reserve)
    expect(await used('raced')).toBe(20)
    expect(await used('other')).toBe(20)
  })

  /** Records `count` accesses one after the other; how many of them were. */
  const answered = async (gateway: CapReserve, one: Cap, count: number): Promise<number> => {
    const outcomes: AccessOutcome[] = []
    for (let at = 0; at < count; at++) outcomes.push(...(await recordAccesses(db, gateway, [access([one])])))
    return outcomes.filter((outcome) => outcome === 'recorded').length
  }

  test('a use that was counted ahead writes to no counter', async () => {
    const gateway = createCapReserve()
    await answered(gateway, cap('ahead', 1_000), 1)
    expect(await used('ahead')).toBe(11)
    await answered(gateway, cap('ahead', 1_000), 10)
    expect(await used('ahead')).toBe(11)
    await answered(gateway, cap('ahead', 1_000), 1)
    expect(await used('ahead')).toBe(22)
  })

  test('every use of a cap is had, and none twice, on two gateways that count ahead', async () => {
    const [one, other] = [createCapReserve(), createCapReserve()]
    const many = cap('two gateways', 300)
    expect(await answered(one, many, 150)).toBe(150)
    const rest = await Promise.all([answered(one, many, 150), answered(other, many, 150)])
    expect(rest[0] + rest[1]).toBe(150)
    expect(await used('two gateways')).toBe(300)
  })

  test('what a gateway has in reserve is lost to the others until it gives it back', async () => {
    const [one, other] = [createCapReserve(), createCapReserve()]
    const many = cap('held back', 500)
    expect(await answered(one, many, 1)).toBe(1)
    expect(await answered(other, many, 500)).toBe(494)
    await giveBack(db, one)
    expect(await answered(other, many, 500)).toBe(5)
    expect(await used('held back')).toBe(500)
  })

  test('a cap that was lowered counts at once, whatever is in reserve', async () => {
    const gateway = createCapReserve()
    await answered(gateway, cap('lowered', 1_000), 50)
    expect(await answered(gateway, cap('lowered', 52), 5)).toBe(2)
    expect(await used('lowered')).toBe(52)
  })

  test('what was taken for accesses that are not recorded is had again', async () => {
    const gateway = createCapReserve()
    const many = cap('had again', 200)
    const once = access([many])
    await recordAccesses(db, gateway, [once])
    expect(await recordAccesses(db, gateway, [once])).toEqual(['replayed'])
    expect(await used('had again')).toBe(1)
    expect(await answered(gateway, many, 300)).toBe(199)
  })

  test('giving back revives no counter of a day that is forgotten', async () => {
    const gateway = createCapReserve()
    const old = access([cap('of old', 500)], { day: '2026-11-20' })
    await recordAccesses(db, gateway, [old])
    await pruneUsage(db, '2026-11-21', 100)
    await giveBack(db, gateway)
    const { rows } = await sql`SELECT FROM grant_usage WHERE name = 'of old'`.execute(db)
    expect(rows).toEqual([])
  })
})
