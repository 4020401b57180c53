import { randomUUID } from 'node:crypto'
import { sql } from 'kysely'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { type AccessRow, type Cap, pruneUsage, recordAccesses } from '#store/access-queries.ts'
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

  const used = async (name: string): Promise<number> =>
    (await sql<{ used: number }>`SELECT used FROM grant_usage WHERE name = ${name}`.execute(db)).rows[0]?.used ?? 0
  const recorded = async (rows: readonly AccessRow<Buffer>[]): Promise<number> => {
    const jtis = rows.map(({ jti }) => jti)
    const { rows: found } = await sql`SELECT FROM access_record WHERE jti = ANY (${jtis})`.execute(db)
    return found.length
  }

  test('what fits together is recorded and counted together', async () => {
    const rows = Array.from({ length: 5 }, () => access([cap('roomy', 5)]))
    expect(await recordAccesses(db, rows)).toEqual(Array(5).fill('recorded'))
    expect([await recorded(rows), await used('roomy')]).toEqual([5, 5])
  })

  test('of a batch that passes a cap so many are recorded as still fit, and the others of the batch are', async () => {
    const rows = Array.from({ length: 5 }, () => access([cap('tight', 3)]))
    const beside = access([cap('beside', 3)])
    const outcomes = await recordAccesses(db, [...rows, beside])
    expect(outcomes.filter((one) => one === 'recorded')).toHaveLength(4)
    expect(outcomes.filter((one) => one === 'party')).toHaveLength(2)
    expect([await recorded(rows), await used('tight'), await used('beside')]).toEqual([3, 3, 1])
  })

  test('counters of days that are over are forgotten, some at a time; those of the day and after it are not', async () => {
    const days = ['2026-11-22', '2026-11-23', '2026-11-24', DAY]
    await recordAccesses(
      db,
      days.map((day) => access([cap(`on ${day}`, 9)], { day })),
    )
    expect([await pruneUsage(db, '2026-11-24', 1), await pruneUsage(db, '2026-11-24', 9)]).toEqual([1, 1])
    expect(await pruneUsage(db, '2026-11-24', 9)).toBe(0)
    expect(await Promise.all(days.map((day) => used(`on ${day}`)))).toEqual([0, 0, 1, 1])
  })

  test('one that was used before is replayed and counted once, also within one batch', async () => {
    const once = access([cap('again', 9)])
    expect(await recordAccesses(db, [once, once])).toEqual(['recorded', 'replayed'])
    expect(await recordAccesses(db, [access([cap('again', 9)]), once])).toEqual(['recorded', 'replayed'])
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
    expect(await recordAccesses(db, [together, again])).toEqual(['recorded', 'recorded'])
    expect(await recordAccesses(db, [again, singly])).toEqual(['replayed', 'recorded'])
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
    expect(await recordAccesses(db, [withdrawn, standing])).toEqual(['withdrawn', 'recorded'])
    expect([await recorded([withdrawn]), await used('consented')]).toEqual([0, 1])
  })

  test('one that counts nothing itself is refused where the cap is reached, and only there', async () => {
    const miss = access([{ ...cap('guess', 2, false), counts: true }])
    const hit = (): AccessRow<Buffer> => access([cap('guess', 2, false)])
    expect(await recordAccesses(db, [hit(), miss, hit()])).toEqual(['recorded', 'recorded', 'recorded'])
    expect(await recordAccesses(db, [access([{ ...cap('guess', 2, false), counts: true }])])).toEqual(['recorded'])
    expect(await recordAccesses(db, [hit()])).toEqual(['guesses'])
    expect(await used('guess')).toBe(2)
  })

  test('batches at the same time never record more than a cap, nor one jti twice', async () => {
    const shared = Array.from({ length: 6 }, () => access([cap('raced', 20), cap('other', 1_000)]))
    const batches = Array.from({ length: 8 }, () => [
      ...Array.from({ length: 6 }, () => access([cap('other', 1_000), cap('raced', 20)])),
      ...shared,
    ])
    const outcomes = (await Promise.all(batches.map((rows) => recordAccesses(db, rows)))).flat()
    expect(outcomes.filter((one) => one === 'recorded')).toHaveLength(20)
    expect(await used('raced')).toBe(20)
    expect(await used('other')).toBe(20)
  })
})
