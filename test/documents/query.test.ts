import { createHash, randomUUID } from 'node:crypto'
import { createLocalJWKSet, type JSONWebKeySet, jwtVerify } from 'jose'
import { sql } from 'kysely'
import { afterAll, beforeAll, expect, test } from 'vitest'
import type { JsonObject } from '#kernel/json.ts'
import { giveBack } from '#store/access-queries.ts'
import { openDb } from '#store/db.ts'
import { application, licence, newNumber } from '../gateway/messages.ts'
import { withDatabase } from '../support/database.ts'
import { type Answer, at, openTestHub, type TestHub, type TestParty } from '../support/hub.ts'

const COMPANY = '91150402MADEM002XN'
const WITHDRAWN = '91150404MADEM00624'
const PAST_ITS_LAST_DAY = '91150702MADEM0070H'
const UNPUBLISHED = '91150429MADEM0046M'

const GRANTED = [
  'certificateIdentifier',
  'certificateName',
  'certificateNumber',
  'entityName',
  'entityType',
  'responsiblePerson',
  'premises',
  'validFrom',
  'validTo',
  'registrationStatus',
  'status',
  'statusTime',
  'copy',
]

withDatabase('POST /v1/queries', (databaseUrl) => {
  let hub: TestHub
  let utility: TestParty
  let authority: TestParty
  const caseOf = new Map<string, string>()
  beforeAll(async () => {
    hub = await openTestHub(databaseUrl)
    utility = hub.party('state-grid-east')
    authority = hub.party('market-regulation-nmg')
    for (const uscc of [COMPANY, WITHDRAWN, PAST_ITS_LAST_DAY]) await accepted(authority, licence(uscc))
    for (const uscc of [COMPANY, WITHDRAWN, PAST_ITS_LAST_DAY, UNPUBLISHED]) {
      const number = newNumber('ME')
      caseOf.set(uscc, number)
      await accepted(utility, application(number, { applicant: uscc }))
    }
    await hub.settle()
  })
  afterAll(() => hub.close())

  async function accepted(party: TestParty, message: Parameters<TestParty['push']>[0]): Promise<void> {
    const answer = await party.push(message)
    expect(answer.status, answer.text).toBe(202)
  }

  const question = (uscc: string, change: object = {}): object => ({
    contract: 'business-licence-query@1',
    sub: uscc,
    purpose: 'power-connection',
    legalBasis: 'duty',
    item: '11150000MB0000000X2000199001000',
    operator: 'staff-0042',
    caseNo: caseOf.get(uscc),
    ...change,
  })

  async function documents(answer: Answer): Promise<JsonObject[]> {
    expect(answer.status, answer.text).toBe(200)
    return (await hub.verified(answer.text))['documents'] as unknown as JsonObject[]
  }

  test('the answer holds the licence with the granted fields and nothing else', async () => {
    const answer = await utility.ask(question(COMPANY))
    expect(answer.headers.get('content-type')).toBe('application/jwt')
    expect(answer.headers.get('cache-control')).toBe('no-store')
    const [document, ...others] = await documents(answer)
    expect(others).toEqual([])
    expect(document).toMatchObject({
      document: 'business-licence@1',
      issuer: 'market-regulation-nmg',
      status: 'ACTIVE',
      proof: 'hub',
    })
    const names = Object.keys(document?.['data'] as JsonObject)
    expect(names.filter((name) => !GRANTED.includes(name))).toEqual([])
    expect(at(document, 'data', 'certificateNumber')).toBe(COMPANY)
    for (const hidden of ['holders', 'businessScope', 'registeredCapital']) {
      expect(answer.text.includes(hidden) || JSON.stringify(document).includes(hidden)).toBe(false)
    }
  })

  test('fields that are asked for narrow the answer further', async () => {
    const [document] = await documents(await utility.ask(question(COMPANY, { fields: ['entityName', 'status'] })))
    expect(Object.keys(document?.['data'] as JsonObject).toSorted()).toEqual(['entityName', 'status'])
  })

  test('anybody verifies the answer with the published keys, and it is bound to this very query', async () => {
    const token = utility.sign('query+jwt', question(COMPANY))
    const answer = await hub.post('/v1/queries', token)
    const keys = createLocalJWKSet((await hub.request('/.well-known/jwks.json')).json as unknown as JSONWebKeySet)
    const { payload, protectedHeader } = await jwtVerify(answer.text, keys, {
      issuer: 'dianqiao',
      audience: 'state-grid-east',
      typ: 'answer+jwt',
      requiredClaims: ['iat', 'exp', 'jti', 'asOf'],
    })
    expect(protectedHeader.typ).toBe('answer+jwt')
    const asked = JSON.parse(Buffer.from(token.split('.')[1] ?? '', 'base64url').toString()) as JsonObject
    expect(payload['of']).toEqual({
      iss: 'state-grid-east',
      jti: asked['jti'],
      tokenDigest: `sha-256:${createHash('sha256').update(token).digest('base64url')}`,
    })
    const { rows } = await sql<{ token: Buffer }>`
      SELECT token FROM exchange WHERE contract = 'business-licence@1' AND sub = ${COMPANY}`.execute(hub.core.db)
    const original = createHash('sha256').update(hub.opened(rows[0]?.token)).digest('base64url')
    expect(at(payload as JsonObject, 'documents', 0, 'originalDigest')).toBe(`sha-256:${original}`)
  })

  test('one of before its data was kept beside its token is answered alike', async () => {
    const { db } = hub.core
    const lastRecord = async (): Promise<unknown> =>
      (await sql`SELECT fields, documents FROM access_record ORDER BY answered_at DESC LIMIT 1`.execute(db)).rows
    const answered = async (): Promise<unknown[]> => [
      await documents(await utility.ask(question(COMPANY))),
      await lastRecord(),
    ]
    const now = await answered()
    await db.transaction().execute(async (tx) => {
      await sql`CREATE TABLE kept AS SELECT * FROM document`.execute(tx)
      await sql`UPDATE document SET pointer = NULL, data = NULL, token_digest = NULL`.execute(tx)
    })
    try {
      expect(await answered()).toEqual(now)
    } finally {
      await sql`UPDATE document d SET pointer = k.pointer, data = k.data, token_digest = k.token_digest
        FROM kept k WHERE (k.contract, k.identifier) = (d.contract, d.identifier)`.execute(db)
      await sql`DROP TABLE kept`.execute(db)
    }
  })

  test('a withdrawn licence is reported WITHDRAWN, one past its last day EXPIRED, an unknown one not at all', async () => {
    expect((await documents(await utility.ask(question(WITHDRAWN))))[0]?.['status']).toBe('WITHDRAWN')
    expect((await documents(await utility.ask(question(PAST_ITS_LAST_DAY))))[0]).toMatchObject({
      status: 'EXPIRED',
      validTo: '2025-12-31',
    })
    expect(await documents(await utility.ask(question(UNPUBLISHED)))).toEqual([])
  })

  test('a licence is valid through its last day in Asia/Shanghai and expired the day after', async () => {
    const day = (offset: number): string =>
      new Date(Date.now() + (8 * 3_600 + offset * 86_400) * 1_000).toISOString().slice(0, 10)
    for (const [version, offset, status] of [
      ['002', 0, 'ACTIVE'],
      ['003', -1, 'EXPIRED'],
    ] as const) {
      const statusTime = `2026-02-0${version.at(-1)}T09:30:00+08:00`
      const validTo = day(offset)
      await accepted(authority, licence(PAST_ITS_LAST_DAY, { certificateVersion: version, statusTime, validTo }))
      expect((await documents(await utility.ask(question(PAST_ITS_LAST_DAY))))[0]).toMatchObject({ status, validTo })
    }
  })

  test('an older version that arrives late does not bring back what it was', async () => {
    const newer = { certificateVersion: '009', statusTime: '2026-03-01T00:00:00+08:00', status: '04' }
    const older = { certificateVersion: '008', statusTime: '2026-02-20T00:00:00+08:00', status: '01' }
    const uscc = '91150102MADEM0011F'
    const number = newNumber('ME')
    await accepted(authority, licence(uscc, newer))
    await accepted(authority, licence(uscc, older))
    await accepted(utility, application(number, { applicant: uscc }))
    await hub.settle()
    const answer = await utility.ask(question(uscc, { caseNo: number }))
    expect((await documents(answer)).map(({ status }) => status)).toEqual(['CANCELLED'])
  })

  const denied: readonly [string, number, string, object, string?][] = [
    ['a field outside the grant', 403, 'query.grant_missing', { fields: ['entityName', 'holders'] }, '/fields/1'],
    ['a purpose without a grant', 403, 'query.grant_missing', { purpose: 'power-transfer' }, '/purpose'],
    ['a legal basis without a grant', 403, 'query.grant_missing', { legalBasis: 'mandate' }, '/purpose'],
    ['a consent that nobody recorded', 403, 'query.consent_missing', { legalBasis: 'consent' }, '/consentRef'],
    ['no case', 403, 'query.case_mismatch', { caseNo: undefined }, '/caseNo'],
    ['a number that names no case', 403, 'query.case_mismatch', { caseNo: 'ME-NOTHING' }, '/caseNo'],
    [
      'a session that nobody opened',
      403,
      'query.case_mismatch',
      { caseNo: undefined, session: 'abcdefgh' },
      '/session',
    ],
    ['a contract that is not for queries', 422, 'contract.kind_wrong', { contract: 'business-licence@1' }],
    ['an unknown contract', 422, 'contract.unknown', { contract: 'nothing@1' }],
    ['a subject that is no USCC', 422, 'contract.schema_violated', { sub: '91150402MADEM002X0' }],
    ['an obo without a mandate', 403, 'right.no_mandate', { obo: 'inner-mongolia-power' }],
    ['no operator', 422, 'token.claims_invalid', { operator: undefined }],
    ['no item', 422, 'token.claims_invalid', { item: undefined }],
    ['an expired query', 401, 'token.expired', { iat: 1_700_000_000, exp: 1_700_000_100 }],
    ['another hub', 401, 'token.audience_wrong', { aud: 'elsewhere' }],
  ]
  test.each(denied)('%s is %i %s, signed, and no access', async (_name, status, code, change, pointer) => {
    const before = await accessCount()
    const answer = await utility.ask(question(COMPANY, change))
    expect([answer.status, answer.json['code']]).toEqual([status, code])
    expect(await hub.verified(answer.json['refusal'])).toMatchObject({ problem: { code, status } })
    if (pointer !== undefined) expect(at(answer.json, 'violations', 0, 'pointer')).toBe(pointer)
    expect(await accessCount()).toBe(before)
  })

  const accessCount = async (): Promise<number> =>
    (await sql`SELECT 1 FROM access_record`.execute(hub.core.db)).rows.length

  test('a case of somebody else, and a subject who is not the applicant, are told alike', async () => {
    const other = await hub.party('inner-mongolia-power').ask(question(COMPANY))
    const notApplicant = await utility.ask(question(WITHDRAWN, { caseNo: caseOf.get(COMPANY) }))
    for (const answer of [other, notApplicant]) {
      expect([answer.status, answer.json['code']]).toEqual([403, 'query.case_mismatch'])
    }
    const told = ({ json }: Answer): JsonObject => ({ ...json, instance: '', refusal: '' })
    expect(told(other)).toEqual(told(notApplicant))
  })

  test('a platform has no right to ask, and a closed case gives none', async () => {
    const platform = await hub.party('platform-chifeng').ask(question(COMPANY))
    expect([platform.status, platform.json['code']]).toEqual([403, 'right.missing'])
    const number = newNumber('ME')
    await accepted(utility, application(number, { applicant: COMPANY }))
    await hub.settle()
    await sql`UPDATE case_file SET state = 'closed' WHERE id IN
      (SELECT case_id FROM case_alias WHERE number = ${number})`.execute(hub.core.db)
    expect((await utility.ask(question(COMPANY, { caseNo: number }))).json['code']).toBe('query.case_mismatch')
  })

  test('a grant that has ended grants nothing', async () => {
    await sql`UPDATE access_grant SET valid_to = now() WHERE party = 'state-grid-east'`.execute(hub.core.db)
    await hub.core.register.refresh()
    expect((await utility.ask(question(COMPANY))).json['code']).toBe('query.grant_missing')
    await sql`UPDATE access_grant SET valid_to = NULL WHERE party = 'state-grid-east'`.execute(hub.core.db)
    await hub.core.register.refresh()
    expect((await utility.ask(question(COMPANY))).status).toBe(200)
  })

  test('a used jti is 409, however it is signed, and never a second disclosure', async () => {
    const jti = randomUUID()
    expect((await utility.ask(question(COMPANY, { jti }))).status).toBe(200)
    const before = await accessCount()
    const again = await utility.ask(question(COMPANY, { jti }))
    expect([again.status, again.json['code']]).toEqual([409, 'query.replayed'])
    expect(again.text).not.toContain('entityName')
    const at_once = await Promise.all(
      Array.from({ length: 8 }, () => utility.ask(question(COMPANY, { jti: `${jti}-2` }))),
    )
    expect(at_once.map(({ status }) => status).toSorted()).toEqual([200, 409, 409, 409, 409, 409, 409, 409])
    expect(await accessCount()).toBe(before + 1)
  })

  const setCaps = async (caps: { party?: number; operator?: number; subject?: number }): Promise<void> => {
    await sql`UPDATE access_grant SET cap_party = ${caps.party ?? null}, cap_operator = ${caps.operator ?? null},
      cap_subject = ${caps.subject ?? null} WHERE party = 'state-grid-east'`.execute(hub.core.db)
    await giveBack(hub.core.db, hub.core.capReserve)
    await sql`DELETE FROM grant_usage`.execute(hub.core.db)
    await hub.core.register.refresh()
  }

  /** How many of so many queries at once, in turns through two gateways, are answered; all others reach the cap. */
  async function answeredThroughTwo(queries: number): Promise<number> {
    const second = await openTestHub(databaseUrl, { DATA_DIR: hub.core.config.dataDir })
    try {
      const before = await accessCount()
      const answers = await Promise.all(
        Array.from({ length: queries }, (_, n) =>
          (n % 2 === 0 ? hub : second).post('/v1/queries', utility.sign('query+jwt', question(COMPANY))),
        ),
      )
      const codes = answers.map(({ status, json }) => (status === 200 ? 'answered' : json['code']))
      const answered = codes.filter((code) => code === 'answered').length
      expect(codes.filter((code) => code === 'query.cap_reached')).toHaveLength(queries - answered)
      expect(await accessCount()).toBe(before + answered)
      return answered
    } finally {
      await second.close()
      await setCaps({})
    }
  }

  test('64 queries at once through two gateways never get more answers than the cap', async () => {
    await setCaps({ party: 20 })
    expect(await answeredThroughTwo(64)).toBe(20)
  })

  test('a cap that gateways count ahead is never passed, and all but a hundredth for each of them is used', async () => {
    await setCaps({ party: 100 })
    const answered = await answeredThroughTwo(164)
    expect(answered).toBeLessThanOrEqual(100)
    expect(answered).toBeGreaterThanOrEqual(98)
  })

  test.each([
    ['party', { party: 1 }, {}, '/sub'],
    ['operator', { operator: 1 }, { operator: 'staff-0043' }, '/operator'],
    ['subject', { subject: 1 }, { sub: WITHDRAWN }, '/sub'],
  ] as const)(
    'a cap per %s is told with its scope and the time to wait, and counts nobody else',
    async (scope, caps, other, pointer) => {
      await setCaps(caps)
      expect((await utility.ask(question(COMPANY))).status).toBe(200)
      const refused = await utility.ask(question(COMPANY))
      expect([refused.status, refused.json['code']]).toEqual([429, 'query.cap_reached'])
      expect(at(refused.json, 'violations', 0)).toMatchObject({ pointer, rule: `cap.${scope}` })
      const { rows } = await sql`
        SELECT decided_by, violations FROM refusal ORDER BY refused_at DESC LIMIT 1`.execute(hub.core.db)
      expect(rows).toEqual([
        {
          decided_by: 'state-grid-east:business-licence-query@1:power-connection',
          violations: [{ pointer, rule: `cap.${scope}` }],
        },
      ])
      expect(Number(refused.headers.get('retry-after'))).toBeGreaterThan(0)
      expect(Number(refused.headers.get('retry-after'))).toBeLessThanOrEqual(86_400)
      const subject = 'sub' in other ? { sub: other.sub, caseNo: caseOf.get(other.sub) } : other
      expect((await utility.ask(question(COMPANY, subject))).status).toBe(scope === 'party' ? 429 : 200)
      await setCaps({})
    },
  )

  test('a grant that is bound to a network is refused elsewhere', async () => {
    await sql`UPDATE access_grant SET networks = '{10.1.0.0/16}' WHERE party = 'state-grid-east'`.execute(hub.core.db)
    await hub.core.register.refresh()
    const refused = await utility.ask(question(COMPANY))
    expect(at(refused.json, 'violations', 0, 'rule')).toBe('grant.network')
    await sql`UPDATE access_grant SET networks = NULL WHERE party = 'state-grid-east'`.execute(hub.core.db)
    await hub.core.register.refresh()
  })

  test('a refused query leaves its jti free', async () => {
    const jti = randomUUID()
    expect((await utility.ask(question(COMPANY, { jti, fields: ['holders'] }))).status).toBe(403)
    expect((await utility.ask(question(COMPANY, { jti }))).status).toBe(200)
  })

  test('the access is recorded before the answer leaves', async () => {
    const blocker = openDb(databaseUrl, { max: 1 })
    const jti = randomUUID()
    let answered = false
    try {
      const asked = await blocker.transaction().execute(async (tx) => {
        await sql`LOCK TABLE access_record IN EXCLUSIVE MODE`.execute(tx)
        const pending = utility.ask(question(COMPANY, { jti })).then((answer) => {
          answered = true
          return answer
        })
        await new Promise((resolve) => setTimeout(resolve, 300))
        expect(answered).toBe(false)
        return { pending }
      })
      const answer = await asked.pending
      const digest = createHash('sha256').update(answer.text).digest('base64url')
      const { rows } = await sql<JsonObject>`
        SELECT iss, contract, purpose, legal_basis, operator, access_grant, fields, answer_digest, subject_key
        FROM access_record WHERE jti = ${jti}`.execute(hub.core.db)
      expect(rows[0]).toMatchObject({
        iss: 'state-grid-east',
        contract: 'business-licence-query@1',
        purpose: 'power-connection',
        legal_basis: 'duty',
        operator: 'staff-0042',
        access_grant: 'state-grid-east:business-licence-query@1:power-connection',
        answer_digest: `sha-256:${digest}`,
      })
      expect(JSON.stringify({ ...rows[0], token: '' })).not.toContain(COMPANY)
    } finally {
      await blocker.destroy()
    }
  })

  test('where the access cannot be recorded nothing is answered', async () => {
    await sql`ALTER TABLE access_record RENAME TO access_record_away`.execute(hub.core.db)
    const answer = await utility.ask(question(COMPANY))
    await sql`ALTER TABLE access_record_away RENAME TO access_record`.execute(hub.core.db)
    expect(answer.status).toBeGreaterThanOrEqual(500)
    expect(answer.text).not.toContain('entityName')
  })
})
