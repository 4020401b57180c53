import { sql } from 'kysely'
import { afterAll, beforeAll, expect, test } from 'vitest'
import type { JsonObject } from '#kernel/json.ts'
import { licence, newNumber } from '../gateway/messages.ts'
import { assertion, consent, documents, withdrawal } from '../gateway/rights-messages.ts'
import { withDatabase } from '../support/database.ts'
import { type Answer, at, openTestHub, type TestHub, type TestParty } from '../support/hub.ts'

const RESIDENT = '150402198512310023'
const OWN_PROPERTY = '蒙（2019）赤峰市不动产权第0004321号'
const COMPANY = '91150402MADEM002XN'
const ago = (minutes: number): string => new Date(Date.now() - minutes * 60_000).toISOString()

withDatabase('pre-case sessions', (databaseUrl) => {
  let hub: TestHub
  let utility: TestParty
  let authority: TestParty
  beforeAll(async () => {
    hub = await openTestHub(databaseUrl)
    utility = hub.party('state-grid-east')
    authority = hub.party('public-security-nmg')
    await accepted(hub.party('market-regulation-nmg'), licence(COMPANY))
    for (const { sender, message } of documents()) await accepted(hub.party(sender), message)
  })
  afterAll(() => hub.close())

  async function accepted(party: TestParty, message: Parameters<TestParty['push']>[0]): Promise<void> {
    const answer = await party.push(message)
    expect(answer.status, answer.text).toBe(202)
  }
  /** A session that an assertion opened. */
  async function opened(data: JsonObject = {}): Promise<string> {
    const id = newNumber('AS')
    await accepted(authority, assertion(id, data))
    await hub.settle()
    return id
  }
  async function granted(data: JsonObject, uscc = COMPANY): Promise<string> {
    const ref = newNumber('CF')
    await accepted(hub.party('platform-chifeng'), consent(ref, uscc, data))
    await hub.settle()
    return ref
  }
  const question = (session: string, change: object = {}): object => ({
    contract: 'property-verification@1',
    sub: OWN_PROPERTY,
    purpose: 'power-connection',
    legalBasis: 'duty',
    item: '11150000MB0000000X2000199001000',
    operator: 'staff-0042',
    session,
    ...change,
  })
  const ask = (session: string, change?: object): Promise<Answer> => utility.ask(question(session, change))
  const told = ({ status, json }: Answer): unknown[] => [
    status,
    json['code'],
    ...((json['violations'] ?? []) as unknown as { rule: string }[]).map(({ rule }) => rule),
  ]

  test('a fresh assertion opens one for whom it is about, though there is no case', async () => {
    const session = await opened()
    const answer = await ask(session)
    expect(answer.status, answer.text).toBe(200)
    expect(at(await hub.verified(answer.text), 'parts', 0)).toMatchObject({ matched: true, verdict: 'valid' })
    const { rows } = await sql`SELECT session, case_id FROM access_record WHERE session = ${session}`.execute(
      hub.core.db,
    )
    expect(rows).toEqual([{ session, case_id: null }])
  })

  test('it opens nothing of anybody else', async () => {
    const answer = await ask(await opened(), { sub: '蒙（2021）赤峰市不动产权第0001234号' })
    expect(answer.status).toBe(200)
    expect(at(await hub.verified(answer.text), 'parts', 0)).toMatchObject({ matched: false, documents: 0 })
    const company = await ask(await opened(), { contract: 'business-licence-query@1', sub: COMPANY })
    expect(told(company)).toEqual([403, 'query.case_mismatch', 'session.subject'])
  })

  const misfits: readonly [string, JsonObject, object, string[]][] = [
    ['name and number that were only matched', { assuranceLevel: 3 }, {}, ['session.level']],
    ['somebody who did not match', { matchResult: 'NOT_MATCHED' }, {}, ['session.level']],
    ['a verification of eleven minutes ago', { verifiedAt: ago(11) }, {}, ['session.stale']],
    ['an assertion that has expired', { verifiedAt: ago(5), expiresAt: ago(1) }, {}, ['session.expired']],
    ['another purpose', { purpose: 'power-transfer' }, {}, ['session.purpose']],
    ['another audience', { audience: 'inner-mongolia-power' }, {}, ['session']],
    ['several faults', { assuranceLevel: 2, purpose: 'other' }, {}, ['session.level', 'session.purpose']],
  ]
  test.each(misfits)('%s opens none that serves, and the query is told why', async (_name, data, change, rules) => {
    expect(told(await ask(await opened(data), change))).toEqual([403, 'query.case_mismatch', ...rules])
  })

  test('one of another audience and none at all are told in the same words', async () => {
    const foreign = await ask(await opened({ audience: 'inner-mongolia-power' }))
    const none = await ask(newNumber('NO'))
    const words = ({ json }: Answer): JsonObject => ({ ...json, instance: '', refusal: '' })
    expect(words(foreign)).toEqual(words(none))
  })

  test('it is over after its time, and the assertion does not open it again', async () => {
    const id = newNumber('AS')
    await accepted(authority, assertion(id))
    await hub.settle()
    await sql`UPDATE session SET opened_at = opened_at - interval '30 minutes', verified_at = verified_at - interval
      '30 minutes' WHERE id = ${id}`.execute(hub.core.db)
    expect(told(await ask(id))).toEqual([403, 'query.case_mismatch', 'session.expired'])
    await accepted(authority, assertion(id))
    await hub.settle()
    expect(told(await ask(id))).toEqual([403, 'query.case_mismatch', 'session.expired'])
  })

  test('a nonce opens one session only', async () => {
    const nonce = await opened()
    expect(told(await ask(await opened({ nonce })))).toEqual([403, 'query.case_mismatch', 'session'])
    expect((await ask(nonce)).status).toBe(200)
  })

  test('a time that the database cannot hold is refused at the door, and stands in no reader’s way', async () => {
    const farAway = new Date(Date.now() + 20 * 3_600_000).toISOString().replace('Z', '+20:00')
    const answer = await authority.push(assertion(newNumber('AS'), { expiresAt: farAway }))
    expect(told(answer)).toEqual([422, 'contract.schema_violated', 'date-time'])
    expect((await ask(await opened())).status).toBe(200)
  })

  test('an assertion that is revoked ends its session', async () => {
    const id = await opened()
    await accepted(authority, assertion(id, { status: '03', statusTime: new Date().toISOString() }))
    await hub.settle()
    expect(told(await ask(id))).toEqual([403, 'query.case_mismatch', 'session.expired'])
  })

  test('how long sessions last, and how old a verification may be, are configured', async () => {
    const { dataDir } = hub.core.config
    const strict = { DATA_DIR: dataDir, SESSION_MS: '1', ASSERTION_MAX_AGE_MS: '30000' }
    const second = await openTestHub(databaseUrl, strict)
    try {
      const answer = await second.party('state-grid-east').ask(question(await opened()))
      expect(told(answer)).toEqual([403, 'query.case_mismatch', 'session.stale', 'session.expired'])
    } finally {
      await second.close()
    }
  })

  test('a session by face needs the separate consent to it, for as long as it is not withdrawn', async () => {
    const subject = { idTypeCode: '111', idNumber: RESIDENT }
    const byFace = (consentRef: string): Promise<string> =>
      opened({ method: 'CTID_0x42', livenessPassed: true, consentRef })
    const refused = [403, 'query.consent_missing', 'consent.face']
    expect(told(await ask(await byFace(newNumber('NO'))))).toEqual(refused)
    expect(told(await ask(await byFace(await granted({ subject }))))).toEqual(refused)
    const face = { alternatives: ['NET_ID', 'COUNTER'] }
    expect(told(await ask(await byFace(await granted({ subject, face, validTo: '2026-01-02' }))))).toEqual(refused)
    const separate = await granted({ subject, face })
    const session = await byFace(separate)
    expect((await ask(session)).status).toBe(200)
    await accepted(hub.party('platform-chifeng'), withdrawal(separate))
    expect(told(await ask(session))).toEqual(refused)
  })

  test('the agent of a company acts under its consent, in a session that was opened under it', async () => {
    const company = { contract: 'business-licence-query@1', sub: COMPANY, legalBasis: 'consent' }
    const consentRef = await granted({ givenBy: 'AGENT' })
    const under = await opened({ consentRef })
    const answer = await ask(under, { ...company, consentRef })
    expect(answer.status, answer.text).toBe(200)
    expect(told(await ask(await opened(), { ...company, consentRef }))).toEqual([
      403,
      'query.case_mismatch',
      'session.subject',
    ])
    await accepted(hub.party('platform-chifeng'), withdrawal(consentRef))
    expect(told(await ask(under, { ...company, consentRef }))).toEqual([
      403,
      'query.consent_missing',
      'consent.withdrawn',
    ])
  })

  test('a consent of the resident serves in the session of the resident', async () => {
    const documentsOf = ['property-certificate@1', 'property-registration-proof@1'].map((document) => ({ document }))
    const subject = { idTypeCode: '111', idNumber: RESIDENT }
    const consentRef = await granted({ subject, documents: documentsOf })
    const session = await opened()
    expect((await ask(session, { legalBasis: 'consent', consentRef })).status).toBe(200)
    const other = await granted({ documents: documentsOf })
    expect(told(await ask(session, { legalBasis: 'consent', consentRef: other }))).toEqual([
      403,
      'query.consent_missing',
      'consent',
    ])
  })

  test('what is stored of a session names nobody', async () => {
    const id = await opened()
    const { rows } = await sql<{ text: string }>`
      SELECT row_to_json(s)::text AS text FROM session s WHERE id = ${id}`.execute(hub.core.db)
    expect(rows).toHaveLength(1)
    expect(rows[0]?.text).not.toContain('NET-7f3a')
  })
})
