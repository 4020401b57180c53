import { randomUUID } from 'node:crypto'
import { sql } from 'kysely'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { certificateCheckCharacter } from '#contracts/formats.ts'
import type { JsonObject } from '#kernel/json.ts'
import { openPool } from '#store/db.ts'
import { createCommitBatch, type DocumentRow, type ExchangeRow } from '#store/log-commit.ts'
import { documentOf } from '../gateway/messages.ts'
import { withDatabase } from '../support/database.ts'
import { openTestHub, type TestHub } from '../support/hub.ts'

const FLAT = '蒙（2019）赤峰市不动产权第0004321号'
const OWNERS = ['150402198512310023', '152201197806150037']

withDatabase('the projection of documents', (databaseUrl) => {
  let hub: TestHub
  beforeAll(async () => {
    hub = await openTestHub(databaseUrl)
  })
  afterAll(() => hub.close())

  let serial = 0
  /** A property of its own for each test: brings one version after the other, tells what stands in the end. */
  function property() {
    const stem = `11100000MB03271699001.1115000001150T106G.2026000000000000${7_000 + serial++}`
    const identifier = (version: string): string =>
      `1.2.156.3005.2.${stem}.${version}.${certificateCheckCharacter(`${stem}${version}`.replaceAll('.', ''))}`
    return {
      async bring(version: string, statusTime: string, change: JsonObject = {}): Promise<void> {
        const message = documentOf('property-certificate@1', FLAT, {
          certificateIdentifier: identifier(version),
          certificateVersion: version,
          statusTime: `${statusTime}T08:00:00+08:00`,
          ...change,
        })
        const answer = await hub.party('natural-resources-nmg').push(message)
        expect(answer.status, answer.text).toBe(202)
      },
      async stands(): Promise<{ version: string; status: string; status_at: string; owners: boolean[] }[]> {
        const keys = OWNERS.map((code) => hub.core.digests.subject('111', code))
        const { rows } = await sql<{ version: string; status: string; status_at: Date; holder_keys: string[] }>`
          SELECT version, status, status_at, holder_keys FROM document
          WHERE identifier = ${`1.2.156.3005.2.${stem}`}`.execute(hub.core.db)
        return rows.map(({ holder_keys, status_at, ...row }) => ({
          ...row,
          status_at: status_at.toISOString().slice(0, 10),
          owners: keys.map((key) => holder_keys.includes(key)),
        }))
      },
    }
  }
  const both = [true, true]

  test('all versions are one document, and the higher version wins whatever its status time', async () => {
    const { bring, stands } = property()
    await bring('001', '2026-03-01')
    await bring('002', '2026-02-01', { status: '04' })
    expect(await stands()).toEqual([{ version: '002', status: 'CANCELLED', status_at: '2026-02-01', owners: both }])
  })

  test('within a version the later status wins, in whatever order they come', async () => {
    const { bring, stands } = property()
    await bring('001', '2026-01-01')
    await bring('001', '2026-03-01', { status: '03' })
    await bring('001', '2026-02-01', { status: '05' })
    expect(await stands()).toEqual([{ version: '001', status: 'REVOKED', status_at: '2026-03-01', owners: both }])
  })

  test('a late version changes nothing, its holders included', async () => {
    const { bring, stands } = property()
    const [, second] = documentOf('property-certificate@1', FLAT).data['holders'] as JsonObject[]
    await bring('003', '2026-03-01', { holders: [second ?? {}], coOwnership: 'SINGLE' })
    await bring('002', '2026-04-01', { status: '03' })
    expect(await stands()).toEqual([
      { version: '003', status: 'ACTIVE', status_at: '2026-03-01', owners: [false, true] },
    ])
  })

  test('a holder who is not in the new version is no holder any more, and comes back with the next', async () => {
    const { bring, stands } = property()
    const [first] = documentOf('property-certificate@1', FLAT).data['holders'] as JsonObject[]
    await bring('001', '2026-01-01')
    await bring('002', '2026-02-01', { holders: [first ?? {}], coOwnership: 'SINGLE' })
    expect((await stands()).map(({ owners }) => owners)).toEqual([[true, false]])
    await bring('003', '2026-03-01')
    expect((await stands()).map(({ owners }) => owners)).toEqual([both])
  })

  test('of two with the same version and status time the first in the log wins', async () => {
    const { bring, stands } = property()
    await bring('001', '2026-01-01', { status: '05' })
    await bring('001', '2026-01-01', { status: '03' })
    expect((await stands()).map(({ status }) => status)).toEqual(['EXPIRED'])
  })

  test('the first wins within one batch too, where neither stood before', async () => {
    const pool = openPool(databaseUrl, { max: 1 })
    const identifier = randomUUID()
    try {
      const outcomes = await createCommitBatch(pool)([row(identifier, 'SUSPENDED'), row(identifier, 'REVOKED')])
      expect(outcomes.map(({ kind }) => kind)).toEqual(['committed', 'committed'])
      const { rows } = await sql<{ status: string }>`
        SELECT status FROM document WHERE identifier = ${identifier}`.execute(hub.core.db)
      expect(rows).toEqual([{ status: 'SUSPENDED' }])
    } finally {
      await pool.end()
    }
  })

  test('a change is written down only where something changed', async () => {
    const { bring, stands } = property()
    await bring('002', '2026-02-01')
    await bring('001', '2026-01-01', { status: '03' })
    await bring('002', '2026-03-01', { status: '06' })
    expect((await stands()).map(({ status }) => status)).toEqual(['TRANSFERRED_OUT'])
    const { rows } = await sql<JsonObject>`
      SELECT kind, old_status, status FROM document_change
      WHERE identifier LIKE ${`%${7_000 + serial - 1}`}`.execute(hub.core.db)
    expect(rows).toEqual([{ kind: 'STATUS', old_status: 'ACTIVE', status: 'TRANSFERRED_OUT' }])
  })
})

function row(identifier: string, status: DocumentRow['status']): ExchangeRow {
  return {
    id: randomUUID(),
    iss: 'natural-resources-nmg',
    jti: randomUUID(),
    contract: 'property-certificate@1',
    sub: identifier,
    caseNo: undefined,
    obo: undefined,
    origin: 'party-signed',
    orderKey: identifier,
    contentDigest: randomUUID(),
    acceptedAtMs: Date.now(),
    token: Buffer.from('a.b.c'),
    receipt: 'a.b.c',
    deliveries: [],
    refusal: undefined,
    documents: [
      {
        contract: 'property-certificate@1',
        identifier,
        version: '001',
        status,
        statusAt: '2026-01-01T00:00:00Z',
        validTo: undefined,
        holderKeys: [],
        pointer: '',
        data: Buffer.from('{}'),
        tokenDigest: 'sha-256:x',
      },
    ],
  }
}
