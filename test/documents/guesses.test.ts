import { sql } from 'kysely'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { application, newNumber } from '../gateway/messages.ts'
import { documents } from '../gateway/rights-messages.ts'
import { withDatabase } from '../support/database.ts'
import { type Answer, at, openTestHub, type TestHub, type TestParty } from '../support/hub.ts'

const COMPANY = '91150402MADEM002XN'
const OWN = '蒙（2021）赤峰市不动产权第0001234号'
const PER_CASE = 5

withDatabase('guesses on property-verification', (databaseUrl) => {
  let hub: TestHub
  let utility: TestParty
  beforeAll(async () => {
    hub = await openTestHub(databaseUrl)
    utility = hub.party('state-grid-east')
    // Guesses alone are counted here.
    await sql`UPDATE access_grant SET cap_subject = NULL`.execute(hub.core.db)
    await hub.core.register.refresh()
    for (const { sender, message } of documents()) expect((await hub.party(sender).push(message)).status).toBe(202)
  })
  afterAll(() => hub.close())

  async function newCase(): Promise<string> {
    const number = newNumber('ME')
    expect((await utility.push(application(number, { applicant: COMPANY }))).status).toBe(202)
    await hub.settle()
    return number
  }
  const question = (caseNo: string, sub: string): object => ({
    contract: 'property-verification@1',
    sub,
    purpose: 'power-connection',
    legalBasis: 'duty',
    item: '11150000MB0000000X2000199001000',
    operator: 'staff-0042',
    caseNo,
  })
  const guess = (n: number): string => `蒙（2021）赤峰市不动产权第${String(n).padStart(7, '0')}号`
  const isMatched = async (answer: Answer): Promise<unknown> => {
    expect(answer.status, answer.text).toBe(200)
    return at(await hub.verified(answer.text), 'parts', 0, 'matched')
  }

  test('a right number is answered however often, a wrong one five times a case and day, and then neither', async () => {
    const number = await newCase()
    for (let n = 0; n < PER_CASE + 2; n++) expect(await isMatched(await utility.ask(question(number, OWN)))).toBe(true)
    for (let n = 0; n < PER_CASE; n++) {
      expect(await isMatched(await utility.ask(question(number, guess(n))))).toBe(false)
    }
    for (const sub of [guess(9), OWN]) {
      const refused = await utility.ask(question(number, sub))
      expect([refused.status, refused.json['code']]).toEqual([429, 'query.guesses_used'])
      expect(Number(refused.headers.get('retry-after'))).toBeLessThanOrEqual(86_400)
    }
    const { rows } = await sql`
      SELECT code, decided_by, violations FROM refusal ORDER BY refused_at DESC LIMIT 1`.execute(hub.core.db)
    expect(rows).toMatchObject([{ code: 'query.guesses_used', violations: [{ rule: 'cap.guesses' }] }])
    expect(await isMatched(await utility.ask(question(await newCase(), guess(1))))).toBe(false)
  })

  test('another purpose or grant gives a case no further guesses', async () => {
    const number = await newCase()
    await sql`INSERT INTO access_grant (id, party, contract, purpose, fields, legal_bases, valid_from)
      SELECT 'second', party, contract, 'power-transfer', fields, legal_bases, valid_from FROM access_grant
      WHERE party = 'state-grid-east' AND contract = 'property-verification@1'`.execute(hub.core.db)
    await hub.core.register.refresh()
    for (let n = 0; n < PER_CASE; n++) expect((await utility.ask(question(number, guess(n)))).status).toBe(200)
    const refused = await utility.ask({ ...question(number, guess(9)), purpose: 'power-transfer' })
    expect(refused.json['code']).toBe('query.guesses_used')
  })

  test('64 guesses at once through two gateways get no more answers than the limit', async () => {
    const number = await newCase()
    const second = await openTestHub(databaseUrl, { DATA_DIR: hub.core.config.dataDir })
    try {
      const answers = await Promise.all(
        Array.from({ length: 64 }, (_, n) =>
          (n % 2 === 0 ? hub : second).post('/v1/queries', utility.sign('query+jwt', question(number, guess(n)))),
        ),
      )
      const codes = answers.map(({ status, json }) => (status === 200 ? 'answered' : json['code']))
      expect(codes.filter((code) => code === 'answered')).toHaveLength(PER_CASE)
      expect(codes.filter((code) => code === 'query.guesses_used')).toHaveLength(64 - PER_CASE)
    } finally {
      await second.close()
    }
  })
})
