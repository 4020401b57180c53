import { sql } from 'kysely'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { consentLookUps } from '#compose-consents.ts'
import { openedDocuments, sealedAccesses } from '#compose-vault.ts'
import { claimsOf } from '#delivery/outcomes.ts'
import { query } from '#documents/query.ts'
import type { JsonObject } from '#kernel/json.ts'
import type { AccessRow } from '#store/access-queries.ts'
import type { CaseQuestion } from '#store/document-queries.ts'
import { application, licence, newNumber } from '../gateway/messages.ts'
import { consent, withdrawal } from '../gateway/rights-messages.ts'
import { withDatabase } from '../support/database.ts'
import { type Answer, at, openTestHub, type TestHub, type TestParty } from '../support/hub.ts'

const COMPANY = '91150402MADEM002XN'
const OTHER_COMPANY = '91150404MADEM00624'

withDatabase('consents', (databaseUrl) => {
  let hub: TestHub
  let utility: TestParty
  let platform: TestParty
  const caseNo = newNumber('ME')
  beforeAll(async () => {
    hub = await openTestHub(databaseUrl)
    utility = hub.party('state-grid-east')
    platform = hub.party('platform-chifeng')
    await accepted(hub.party('market-regulation-nmg'), licence(COMPANY))
    await accepted(utility, application(caseNo, { applicant: COMPANY }))
  })
  afterAll(() => hub.close())

  async function accepted(party: TestParty, message: Parameters<TestParty['push']>[0]): Promise<string> {
    const answer = await party.push(message)
    expect(answer.status, answer.text).toBe(202)
    return String((await hub.verified(answer.text))['exchange'])
  }
  /** A recorded consent under a new reference. */
  async function granted(data: JsonObject = {}, uscc = COMPANY, by = platform): Promise<string> {
    const ref = newNumber('CF')
    await accepted(by, consent(ref, uscc, data))
    await hub.settle()
    return ref
  }
  const question = (consentRef: string | undefined, change: object = {}): object => ({
    contract: 'business-licence-query@1',
    sub: COMPANY,
    purpose: 'power-connection',
    legalBasis: 'consent',
    item: '11150000MB0000000X2000199001000',
    operator: 'staff-0042',
    caseNo,
    consentRef,
    ...change,
  })
  const ask = (consentRef: string | undefined, change?: object): Promise<Answer> =>
    utility.ask(question(consentRef, change))
  const told = ({ status, json }: Answer): unknown[] => [
    status,
    json['code'],
    ...((json['violations'] ?? []) as unknown as { rule: string }[]).map(({ rule }) => rule),
  ]
  const fieldsOf = async (answer: Answer): Promise<string[]> => {
    expect(answer.status, answer.text).toBe(200)
    return Object.keys(at(await hub.verified(answer.text), 'documents', 0, 'data') as JsonObject).toSorted()
  }

  test('a recorded consent opens the fields that it names, and the record says what the access rested on', async () => {
    const ref = await granted({ documents: [{ document: 'business-licence@1', fields: ['entityName', 'holders'] }] })
    const answer = await ask(ref)
    expect(await fieldsOf(answer)).toEqual(['entityName'])
    const { rows } = await sql`
      SELECT consent_issuer, consent_ref, fields, legal_basis FROM access_record WHERE consent_ref = ${ref}`.execute(
      hub.core.db,
    )
    expect(rows).toEqual([
      { consent_issuer: 'platform-chifeng', consent_ref: ref, fields: ['entityName'], legal_basis: 'consent' },
    ])
  })

  test('a consent that names no fields opens what is granted', async () => {
    const all = await fieldsOf(await ask(await granted()))
    expect(all).toEqual(await fieldsOf(await ask(undefined, { legalBasis: 'duty' })))
  })

  test('it begins and ends with its days in Asia/Shanghai', async () => {
    const today = new Date(Date.now() + 8 * 3_600_000).toISOString().slice(0, 10)
    expect((await ask(await granted({ validFrom: today, validTo: today }))).status).toBe(200)
  })

  const misfits: readonly [string, JsonObject, object, string[]][] = [
    ['another purpose', { purpose: 'power-transfer' }, {}, ['consent.purpose']],
    ['days that are over', { validTo: '2026-01-02' }, {}, ['consent.validity']],
    ['days to come', { validFrom: '2099-01-01' }, {}, ['consent.validity']],
    ['another document', { documents: [{ document: 'property-certificate@1' }] }, {}, ['consent.document']],
    [
      'fewer fields than are asked for',
      { documents: [{ document: 'business-licence@1', fields: ['status'] }] },
      { fields: ['status', 'entityName'] },
      ['consent.field'],
    ],
    ['two things at once', { purpose: 'other', validTo: '2026-01-02' }, {}, ['consent.validity', 'consent.purpose']],
    ['another recipient', { recipient: 'inner-mongolia-power' }, {}, ['consent']],
    ['another subject', { subject: { idTypeCode: '001', idNumber: OTHER_COMPANY } }, {}, ['consent']],
  ]
  test.each(misfits)('a consent to %s is refused, naming what does not fit', async (_name, data, change, rules) => {
    const answer = await ask(await granted(data), change)
    expect(told(answer)).toEqual([403, 'query.consent_missing', ...rules])
    const { rows } = await sql`SELECT code, violations FROM refusal ORDER BY refused_at DESC LIMIT 1`.execute(
      hub.core.db,
    )
    expect(rows).toMatchObject([{ code: 'query.consent_missing', violations: rules.map((rule) => ({ rule })) }])
  })

  test('a consent of somebody else, about somebody else, and none at all are told in the same words', async () => {
    const answers = [
      await ask(await granted({ recipient: 'inner-mongolia-power' })),
      await ask(await granted({}, OTHER_COMPANY)),
      await ask(newNumber('NO')),
      await ask(undefined),
    ]
    const words = answers.map(({ json }) => JSON.stringify({ ...json, instance: '', refusal: '' }))
    expect(new Set(words).size).toBe(1)
  })

  test('of a query for several documents a consent must name those that are asked for, and no others', async () => {
    const bundle = { contract: 'one-licence-bundle@1' }
    const ref = await granted()
    expect(told(await ask(ref, bundle))).toEqual([403, 'query.consent_missing', 'consent.document'])
    const answer = await ask(ref, { ...bundle, fields: ['business-licence.entityName'] })
    expect(await fieldsOf(answer)).toEqual(['entityName'])
    const both = await granted({
      documents: [{ document: 'business-licence@1', fields: ['status'] }, { document: 'property-certificate@1' }],
    })
    expect(await fieldsOf(await ask(both, bundle))).toEqual(['status'])
  })

  test('a consent opens no case: the subject must still be the applicant of an open one', async () => {
    expect(told(await ask(await granted(), { caseNo: newNumber('NO') }))).toEqual([403, 'query.case_mismatch', 'case'])
  })

  test('a withdrawal counts from its receipt on, though no loop of the hub has run', async () => {
    const ref = await granted()
    expect((await ask(ref)).status).toBe(200)
    await accepted(platform, withdrawal(ref))
    expect(told(await ask(ref))).toEqual([403, 'query.consent_missing', 'consent.withdrawn'])
    await hub.settle()
    expect(told(await ask(ref))).toEqual([403, 'query.consent_missing', 'consent.withdrawn'])
  })

  test('a withdrawal through another gateway stops this one', async () => {
    const second = await openTestHub(databaseUrl, { DATA_DIR: hub.core.config.dataDir })
    try {
      const ref = await granted()
      expect((await second.party('platform-chifeng').push(withdrawal(ref))).status).toBe(202)
      expect(told(await ask(ref))).toEqual([403, 'query.consent_missing', 'consent.withdrawn'])
    } finally {
      await second.close()
    }
  })

  test('a withdrawal that comes before its consent keeps it from ever counting', async () => {
    const ref = newNumber('CF')
    await accepted(platform, withdrawal(ref))
    await accepted(platform, consent(ref, COMPANY))
    await hub.settle()
    expect(told(await ask(ref))).toEqual([403, 'query.consent_missing', 'consent.withdrawn'])
  })

  test('nobody withdraws what another party recorded', async () => {
    const ref = await granted()
    await accepted(hub.party('platform-hohhot'), withdrawal(ref))
    expect((await ask(ref)).status).toBe(200)
  })

  test('an answer under way is withheld when the consent is withdrawn meanwhile, and no access is recorded', async () => {
    const ref = await granted()
    const deps = {
      ...hub.core,
      hubId: hub.core.config.hubId,
      claimsOf,
      ...consentLookUps(hub.core),
      findCaseDocuments: async (one: CaseQuestion) => {
        const [found] = await openedDocuments(hub.core.db, hub.core.vault, [one])
        return found ?? { caseId: undefined, subjectKeys: [], openedBy: undefined, documents: [] }
      },
      caseRecord: async () => undefined,
      recordAccess: async (row: AccessRow) => {
        await accepted(platform, withdrawal(ref))
        return (await sealedAccesses(hub.core, [row]))[0] ?? 'replayed'
      },
    }
    const result = await query(deps, utility.sign('query+jwt', question(ref)))
    expect(result).toMatchObject({
      kind: 'refused',
      error: { code: 'query.consent_missing', violations: [{ rule: 'consent.withdrawn' }] },
    })
    const { rows } = await sql`SELECT FROM access_record WHERE consent_ref = ${ref}`.execute(hub.core.db)
    expect(rows).toEqual([])
  })

  test('under one reference the first consent counts; two issuers may use the same reference', async () => {
    const ref = await granted({ documents: [{ document: 'business-licence@1', fields: ['status'] }] })
    await accepted(platform, consent(ref, COMPANY))
    await hub.settle()
    expect(await fieldsOf(await ask(ref))).toEqual(['status'])
    await accepted(hub.party('platform-nmg'), consent(ref, COMPANY))
    await hub.settle()
    expect((await ask(ref, { fields: ['entityName'] })).status).toBe(200)
    await accepted(platform, withdrawal(ref))
    expect((await ask(ref, { fields: ['entityName'] })).status).toBe(200)
  })

  test('a utility records no consent to itself, and nothing weaker than the party’s own signature does', async () => {
    const own = await utility.push(consent(newNumber('CF'), COMPANY))
    expect(told(own)).toEqual([403, 'right.missing', 'send:consent-grant@1'])
    await sql`UPDATE party_key SET agent = 'an-agent' WHERE party = 'platform-hohhot'`.execute(hub.core.db)
    await hub.core.register.refresh()
    const byAgent = hub.party('platform-hohhot').exchange(consent(newNumber('CF'), COMPANY), { act: 'an-agent' })
    expect(told(await hub.post('/v1/exchanges', byAgent))).toEqual([403, 'right.missing', 'origin:party-signed'])
    await sql`UPDATE party_key SET agent = NULL WHERE party = 'platform-hohhot'`.execute(hub.core.db)
    await hub.core.register.refresh()
  })

  test('a platform may be neither issuer and recipient, nor end a consent before it begins', async () => {
    const own = await platform.push(consent(newNumber('CF'), COMPANY, { recipient: 'platform-chifeng' }))
    expect(told(own)).toEqual([422, 'contract.rule_violated', 'not-to-itself'])
    const days = { validFrom: '2026-02-02', validTo: '2026-02-01' }
    const ended = await platform.push(consent(newNumber('CF'), COMPANY, days))
    expect(told(ended)).toEqual([422, 'contract.rule_violated', 'ends-after-it-begins'])
  })

  test('what is stored of a consent names nobody', async () => {
    const ref = await granted()
    const { rows } = await sql<{ text: string }>`
      SELECT row_to_json(c)::text AS text FROM consent c WHERE ref = ${ref}`.execute(hub.core.db)
    expect(rows).toHaveLength(1)
    expect(rows[0]?.text).not.toContain(COMPANY)
  })
})
