import { randomUUID } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import { sql } from 'kysely'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { composeDisputes } from '#compose-disputes.ts'
import { logReader } from '#compose-vault.ts'
import { statusFeedStep } from '#documents/status-feed.ts'
import type { JsonObject } from '#kernel/json.ts'
import type { FaultInput } from '#sandbox/fault-script.ts'
import { giveBack } from '#store/access-queries.ts'
import { disclosuresOf, findSubject } from '#store/disclosure-queries.ts'
import { accessesOf, providersOf } from '#store/statement-queries.ts'
import { application, licence, newNumber } from '../gateway/messages.ts'
import { withDatabase } from '../support/database.ts'
import { type Answer, at, openTestHub, type TestHub, type TestParty } from '../support/hub.ts'
import { BUDGET_MS, OPEN_MS, startTestLookUps, type TestLookUps } from '../support/lookups.ts'

const HELD = '91150402MADEM002XN'
const FED = '91150102MADEM0011F'
const NOT_HELD = '91150105MADEM0089T'
const HEARD_OF = '91150429MADEM0046M'
const PERSON = { idNumber: '150402198512310023', name: '示例居民甲' }
const STRANGER = '150102199001010019'

withDatabase('live look-ups', (databaseUrl) => {
  let hub: TestHub
  let lookUps: TestLookUps
  let utility: TestParty
  let authority: TestParty
  beforeAll(async () => {
    lookUps = await startTestLookUps()
    hub = await openTestHub(databaseUrl, {}, lookUps.open)
    utility = hub.party('state-grid-east')
    authority = hub.party('market-regulation-nmg')
    await accepted(authority, licence(HELD))
  })
  afterAll(async () => {
    await hub.close()
    await lookUps.stop()
  })
  beforeEach(async () => {
    for (const peer of [lookUps.library, lookUps.identity]) peer.faults.clear()
    await sql`UPDATE grant_usage SET used = 0`.execute(hub.core.db)
    await healCircuits()
  })

  /** A circuit that a test opened is closed by an answer, as it would be in life. */
  async function healCircuits(): Promise<void> {
    for (let n = 0; n < 20; n++) {
      const page = await hub.core.metrics.render()
      const faulty = /dianqiao_lookup_circuit_state\{endpoint="([a-z-]+)",state="(?:open|half-open)"\} 1/.exec(
        page,
      )?.[1]
      if (faulty === undefined) return
      await sleep(OPEN_MS + 50)
      if (faulty === 'licence-library') await ask(NOT_HELD)
      else await check()
    }
  }

  async function accepted(party: TestParty, message: Parameters<TestParty['push']>[0]): Promise<void> {
    const answer = await party.push(message)
    expect(answer.status, answer.text).toBe(202)
  }

  const occasion = {
    purpose: 'power-connection',
    legalBasis: 'duty',
    item: '11150000MB0000000X2000199001000',
    operator: 'staff-0042',
  }

  /** A case of its own unless told: nothing is kept from one test to another. */
  async function openCase(applicant: string): Promise<string> {
    const number = newNumber('ME')
    const message = application(number, { applicant })
    const person = message.data['applicant'] as JsonObject
    const idTypeCode = /^\d{17}[\dX]$/.test(applicant) ? '111' : '001'
    await accepted(utility, { ...message, data: { ...message.data, applicant: { ...person, idTypeCode } } })
    await hub.settle()
    return number
  }

  const question = (uscc: string, caseNo: string, change: object = {}): object => ({
    contract: 'licence-library-query@1',
    sub: uscc,
    caseNo,
    ...occasion,
    ...change,
  })
  const ask = async (uscc: string, change: object = {}): Promise<Answer> =>
    utility.ask(question(uscc, await openCase(uscc), change))

  async function check(data: object = { mode: '0x40' }, claims: object = {}): Promise<Answer> {
    const { idNumber: sub, name } = PERSON
    const asked = { contract: 'real-person-check@1', sub, data: { name, ...data }, caseNo: await openCase(sub) }
    return utility.ask({ ...asked, ...occasion, ...claims })
  }

  async function claimsOf(answer: Answer): Promise<JsonObject> {
    expect(answer.status, answer.text).toBe(200)
    return hub.verified(answer.text)
  }

  const asked = (): number => lookUps.library.asked().length
  const accesses = async (): Promise<number> =>
    Number((await sql<{ n: string }>`SELECT count(*) AS n FROM access_record`.execute(hub.core.db)).rows[0]?.n)

  test('a licence comes live with its issuer’s seal, as of now, with the granted fields alone', async () => {
    const before = Math.floor(Date.now() / 1000)
    const claims = await claimsOf(await ask(NOT_HELD))
    const document = at(claims, 'documents', 0)
    expect(document).toMatchObject({
      document: 'business-licence@1',
      issuer: 'market-regulation-nmg',
      proof: 'issuer',
      status: 'ACTIVE',
    })
    expect(at(document, 'originalDigest')).toBe(at(document, 'seal', 'digest'))
    expect(at(document, 'seal', 'value')).toMatch(/^[\w-]{80,}$/)
    expect(at(document, 'data', 'certificateNumber')).toBe(NOT_HELD)
    expect(at(document, 'data', 'copy', 'cause')).toMatch(/^用电报装 ME-/)
    for (const hidden of ['holders', 'businessScope']) expect(at(document, 'data', hidden)).toBeUndefined()
    expect(at(claims, 'lookUps', 0)).toMatchObject({ document: 'business-licence@1', state: 'live', circuit: 'closed' })
    expect(at(claims, 'lookUps', 0, 'cause')).toBeUndefined()
    expect(claims['asOf']).toBeGreaterThanOrEqual(before)
    expect(claims['asOf']).toBe(at(claims, 'lookUps', 0, 'asOf'))
  })

  test('the library is told item, case, operator and organisation, and neither URL holds the number', async () => {
    const number = await openCase(NOT_HELD)
    const from = asked()
    await claimsOf(await utility.ask(question(NOT_HELD, number)))
    const requests = lookUps.library.asked().slice(from)
    expect(requests.map(({ url }) => url)).toEqual(['/licence/search', '/licence/get'])
    for (const { body } of requests) {
      expect(at(body, 'head')).toMatchObject({
        caseNo: number,
        serviceItemCode: occasion.item,
        operator: occasion.operator,
        organisation: 'state-grid-east',
      })
    }
  })

  test('who asks again gets the kept answer, as of when it was fetched, and each time is a recorded access', async () => {
    const number = await openCase(NOT_HELD)
    const first = await claimsOf(await utility.ask(question(NOT_HELD, number)))
    const [from, recorded] = [asked(), await accesses()]
    await sleep(1_100)
    const second = await claimsOf(await utility.ask(question(NOT_HELD, number, { fields: ['status'] })))
    expect(at(second, 'lookUps', 0, 'state')).toBe('cached')
    expect(second['asOf']).toBe(first['asOf'])
    expect(Number(second['iat'])).toBeGreaterThan(Number(first['iat']))
    expect(at(second, 'documents', 0, 'data')).toEqual({ status: '01' })
    expect([asked() - from, (await accesses()) - recorded]).toEqual([0, 1])
  })

  test('many who ask the same at once are one look-up, and each a recorded access', async () => {
    const number = await openCase(NOT_HELD)
    lookUps.library.faults.next([{ kind: 'slow', ms: 100 }])
    const [from, recorded] = [asked(), await accesses()]
    const answers = await Promise.all(Array.from({ length: 48 }, () => utility.ask(question(NOT_HELD, number))))
    expect(answers.map(({ status }) => status)).toEqual(Array(48).fill(200))
    expect([asked() - from, (await accesses()) - recorded]).toEqual([2, 48])
  })

  test('a status that its issuer signs to the hub is answered at once, whatever was kept and whatever the library says', async () => {
    const number = await openCase(HELD)
    expect(at(await claimsOf(await utility.ask(question(HELD, number))), 'documents', 0, 'status')).toBe('ACTIVE')
    const statusTime = new Date().toISOString().replace(/\.\d+Z$/, 'Z')
    await accepted(authority, licence(HELD, { status: '02', statusTime }))
    const claims = await claimsOf(await utility.ask(question(HELD, number)))
    expect(at(claims, 'lookUps', 0, 'state')).toBe('live')
    expect(claims['documents']).toHaveLength(1)
    expect(at(claims, 'documents', 0)).toMatchObject({ status: 'SUSPENDED', proof: 'hub' })
    const later = new Date(Date.now() + 1_000).toISOString().replace(/\.\d+Z$/, 'Z')
    await accepted(authority, licence(HELD, { status: '01', statusTime: later }))
    const restored = await claimsOf(await utility.ask(question(HELD, number)))
    expect(at(restored, 'documents', 0)).toMatchObject({ status: 'ACTIVE', proof: 'hub' })
  })

  test('a holder without a licence is answered with none, live', async () => {
    const claims = await claimsOf(await ask('91150102MADEM0014Q'))
    expect(claims['documents']).toEqual([])
    expect(at(claims, 'lookUps', 0)).toMatchObject({ state: 'live' })
  })

  describe.each([
    [{ kind: 'status', status: 500 }, 'peer.unavailable'],
    [{ kind: 'status', status: 429, retryAfterSeconds: 7 }, 'peer.throttled'],
    [{ kind: 'status', status: 401 }, 'peer.unauthorized'],
    [{ kind: 'malformed' }, 'peer.unavailable'],
    [{ kind: 'reset' }, 'peer.unavailable'],
    [{ kind: 'busy' }, 'peer.throttled'],
    [{ kind: 'reject' }, 'peer.answer_invalid'],
    [{ kind: 'cap-used-up' }, 'peer.cap_reached'],
    [{ kind: 'odd-status', times: 2 }, 'peer.answer_invalid'],
    [{ kind: 'timeout' }, 'peer.timeout'],
    [{ kind: 'slow', ms: BUDGET_MS + 500 }, 'peer.timeout'],
  ] as readonly (readonly [FaultInput, string])[])('when the library answers %j', (fault, code) => {
    test('the hub’s own licence stands in, and the answer says so, since when it is known and why', async () => {
      lookUps.library.faults.next([fault])
      const began = performance.now()
      const claims = await claimsOf(await ask(HELD))
      expect(performance.now() - began).toBeLessThan(BUDGET_MS + 1_500)
      expect(at(claims, 'documents', 0)).toMatchObject({ proof: 'hub', issuer: 'market-regulation-nmg' })
      expect(at(claims, 'documents', 0, 'seal')).toBeUndefined()
      expect(at(claims, 'lookUps', 0)).toMatchObject({ state: 'fallback', cause: code })
      const { rows } = await sql<{ at: Date }>`
        SELECT e.accepted_at AS at FROM document d JOIN exchange e ON e.id = d.exchange`.execute(hub.core.db)
      expect(claims['asOf']).toBe(Math.floor(Number(rows[0]?.at) / 1_000))
    })

    test('without one the query is answered 503 with a time to wait, and nothing is recorded', async () => {
      lookUps.library.faults.next([fault])
      const recorded = await accesses()
      const number = await openCase(NOT_HELD)
      const token = utility.sign('query+jwt', question(NOT_HELD, number))
      const answer = await hub.post('/v1/queries', token)
      expect([answer.status, answer.json['code']]).toEqual([503, code])
      expect(Number(answer.headers.get('retry-after'))).toBeGreaterThan(0)
      expect(await accesses()).toBe(recorded)
      expect(answer.text).not.toContain(NOT_HELD)
      lookUps.library.faults.clear()
      await healCircuits()
      expect((await hub.post('/v1/queries', token)).status).toBe(200)
    })
  })

  test('a circuit that opened answers at once from what the hub holds, asks nobody, and closes with the first answer', async () => {
    const number = await openCase(HELD)
    lookUps.library.faults.next([{ kind: 'status', status: 500, times: 3 }])
    for (let n = 0; n < 3; n++) await utility.ask(question(HELD, number))
    const from = asked()
    const claims = await claimsOf(await utility.ask(question(HELD, number)))
    expect(at(claims, 'lookUps', 0)).toMatchObject({ state: 'fallback', circuit: 'open', cause: 'peer.unavailable' })
    expect(asked()).toBe(from)
    await sleep(OPEN_MS + 50)
    const healed = await claimsOf(await utility.ask(question(HELD, number)))
    expect(at(healed, 'lookUps', 0)).toMatchObject({ state: 'live', circuit: 'closed' })
  })

  test('a jti that was used, and a cap that is reached, are refused before the library is asked', async () => {
    const number = await openCase(NOT_HELD)
    const token = utility.sign('query+jwt', question(NOT_HELD, number))
    expect((await hub.post('/v1/queries', token)).status).toBe(200)
    const other = await openCase(NOT_HELD)
    const claims = JSON.parse(Buffer.from(token.split('.')[1] ?? '', 'base64url').toString()) as JsonObject
    const from = asked()
    const replayed = await utility.ask(question(NOT_HELD, other, { jti: claims['jti'] }))
    expect([replayed.status, replayed.json['code']]).toEqual([409, 'query.replayed'])
    await giveBack(hub.core.db, hub.core.capReserve)
    await sql`UPDATE grant_usage SET used = 1000000 WHERE scope = 'party'`.execute(hub.core.db)
    const capped = await utility.ask(question(NOT_HELD, other))
    await sql`UPDATE grant_usage SET used = 0`.execute(hub.core.db)
    expect([capped.status, capped.json['code']]).toEqual([429, 'query.cap_reached'])
    expect(asked()).toBe(from)
  })

  test('somebody else’s case opens no look-up', async () => {
    const from = asked()
    const answer = await utility.ask(question(NOT_HELD, await openCase(HELD)))
    expect([answer.status, answer.json['code']]).toEqual([403, 'query.case_mismatch'])
    expect(asked()).toBe(from)
  })

  test('what was looked up stands in the provider’s accounts and in the subject’s disclosures', async () => {
    await claimsOf(await ask(NOT_HELD))
    const period = { from: new Date(0), to: new Date(Date.now() + 60_000) }
    const rows = await accessesOf(hub.core.db, period)
    const live = rows.filter(({ contract }) => contract === 'licence-library-query@1')
    expect(live[0]).toMatchObject({ provider: 'market-regulation-nmg', asker: 'state-grid-east' })
    expect(await providersOf(hub.core.db, ['business-licence@1'])).toEqual(['market-regulation-nmg'])
    const subject = await findSubject(hub.core.db, hub.core.digests.subject('001', NOT_HELD), [])
    const disclosed = await disclosuresOf(hub.core.db, subject)
    expect(disclosed.at(-1)?.lookUps).toEqual([
      { provider: 'market-regulation-nmg', originalDigest: expect.stringMatching(/^sha-256:/) as string },
    ])
    expect(disclosed.at(-1)?.documents).toEqual([])
  })

  test.each([
    ['that the hub holds', FED, true],
    ['of which the hub hears now', HEARD_OF, false],
  ])(
    'who looked a document up %s is told when its issuer suspends it, with the digest of what it got',
    async (_, uscc, isHeld) => {
      if (isHeld) await accepted(authority, licence(uscc))
      const jti = randomUUID()
      const got = await claimsOf(await ask(uscc, { jti }))
      expect(at(got, 'documents', 0)).toMatchObject({ proof: 'issuer', verdict: 'valid' })
      const statusTime = new Date().toISOString().replace(/\.\d+Z$/, 'Z')
      await accepted(authority, licence(uscc, { status: '02', statusTime }))
      const feed = (): Promise<number> =>
        statusFeedStep({
          ...hub.core,
          hubId: 'dianqiao',
          ...logReader(hub.core.vault, hub.core.log),
          acceptOwn: async (token) => {
            expect((await hub.core.acceptOwn(token)).kind).not.toBe('refused')
          },
        })
      while ((await feed()) > 0);
      const { rows } = await sql<{ token: Buffer }>`
      SELECT token FROM exchange WHERE contract = 'document-status@1'`.execute(hub.core.db)
      const notices = rows.map(({ token }) => claimsIn(hub.core.vault.open(token).toString('latin1')))
      const told = notices.flatMap((notice) => at(notice, 'data', 'queries') as unknown as JsonObject[])
      expect(told.filter((one) => one['jti'] === jti)).toEqual([
        { jti, caseNo: expect.any(String) as string, originalDigest: at(got, 'documents', 0, 'originalDigest') },
      ])
    },
  )

  const claimsIn = (token: string): JsonObject =>
    JSON.parse(Buffer.from(token.split('.')[1] ?? '', 'base64url').toString()) as JsonObject

  describe('the identity service', () => {
    test('compares name and number in two steps: level 3, without a photo', async () => {
      const from = lookUps.identity.asked().length
      const claims = await claimsOf(await check())
      expect(at(claims, 'documents', 0)).toMatchObject({
        document: 'real-person-result@1',
        issuer: 'identity-service-nmg',
        status: 'ACTIVE',
        data: { matchResult: 'MATCHED', assuranceLevel: 3, livenessPassed: false, method: 'CTID_0x40' },
      })
      expect(JSON.stringify(claims)).not.toContain(PERSON.idNumber)
      const requests = lookUps.identity.asked().slice(from)
      expect(requests.map(({ url }) => url)).toEqual(['/auth/apply', '/auth/request'])
      expect(JSON.stringify(requests[0])).not.toContain(PERSON.name)
      expect(at(requests[1]?.body, 'nonce')).toMatch(/^[0-9a-f]{32}$/)
    })

    test('with the photo that a terminal left with the service: level 4, and of another person: no match', async () => {
      const own = await claimsOf(await check({ mode: '0x42', photoRef: 'terminal-0001-7f3a9c' }))
      expect(at(own, 'documents', 0, 'data')).toMatchObject({ assuranceLevel: 4, livenessPassed: true })
      const foreign = await claimsOf(await check({ mode: '0x42', photoRef: 'other-0001-7f3a9c00' }))
      expect(at(foreign, 'documents', 0)).toMatchObject({
        status: 'OTHER',
        data: { matchResult: 'MISMATCHED', assuranceLevel: 2 },
      })
    })

    test('another name does not match', async () => {
      const claims = await claimsOf(await check({ mode: '0x40', name: '示例居民乙' }))
      expect(at(claims, 'documents', 0, 'data')).toMatchObject({ matchResult: 'MISMATCHED', assuranceLevel: 2 })
    })

    test('nothing of it is kept: who asks again has the service asked again', async () => {
      const caseNo = await openCase(PERSON.idNumber)
      const from = lookUps.identity.asked().length
      for (let n = 0; n < 2; n++) await claimsOf(await check({ mode: '0x40' }, { caseNo }))
      expect(lookUps.identity.asked().length - from).toBe(4)
    })

    test('a result that nobody agreed upon is no result', async () => {
      lookUps.identity.faults.next([{ kind: 'odd-status', times: 2 }])
      const answer = await check()
      expect([answer.status, answer.json['code']]).toEqual([503, 'peer.answer_invalid'])
    })

    test('a photo, a mode that is none, and a second number are refused with the place and the rule', async () => {
      const from = lookUps.identity.asked().length
      for (const [data, code, pointer] of [
        [{ mode: '0x40', photo: 'aGVsbG8=' }, 'contract.schema_violated', '/photo'],
        [{ mode: '0x41' }, 'contract.schema_violated', '/mode'],
        [{ mode: '0x42' }, 'contract.schema_violated', '/photoRef'],
        [{ mode: '0x40', idNumber: STRANGER }, 'contract.claim_mismatch', '/data/idNumber'],
      ] as const) {
        const answer = await check(data)
        expect([answer.status, answer.json['code']]).toEqual([422, code])
        expect(at(answer.json, 'violations', 0, 'pointer')).toBe(pointer)
      }
      expect(lookUps.identity.asked()).toHaveLength(from)
    })
  })

  test('no number, name or photo of a person is in a URL, a log line, a metric or an error of any of this', async () => {
    for (const kind of ['malformed', 'reset', 'cap-used-up', 'reject'] as const) {
      lookUps.identity.faults.next([{ kind }])
      const answer = await check({ mode: '0x42', photoRef: 'terminal-0001-7f3a9c' })
      for (const secret of [PERSON.idNumber, PERSON.name, 'terminal-0001']) expect(answer.text).not.toContain(secret)
    }
    expect(hub.logged.some(({ message }) => message.startsWith('look-up identity-service: peer.'))).toBe(true)
    const logged = hub.logged.map(({ error, ...entry }) => `${JSON.stringify(entry)} ${inspected(error)}`).join('\n')
    const urls = [...lookUps.library.asked(), ...lookUps.identity.asked()].map(({ url }) => url).join('\n')
    const page = await hub.core.metrics.render()
    for (const secret of [PERSON.idNumber, PERSON.name, 'terminal-0001', NOT_HELD, HELD]) {
      for (const place of [logged, urls, page]) expect(place).not.toContain(secret)
    }
    expect(page).toMatch(/dianqiao_lookups_total\{endpoint="licence-library",outcome="cached"\} [1-9]/)
    expect(page).toMatch(/dianqiao_lookups_total\{endpoint="licence-library",outcome="circuit_open"\} [1-9]/)
    expect(page).toMatch(/dianqiao_queries_total\{[^}]*outcome="failed"\} [1-9]/)
    expect(page).toMatch(/dianqiao_lookup_seconds_count\{endpoint="identity-service"\} [1-9]/)
    expect(page).toMatch(/dianqiao_lookup_circuit_state\{endpoint="licence-library",state="closed"\} 1/)
  })

  const inspected = (error: unknown): string => (error instanceof Error ? `${error.message} ${error.stack}` : '')

  test('what was looked up is disputed by its answer, flagged for the next look-up, and corrected by a first version', async () => {
    const disputes = composeDisputes(hub.core)
    const count = async (): Promise<void> => {
      while ((await disputes()) > 0);
    }
    const jti = randomUUID()
    const got = await claimsOf(await ask(NOT_HELD, { jti }))
    const originalDigest = String(at(got, 'documents', 0, 'originalDigest'))
    const disputeNo = newNumber('YY')
    const provider = 'market-regulation-nmg'
    const data = {
      disputeNo,
      provider,
      document: { contract: 'business-licence@1', query: { iss: utility.id, jti }, originalDigest },
      fields: ['premises'],
      reason: '门牌号有误',
      raisedBy: 'USER',
      raisedAt: new Date().toISOString(),
    }
    const message = { contract: 'data-dispute@1', sub: disputeNo, data }
    const foreign = await hub.party('inner-mongolia-power').push(message)
    expect([foreign.status, foreign.json['code']]).toEqual([422, 'dispute.document_unknown'])
    await accepted(utility, message)
    await count()
    const flagged = await claimsOf(await ask(NOT_HELD))
    expect(at(flagged, 'documents', 0)).toMatchObject({
      verdict: 'disputed',
      proof: 'issuer',
      disputed: [{ field: 'premises', since: expect.any(Number) as number }],
    })

    const version = licence(NOT_HELD, { certificateVersion: '009', statusTime: new Date().toISOString() })
    const published = randomUUID()
    expect((await authority.push(version, { jti: published })).status).toBe(202)
    const correctionNo = newNumber('GZ')
    const { rows } = await sql<{ identifier: string }>`
      SELECT identifier FROM dispute WHERE number = ${disputeNo}`.execute(hub.core.db)
    await accepted(authority, {
      contract: 'data-correction@1',
      sub: correctionNo,
      data: {
        correctionNo,
        document: { contract: 'business-licence@1', identifier: rows[0]?.identifier ?? '' },
        dispute: { issuer: utility.id, disputeNo },
        outcome: 'CORRECTED',
        fields: ['premises'],
        newVersion: { iss: provider, jti: published },
        decidedAt: new Date().toISOString(),
      },
    })
    await count()
    const corrected = await claimsOf(await ask(NOT_HELD))
    expect(at(corrected, 'documents', 0)).toMatchObject({ verdict: 'valid', proof: 'hub' })
    expect(at(corrected, 'documents', 0, 'disputed')).toBeUndefined()
  })
})
