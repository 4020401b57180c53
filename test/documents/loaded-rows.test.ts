import { createHash, randomUUID } from 'node:crypto'
import { sql } from 'kysely'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { logReader } from '#compose-vault.ts'
import { statusFeedStep } from '#documents/status-feed.ts'
import type { JsonObject } from '#kernel/json.ts'
import { countSealedUnder } from '#store/data-key-queries.ts'
import { disclosuresOf, findSubject } from '#store/disclosure-queries.ts'
import { accessesOf } from '#store/statement-queries.ts'
import { application, licence, newNumber, STATED } from '../gateway/messages.ts'
import { withDatabase } from '../support/database.ts'
import { at, openTestHub, type TestHub } from '../support/hub.ts'

const AUTHORITY = 'market-regulation-nmg'
const [EAST, WEST] = ['state-grid-east', 'inner-mongolia-power'] as const
const [ONE, OTHER, THIRD] = ['91150402MADEM002XN', '91150404MADEM00624', '91150702MADEM0070H'] as const
const RENEWED = '1.2.156.3005.2.11100000MB0143028R001.1115000001150T050D.20260000000000009001.001.X'

const row = (uscc: string, n: number, change: JsonObject = {}): JsonObject =>
  licence(uscc, {
    certificateVersion: String(n).padStart(3, '0'),
    status: '01',
    statusTime: `2026-0${n}-01T08:00:00+08:00`,
    validTo: '2041-03-14',
    ...change,
  }).data

withDatabase('documents that came as rows of one load', (databaseUrl) => {
  let hub: TestHub
  let loaded: { token: string; exchange: string }
  beforeAll(async () => {
    hub = await openTestHub(databaseUrl)
    await sql`UPDATE party SET channel = 'inbox' WHERE id = ANY (${[EAST, WEST]})`.execute(hub.core.db)
    await hub.core.register.refresh()
    loaded = await load(row(ONE, 1), row(OTHER, 1), row(THIRD, 1))
  })
  afterAll(() => hub.close())

  async function load(...rows: JsonObject[]): Promise<{ token: string; exchange: string; refusal: unknown }> {
    const loadId = `load-${randomUUID()}`
    const token = hub
      .party(AUTHORITY)
      .exchange({ contract: 'business-licence-load@1', sub: loadId, data: { loadId, rows } })
    const answer = await hub.post('/v1/exchanges', token, { accept: 'application/json' })
    expect(answer.status, answer.text).toBe(202)
    return { token, exchange: String(at(answer.json, 'exchange')), refusal: answer.json['refusal'] }
  }

  async function fetched(utility: string, uscc: string): Promise<{ jti: string; documents: JsonObject[] }> {
    const [jti, caseNo] = [randomUUID(), newNumber('ME')]
    const division = utility === EAST ? '150402' : '150102'
    const opened = await hub.party(utility).push(application(caseNo, { utility, division, applicant: uscc }))
    expect(opened.status, opened.text).toBe(202)
    await hub.settle()
    const contract = 'business-licence-query@1'
    const answer = await hub.party(utility).ask({ ...STATED, jti, contract, sub: uscc, caseNo })
    expect(answer.status, answer.text).toBe(200)
    return { jti, documents: (await hub.verified(answer.text))['documents'] as JsonObject[] }
  }

  async function feed(): Promise<void> {
    const acceptOwn = async (token: string): Promise<void> => {
      const result = await hub.core.acceptOwn(token)
      if (result.kind === 'refused') throw result.error
    }
    const reader = logReader(hub.core.vault, hub.core.log)
    while ((await statusFeedStep({ ...hub.core, hubId: 'dianqiao', ...reader, acceptOwn })) > 0);
    await hub.settle()
  }

  const opened = (sealed: Buffer): string => hub.core.vault.open(sealed).toString('utf8')

  async function told(utility: string, jti: string): Promise<JsonObject[]> {
    const { rows } = await sql<{ token: Buffer }>`
      SELECT e.token FROM delivery d JOIN exchange e ON e.id = d.exchange
      WHERE d.recipient = ${utility} AND e.contract = 'document-status@1' ORDER BY d.pos`.execute(hub.core.db)
    const all = await Promise.all(
      rows.map(async ({ token }) => (await hub.verified(opened(token)))['data'] as JsonObject),
    )
    return all.filter((data) => JSON.stringify(data).includes(jti))
  }

  test('each keeps its own data, sealed, and a purge of its key counts it', async () => {
    const { rows } = await sql<{ data: Buffer; pointer: string }>`
      SELECT data, pointer FROM document WHERE exchange = ${loaded.exchange} ORDER BY pointer`.execute(hub.core.db)
    expect(rows.map(({ pointer }) => pointer)).toEqual(['/rows/0', '/rows/1', '/rows/2'])
    const data = rows[0]?.data ?? Buffer.alloc(0)
    expect(data.toString('utf8')).not.toContain(ONE)
    expect(JSON.parse(opened(data))).toEqual(row(ONE, 1))
    expect(await countSealedUnder(hub.core.db, 'document', data.readUInt32BE(1))).toBe(3)
  })

  test('who fetched one is told when a later load suspends it, by the digest of the load; who fetched its neighbour is not', async () => {
    const one = await fetched(EAST, ONE)
    const neighbour = await fetched(WEST, OTHER)
    await load(row(ONE, 2, { status: '02' }), row(THIRD, 2))
    await feed()
    await feed()
    const originalDigest = `sha-256:${createHash('sha256').update(loaded.token).digest('base64url')}`
    expect(await told(EAST, one.jti)).toMatchObject([
      { change: 'STATUS', status: 'SUSPENDED', queries: [{ jti: one.jti, originalDigest }] },
    ])
    expect(await told(WEST, neighbour.jti)).toEqual([])
    expect((await fetched(EAST, ONE)).documents.map(({ status }) => status)).toEqual(['SUSPENDED'])
  })

  test('a good row replaces the document that it names, a refused one replaces none', async () => {
    const certificateIdentifier = RENEWED
    const named = (uscc: string): JsonObject => ({
      associatedCertificateId: row(uscc, 1)['certificateIdentifier'] ?? '',
    })
    const bad = row(ONE, 3, { ...named(OTHER), status: '42' })
    const { refusal } = await load(bad, row(THIRD, 3, { ...named(THIRD), certificateIdentifier }))
    expect(at(await hub.verified(refusal), 'problem', 'violations', 0, 'pointer')).toBe('/rows/0/status')
    await feed()
    const verdicts = async (uscc: string) => (await fetched(EAST, uscc)).documents.map(({ verdict }) => verdict)
    expect((await verdicts(THIRD)).toSorted()).toEqual(['replaced', 'valid'])
    expect(await verdicts(OTHER)).toEqual(['valid'])
  })

  test('statements name the document that was read, not the load, and a disclosure the exchange that brought it', async () => {
    const { db, digests } = hub.core
    const { jti } = await fetched(EAST, OTHER)
    const day = 86_400_000
    const groups = await accessesOf(db, { from: new Date(Date.now() - day), to: new Date(Date.now() + day) })
    expect(groups.filter(({ provider }) => provider !== AUTHORITY)).toEqual([])
    expect(groups.every(({ fields }) => fields.length > 0)).toBe(true)
    const found = await disclosuresOf(db, await findSubject(db, digests.subject('001', OTHER), []))
    expect(found.at(-1)).toMatchObject({
      documents: [{ exchange: loaded.exchange, document: 'business-licence@1' }],
      lookUps: [],
    })
    const { rows } = await sql<object>`
      SELECT document, exchange FROM access_look_up WHERE jti = ${jti}`.execute(db)
    expect(rows).toEqual([{ document: 'business-licence@1', exchange: loaded.exchange }])
  })

  test('a row that carries a file is refused by itself', async () => {
    const expiresAt = new Date(Date.now() + 3_600_000).toISOString()
    const digest = `sha-256:${createHash('sha256').update('copy').digest('base64url')}`
    const file = { digest, bytes: 4, mediaType: 'application/pdf', copyExpiresAt: expiresAt }
    const copy = { createdAt: new Date().toISOString(), creator: AUTHORITY, cause: '办电', expiresAt, file }
    const copied = row(ONE, 5, { copy })
    const { refusal } = await load(copied, row(OTHER, 5))
    const violations = at(await hub.verified(refusal), 'problem', 'violations') as unknown as JsonObject[]
    expect(violations.map(({ pointer, rule }) => [pointer, rule])).toEqual([['/rows/0/copy/file', 'files']])
    const { rows } = await sql`SELECT FROM file_naming`.execute(hub.core.db)
    expect(rows).toEqual([])
  })
})
