import { spawnSync } from 'node:child_process'
import { join } from 'node:path'
import { sql } from 'kysely'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { PROJECT_ROOT } from '#compose.ts'
import type { JsonObject } from '#kernel/json.ts'
import { deliveriesAbout, disclosuresOf, filesGivenOf, findSubject } from '#store/disclosure-queries.ts'
import { accessesOf, providersOf } from '#store/statement-queries.ts'
import { application, documentOf, licence, newNumber, PUBLISHERS, STATED } from '../gateway/messages.ts'
import { withDatabase } from '../support/database.ts'
import { at, type Message, ndjson, openTestHub, type TestHub } from '../support/hub.ts'

const COMPANY = '91150402MADEM002XN'
const CO_OWNER = { name: '示例居民甲', code: '150402198512310023', codeTypeName: '居民身份证', codeTypeCode: '111' }
const FACTORY = '蒙（2021）赤峰市不动产权第0001234号'
const AUTHORITY = 'market-regulation-nmg'
const REGISTRY = 'natural-resources-nmg'
const UTILITY = 'state-grid-east'

withDatabase('who got what of a subject', (databaseUrl) => {
  let hub: TestHub
  const number = newNumber('ME')
  let answer: JsonObject
  beforeAll(async () => {
    hub = await openTestHub(databaseUrl)
    const { db } = hub.core
    await sql`UPDATE party SET channel = 'inbox' WHERE id = ${UTILITY}`.execute(db)
    await sql`INSERT INTO mandate (agent, principal, contract, valid_from)
      VALUES ('connector-inner-mongolia-power', ${AUTHORITY}, 'business-licence@1', now() - interval '1 day')`.execute(
      db,
    )
    await hub.core.register.refresh()
    await push(licence(COMPANY), 'connector-inner-mongolia-power', { obo: AUTHORITY })
    await push(documentOf('identity-card@1', CO_OWNER.code), PUBLISHERS['identity-card@1'])
    const factory = documentOf('property-certificate@1', FACTORY)
    const holders = [...(factory.data['holders'] as JsonObject[]), CO_OWNER]
    await push(documentOf('property-certificate@1', FACTORY, { holders, coOwnership: 'SHARES' }), REGISTRY)
    await push(application(number, { applicant: COMPANY }), 'platform-chifeng')
    await hub.settle()
    const fields = ['business-licence.entityName', 'property-certificate.matched', 'property-certificate.use']
    const contract = 'one-licence-bundle@1'
    const asked = await hub.party(UTILITY).ask({ ...STATED, contract, sub: COMPANY, caseNo: number, fields })
    expect(asked.status, asked.text).toBe(200)
    answer = await hub.verified(asked.text)
  })
  afterAll(() => hub.close())

  async function push(message: Message, sender = '', claims: object = {}): Promise<void> {
    const pushed = await hub.party(sender).push(message, claims)
    expect(pushed.status, pushed.text).toBe(202)
  }
  /** What the command prints, as it prints it. */
  async function disclosures(codeType: string, code: string): Promise<Record<string, unknown>[]> {
    const { db, digests } = hub.core
    const subject = await findSubject(db, digests.subject(codeType, code), ['identity-card@1'])
    const rows = [
      ...(await disclosuresOf(db, subject)),
      ...(await deliveriesAbout(db, subject)),
      ...(await filesGivenOf(db, subject)),
    ]
    return JSON.parse(JSON.stringify(rows)) as Record<string, unknown>[]
  }

  test('of a bundle each provider is told its own part with its own fields, for whomever the document was sent', async () => {
    const period = { from: new Date(0), to: new Date(Date.now() + 60_000) }
    const rows = await accessesOf(hub.core.db, period)
    expect(rows.map(({ provider, fields, documents, cases }) => ({ provider, fields, documents, cases }))).toEqual([
      { provider: AUTHORITY, fields: ['business-licence.entityName'], documents: 1, cases: 1 },
      {
        provider: REGISTRY,
        fields: ['property-certificate.matched', 'property-certificate.use'],
        documents: 1,
        cases: 1,
      },
    ])
    expect(await providersOf(hub.core.db, ['business-licence@1'])).toEqual([AUTHORITY])
    expect(at(answer, 'documents', 0, 'issuer')).toBe(AUTHORITY)
  })

  test('a subject’s list says who asked in which case, which fields of each document, and where its papers were sent', async () => {
    const rows = await disclosures('001', COMPANY)
    const [asked, ...others] = rows.filter(({ way }) => way === 'query')
    expect(others).toEqual([])
    expect(asked).toMatchObject({
      asker: UTILITY,
      party: UTILITY,
      contract: 'one-licence-bundle@1',
      caseNo: expect.stringMatching(/^DQ-/),
      documents: [
        { document: 'business-licence@1', fields: ['business-licence.entityName'] },
        {
          document: 'property-certificate@1',
          fields: ['property-certificate.matched', 'property-certificate.use'],
        },
      ],
    })
    expect(rows.filter(({ way }) => way === 'delivery')).toEqual([
      expect.objectContaining({ party: UTILITY, contract: 'power-application@1', caseNo: asked?.['caseNo'] }),
    ])
  })

  test('a co-owner finds that its property was disclosed in the case of another, and nothing else of that other', async () => {
    const rows = await disclosures('111', CO_OWNER.code)
    expect(rows.map(({ way }) => way)).toEqual(['query'])
    const documents = rows[0]?.['documents']
    expect(documents).toEqual([expect.objectContaining({ document: 'property-certificate@1' }) as unknown])
    expect(await disclosures('111', '150102199001010019')).toEqual([])
  })

  test('whoever fetched the file of a document is on the list as well', async () => {
    const { rows } = await sql<{ id: string }>`
      WITH f AS (INSERT INTO file (digest, owner, bytes, media_type, state, stored, writer)
        VALUES (${`sha-256:${'A'.repeat(43)}`}, ${AUTHORITY}, 9, 'application/ofd', 'complete', 9, gen_random_uuid())
        RETURNING id, digest),
      n AS (INSERT INTO file_naming (exchange, file, iss, field, expires_at)
        SELECT d.exchange, f.id, ${AUTHORITY}, 'copy', now() FROM document d, f WHERE d.contract = 'business-licence@1')
      INSERT INTO file_fetch (file, digest, party, first_byte, last_byte)
      SELECT id, digest, ${UTILITY}, b, 8 FROM f, unnest(ARRAY[0, 5]) b RETURNING file AS id`.execute(hub.core.db)
    expect(rows).toHaveLength(2)
    expect((await disclosures('001', COMPANY)).filter(({ way }) => way === 'file')).toEqual([
      expect.objectContaining({ party: UTILITY, digest: `sha-256:${'A'.repeat(43)}` }),
    ])
  })

  test('disputes are listed by the command with their due days', async () => {
    const disputeNo = newNumber('YY')
    await push(
      {
        contract: 'data-dispute@1',
        sub: disputeNo,
        data: {
          disputeNo,
          provider: AUTHORITY,
          document: {
            contract: 'business-licence@1',
            identifier: licence(COMPANY).data['certificateIdentifier'] ?? '',
          },
          fields: ['premises'],
          reason: '门牌号有误',
          raisedBy: 'SUBJECT',
          raisedAt: new Date().toISOString(),
        },
      },
      'platform-chifeng',
    )
    await sql`UPDATE dispute SET opened_at = now(), due_on = '2026-01-09', is_provisional = false`.execute(hub.core.db)
    const { dataDir } = hub.core.config
    const { stdout, stderr } = spawnSync(process.execPath, [join(PROJECT_ROOT, 'src/main.ts'), 'subject', 'disputes'], {
      encoding: 'utf8',
      env: { ...process.env, DATA_DIR: dataDir, DATABASE_URL: databaseUrl },
    })
    expect(ndjson(stdout)).toEqual([
      expect.objectContaining({ disputeNo, provider: AUTHORITY, dueOn: '2026-01-09', overdue: true }),
    ])
    expect(stderr).toContain('1 disputes, 1 overdue')
  })
})
