import { randomUUID } from 'node:crypto'
import { sql } from 'kysely'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { JsonObject } from '#kernel/json.ts'
import { accessesOf } from '#store/statement-queries.ts'
import { application, documentOf, licence, newNumber, PUBLISHERS, STATED } from '../gateway/messages.ts'
import { withDatabase } from '../support/database.ts'
import { type Answer, at, type Message, openTestHub, type TestHub, type TestParty } from '../support/hub.ts'

const COMPANY = '91150402MADEM002XN'
const RESIDENT = { name: '示例居民甲', idNumber: '150402198512310023' }
/** The register has this one with 15 digits. */
const ELDER = { name: '示例居民丁', idNumber: '150402195112030010' }
const FACTORY = '蒙（2021）赤峰市不动产权第0001234号'
const FLAT = '蒙（2019）赤峰市不动产权第0004321号'
const OLD_HOUSE = '赤房权证红山字第 000123 号'
const ADVANCE = '蒙（2026）赤峰市不动产证明第0000456号'
const MORTGAGE = '蒙（2022）赤峰市不动产证明第0000789号'
const NET_ID = 'NET-7f3a9c01d5e24b68'
const FIELDS = ['currentOwner', 'location', 'matched', 'state', 'unitCode', 'use']

withDatabase('queries for several documents', (databaseUrl) => {
  let hub: TestHub
  let utility: TestParty
  const cases = { company: newNumber('ME'), resident: newNumber('ME'), elder: newNumber('ME'), typo: newNumber('ME') }
  beforeAll(async () => {
    hub = await openTestHub(databaseUrl)
    utility = hub.party('state-grid-east')
    await publish(licence(COMPANY), 'market-regulation-nmg')
    for (const [contract, number] of [
      ['identity-card@1', RESIDENT.idNumber],
      ['property-certificate@1', FACTORY],
      ['property-certificate@1', FLAT],
      ['property-certificate@1', OLD_HOUSE],
      ['property-registration-proof@1', ADVANCE],
      ['property-registration-proof@1', MORTGAGE],
    ] as const) {
      await publish(documentOf(contract, number), PUBLISHERS[contract] ?? '')
    }
    await publish(application(cases.company, { applicant: COMPANY }), 'state-grid-east')
    await publish(application(cases.resident, { resident: RESIDENT }), 'state-grid-east')
    await publish(application(cases.elder, { resident: ELDER }), 'state-grid-east')
    await publish(application(cases.typo, { resident: { ...RESIDENT, name: '示例居民假' } }), 'state-grid-east')
    await hub.settle()
  })
  afterAll(() => hub.close())

  async function publish(message: Message, sender: string): Promise<void> {
    const answer = await hub.party(sender).push(message)
    expect(answer.status, answer.text).toBe(202)
  }
  const ask = (contract: string, sub: string, caseNo: string, change: object = {}): Promise<Answer> =>
    utility.ask({ ...STATED, contract, sub, caseNo, ...change })
  async function answered(answer: Answer): Promise<{ documents: JsonObject[]; parts: JsonObject[] }> {
    expect(answer.status, answer.text).toBe(200)
    const claims = await hub.verified(answer.text)
    return { documents: claims['documents'] as JsonObject[], parts: claims['parts'] as JsonObject[] }
  }
  const verdicts = (parts: readonly JsonObject[]) => parts.map(({ document, verdict }) => [document, verdict])

  describe('the bundle of a company', () => {
    test('is its licence and its property by its USCC, a verdict each, in one access', async () => {
      const jti = randomUUID()
      const { documents, parts } = await answered(await ask('one-licence-bundle@1', COMPANY, cases.company, { jti }))
      expect(verdicts(documents)).toEqual([
        ['business-licence@1', 'valid'],
        ['property-certificate@1', 'valid'],
      ])
      expect(parts).toEqual([
        { document: 'business-licence@1', verdict: 'valid', documents: 1, complete: true },
        { document: 'property-certificate@1', verdict: 'valid', documents: 1, complete: true, matched: true },
      ])
      expect(at(documents[0], 'data', 'certificateNumber')).toBe(COMPANY)
      expect(documents[1]?.['data']).toEqual({
        matched: true,
        currentOwner: true,
        unitCode: '150402003004GB00045F00010001',
        location: '内蒙古自治区赤峰市红山区示例大街 6 号',
        use: '工业用地/厂房',
        state: '1',
      })
      const { rows } = await sql<{ documents: string[] }>`
        SELECT documents FROM access_record WHERE jti = ${jti}`.execute(hub.core.db)
      expect(rows.map((row) => row.documents.length)).toEqual([2])
    })

    test('gives of each document only the fields that are asked for, named with their document', async () => {
      const fields = ['business-licence.entityName', 'property-certificate.currentOwner']
      const { documents } = await answered(await ask('one-licence-bundle@1', COMPANY, cases.company, { fields }))
      expect(documents.map(({ data }) => Object.keys(data as JsonObject))).toEqual([['entityName'], ['currentOwner']])
    })

    test('does not answer a document of which no field is asked for, and tells each provider its own fields', async () => {
      const one = ['business-licence.entityName', 'business-licence.status']
      const two = ['business-licence.entityName', 'property-certificate.matched']
      await sql`DELETE FROM access_record`.execute(hub.core.db)
      const { documents, parts } = await answered(
        await ask('one-licence-bundle@1', COMPANY, cases.company, { fields: one }),
      )
      expect(verdicts(documents)).toEqual([['business-licence@1', 'valid']])
      expect(verdicts(parts)).toEqual([['business-licence@1', 'valid']])
      await answered(await ask('one-licence-bundle@1', COMPANY, cases.company, { fields: two }))
      const groups = await accessesOf(hub.core.db, { from: new Date(0), to: new Date(Date.now() + 1_000) })
      expect(groups.map(({ provider, fields }) => [provider, ...fields]).toSorted()).toEqual([
        ['market-regulation-nmg', 'business-licence.entityName'],
        ['market-regulation-nmg', ...one],
        ['natural-resources-nmg', 'property-certificate.matched'],
      ])
    })

    test.each([
      ['entityName'],
      ['property-certificate.entityName'],
      ['property-certificate.holders'],
      ['business-licence.businessScope'],
    ])('%s is not granted', async (field) => {
      const answer = await ask('one-licence-bundle@1', COMPANY, cases.company, { fields: [field] })
      expect([answer.status, answer.json['code']]).toEqual([403, 'query.grant_missing'])
      expect(at(answer.json, 'violations', 0, 'rule')).toBe('grant.field')
    })

    test('says of what there is none that it was not found', async () => {
      const uscc = '91150404MADEM00624'
      const number = newNumber('ME')
      await publish(application(number, { applicant: uscc }), 'state-grid-east')
      await hub.settle()
      const { documents, parts } = await answered(await ask('one-licence-bundle@1', uscc, number))
      expect(documents).toEqual([])
      expect(parts.map(({ verdict, matched }) => [verdict, matched])).toEqual([
        ['not-found', undefined],
        ['not-found', false],
      ])
    })

    test('tells when a company has more property than is answered', async () => {
      const uscc = '91150702MADEM0070H'
      const number = newNumber('ME')
      await publish(application(number, { applicant: uscc }), 'state-grid-east')
      for (let n = 0; n < 51; n++) {
        const unit = `150702003004GB00045F${String(n).padStart(8, '0')}`
        await publish(property(FACTORY, `PROPERTY-${n}`, { unitCode: unit, holders: [holder('001', uscc)] }), NATURAL)
      }
      await hub.settle()
      const { documents, parts } = await answered(await ask('one-licence-bundle@1', uscc, number))
      expect(documents).toHaveLength(50)
      expect(parts[1]).toMatchObject({ documents: 50, complete: false })
    })
  })

  const NATURAL = 'natural-resources-nmg'
  const holder = (codeTypeCode: string, code: string, name = '示例'): JsonObject => ({ name, code, codeTypeCode })
  /** Another certificate of an older kind, whose identifier is free. */
  const property = (like: string, certificateIdentifier: string, change: JsonObject): Message =>
    documentOf('property-certificate@1', like, { kind: 'OTHER', certificateIdentifier, ...change })

  describe('a property verification', () => {
    const match = async (sub: string, caseNo: string): Promise<JsonObject[]> =>
      (await answered(await ask('property-verification@1', sub, caseNo))).parts

    test.each([
      ['the number with full-width brackets', FLAT],
      ['with half-width brackets', FLAT.replace('（', '(').replace('）', ')')],
      ['the unit code', '150404002001GB00077F00020012'],
      ['the unit code with blanks, in lower case', '150404002001 gb00077 f00020012'],
    ])('finds it by %s, for one of two who own it', async (_name, sub) => {
      const { documents, parts } = await answered(await ask('property-verification@1', sub, cases.resident))
      expect(parts[0]).toMatchObject({ verdict: 'valid', matched: true })
      expect(Object.keys(documents[0]?.['data'] as JsonObject).toSorted()).toEqual(FIELDS)
      expect(JSON.stringify(documents)).not.toContain(RESIDENT.name)
    })

    test('somebody else’s, and what there is not, are told alike', async () => {
      const others = await match(FACTORY, cases.resident)
      expect(others).toEqual(await match('蒙（2021）赤峰市不动产权第9999999号', cases.resident))
      expect(others.map(({ verdict, matched }) => [verdict, matched])).toEqual([
        ['not-found', false],
        ['not-found', false],
      ])
    })

    test('an old certificate is found by its own number, its holder by 18 digits where the register has 15', async () => {
      const sub = OLD_HOUSE.replaceAll(' ', '')
      const { documents, parts } = await answered(await ask('property-verification@1', sub, cases.elder))
      expect(parts[0]).toMatchObject({ verdict: 'valid', matched: true })
      expect(at(documents[0], 'data', 'currentOwner')).toBe(true)
    })

    test('an advance notice counts, a mortgage never leaves', async () => {
      expect((await match(ADVANCE, cases.resident))[1]).toMatchObject({ verdict: 'valid', matched: true })
      expect(await match(MORTGAGE, cases.company)).toEqual(await match(MORTGAGE, cases.resident))
      expect((await match(MORTGAGE, cases.company))[1]).toMatchObject({ verdict: 'not-found', matched: false })
    })

    test('who sold it is no owner any more, and a past state of the register names no current one', async () => {
      const unitCode = '150404002001GB00099F00020012'
      const both = [holder('111', RESIDENT.idNumber), holder('111', '152201197806150037')]
      await publish(property(FLAT, 'SOLD-1', { unitCode, certificateNumber: 'SOLD 1', holders: both }), NATURAL)
      expect((await match('SOLD 1', cases.resident))[0]).toMatchObject({ matched: true })
      const past = { certificateVersion: '002', statusTime: '2026-02-01T00:00:00+08:00', state: '2' }
      await publish(
        property(FLAT, 'SOLD-1', { unitCode, certificateNumber: 'SOLD 1', holders: both, ...past }),
        NATURAL,
      )
      const { documents } = await answered(await ask('property-verification@1', 'SOLD 1', cases.resident))
      expect(documents[0]?.['data']).toMatchObject({ matched: true, currentOwner: false, state: '2' })
      const sold = { certificateVersion: '003', statusTime: '2026-03-01T00:00:00+08:00', holders: both.slice(1) }
      await publish(property(FLAT, 'SOLD-1', { unitCode, certificateNumber: 'SOLD 1', ...sold }), NATURAL)
      expect((await match('SOLD 1', cases.resident))[0]).toMatchObject({ verdict: 'not-found', matched: false })
    })

    test('a case of somebody else is refused before anything is looked at', async () => {
      const other = hub.party('inner-mongolia-power')
      const answer = await other.ask({
        ...STATED,
        contract: 'property-verification@1',
        sub: FLAT,
        caseNo: cases.resident,
      })
      expect([answer.status, answer.json['code']]).toEqual([403, 'query.case_mismatch'])
    })
  })

  describe('an identity verification', () => {
    test('matches name and number of the applicant, and answers nothing else', async () => {
      const { documents, parts } = await answered(await ask('identity-verification@1', cases.resident, cases.resident))
      expect(parts).toEqual([
        { document: 'identity-card@1', verdict: 'valid', documents: 1, complete: true, matched: true },
      ])
      expect(documents[0]?.['data']).toEqual({ matched: true })
    })

    test('another name and an unknown number are told alike', async () => {
      const typo = await answered(await ask('identity-verification@1', cases.typo, cases.typo))
      const unknown = await answered(await ask('identity-verification@1', cases.elder, cases.elder))
      expect(typo).toEqual(unknown)
      expect(typo.parts).toEqual([
        { document: 'identity-card@1', verdict: 'not-found', documents: 0, complete: true, matched: false },
      ])
    })

    test('the dot in a name is the same however it is typed', async () => {
      const idNumber = '152201197806150037'
      const number = newNumber('ME')
      const card = documentOf('identity-card@1', RESIDENT.idNumber, {
        certificateNumber: idNumber,
        certificateIdentifier: '1.2.156.3005.2.11100000000013127D001.1115000001150T093T.20260000000000002009.001.X',
        holders: [holder('111', idNumber, '示例•巴特尔')],
      })
      await publish(card, 'public-security-nmg')
      await publish(application(number, { resident: { name: '示例·巴特尔', idNumber } }), 'state-grid-east')
      await hub.settle()
      const { parts } = await answered(await ask('identity-verification@1', number, number))
      expect(parts[0]).toMatchObject({ matched: true })
    })

    test('a reference that is not the case is refused', async () => {
      const answer = await ask('identity-verification@1', cases.elder, cases.resident)
      expect([answer.status, answer.json['code']]).toEqual([422, 'contract.rule_violated'])
    })
  })

  describe('the bundle of a resident', () => {
    const assertion = (change: Readonly<Record<string, string | number | boolean>> = {}): Message => {
      const assertionId = randomUUID()
      const data: JsonObject = {
        assertionId,
        issuer: 'public-security-nmg',
        subjectRef: NET_ID,
        subjectRefType: 'NET_ID',
        idTypeCode: '111',
        method: 'NET_ID',
        assuranceLevel: 4,
        matchResult: 'MATCHED',
        verifiedAt: ago(60),
        expiresAt: ago(-600),
        nonce: randomUUID(),
        bizSerial: 'B1',
        audience: 'state-grid-east',
        purpose: 'power-connection',
        status: '01',
        statusTime: ago(60),
        ...change,
      }
      return { contract: 'identity-assertion@1', sub: assertionId, data }
    }
    const ago = (seconds: number): string => new Date(Date.now() - seconds * 1_000).toISOString()
    const FACE = { method: 'CTID_0x42', livenessPassed: true, consentRef: 'consent-0001' }
    const bundle = async (message: Message, sender = 'public-security-nmg', caseNo = cases.resident) => {
      await publish(message, sender)
      return answered(await ask('resident-bundle@1', message.sub, caseNo))
    }

    test.each([
      ['a face', FACE, 'public-security-nmg'],
      ['a network number', {}, 'public-security-nmg'],
      ['the counter', { method: 'COUNTER', assuranceLevel: 5, issuer: 'platform-chifeng' }, 'platform-chifeng'],
    ])('opens by %s', async (_name, change, sender) => {
      const { documents, parts } = await bundle(assertion(change), sender)
      expect(verdicts(parts)).toEqual([
        ['identity-assertion@1', 'valid'],
        ['identity-card@1', 'valid'],
        ['property-certificate@1', 'valid'],
      ])
      expect(documents.map(({ data }) => Object.keys(data as JsonObject).toSorted())).toEqual([
        ['assuranceLevel', 'expiresAt', 'method', 'verifiedAt'],
        ['matched'],
        FIELDS,
      ])
      expect(JSON.stringify(documents)).not.toContain(NET_ID)
    })

    test.each<[string, Record<string, string | number | boolean>, string]>([
      ['a level below 4', { assuranceLevel: 3 }, 'assurance-level'],
      ['no match', { matchResult: 'UNKNOWN' }, 'matched'],
      ['a face without life', { ...FACE, livenessPassed: false }, 'liveness'],
      ['half an hour', { verifiedAt: ago(1_860) }, 'fresh'],
      ['its end', { expiresAt: ago(1) }, 'not-expired'],
      ['another audience', { audience: 'inner-mongolia-power' }, 'audience'],
      ['another purpose', { purpose: 'power-transfer' }, 'purpose'],
    ])('withholds everything else after %s', async (_name, change, unmet) => {
      const { documents, parts } = await bundle(assertion(change))
      expect(verdicts(parts)).toEqual([
        ['identity-assertion@1', 'insufficient'],
        ['identity-card@1', 'withheld'],
        ['property-certificate@1', 'withheld'],
      ])
      expect(documents).toHaveLength(1)
      expect(documents[0]).toMatchObject({ verdict: 'insufficient', unmet: [unmet] })
    })

    test('withholds the rest also from who does not ask about the assertion itself', async () => {
      const message = assertion({ assuranceLevel: 2 })
      await publish(message, 'public-security-nmg')
      const fields = ['property-certificate.matched']
      const answer = await answered(await ask('resident-bundle@1', message.sub, cases.resident, { fields }))
      expect(answer.documents).toEqual([])
      expect(verdicts(answer.parts)).toEqual([['property-certificate@1', 'withheld']])
    })

    test('an assertion of somebody else, and one that was revoked, open nothing', async () => {
      const other = await bundle(assertion({ subjectRef: 'NET-0000000000000000' }))
      expect(other.documents).toEqual([])
      expect(other.parts.map(({ verdict }) => verdict)).toEqual(['not-found', 'withheld', 'withheld'])
      const revoked = await bundle(assertion({ status: '03' }))
      expect(revoked.parts.map(({ verdict }) => verdict)).toEqual(['revoked', 'withheld', 'withheld'])
      const company = await bundle(assertion(), 'public-security-nmg', cases.company)
      expect(company.parts[0]).toMatchObject({ verdict: 'not-found' })
    })

    test.each([
      ['under another name', { issuer: 'platform-chifeng' }, 'contract.rule_violated', '/issuer'],
      ['with the plain number', { subjectRef: '150402198512310023' }, 'contract.rule_violated', '/subjectRef'],
      ['with a face image', { faceImage: 'x' }, 'contract.schema_violated', '/faceImage'],
      [
        'by face without a consent',
        { method: 'CTID_0x42', livenessPassed: true },
        'contract.schema_violated',
        '/consentRef',
      ],
    ])('an assertion %s is refused', async (_name, change, code, pointer) => {
      const answer = await hub.party('public-security-nmg').push(assertion(change))
      expect(answer.json['code']).toBe(code)
      expect(at(answer.json, 'violations', 0, 'pointer')).toBe(pointer)
    })
  })
})
