import { randomUUID } from 'node:crypto'
import { sql } from 'kysely'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { composeDisputes } from '#compose-disputes.ts'
import { logReader } from '#compose-vault.ts'
import { statusFeedStep } from '#documents/status-feed.ts'
import { HubError } from '#kernel/errors.ts'
import type { FaultPoint } from '#kernel/fault-point.ts'
import type { Json, JsonObject } from '#kernel/json.ts'
import { countDisputes, listDisputes } from '#store/dispute-queries.ts'
import { application, licence, newNumber, STATED } from '../gateway/messages.ts'
import { withDatabase } from '../support/database.ts'
import { type Answer, at, type Message, openTestHub, type TestHub } from '../support/hub.ts'

const EAST = 'state-grid-east'
const WEST = 'inner-mongolia-power'
const PLATFORM = 'platform-chifeng'
const AUTHORITY = 'market-regulation-nmg'
/** A company for each test: their documents have nothing to do with each other. */
const COMPANIES = [
  '91150402MADEM002XN',
  '91150404MADEM00624',
  '91150702MADEM0070H',
  '91150429MADEM0046M',
  '91150102MADEM0011F',
  '92150602MADEM0038X',
  '91150105MADEM0089T',
]

withDatabase('disputed data', (databaseUrl) => {
  let hub: TestHub
  const left = [...COMPANIES]
  beforeAll(async () => {
    hub = await openTestHub(databaseUrl)
    await sql`UPDATE party SET channel = 'inbox' WHERE id = ANY (${[EAST, WEST]})`.execute(hub.core.db)
    await hub.core.register.refresh()
  })
  afterAll(() => hub.close())

  const accepted = (answer: Answer): string => {
    expect(answer.status, answer.text).toBe(202)
    return answer.text
  }
  const publish = async (uscc: string, data: JsonObject): Promise<string> => {
    const jti = randomUUID()
    accepted(await hub.party(AUTHORITY).push(licence(uscc, data), { jti }))
    return jti
  }
  const version = (n: number, change: JsonObject = {}): JsonObject => ({
    certificateVersion: String(n).padStart(3, '0'),
    status: '01',
    statusTime: `2026-0${n}-01T08:00:00+08:00`,
    ...change,
  })

  interface World {
    readonly uscc: string
    readonly identifier: string
    readonly fetch: (utility: string) => Promise<{ jti: string; document: JsonObject }>
  }
  /** A licence with a case of its company for each utility; the first is in Chifeng. */
  async function published(): Promise<World> {
    const uscc = left.shift() ?? ''
    await publish(uscc, version(1))
    const numbers = new Map<string, string>()
    for (const [utility, division] of [
      [EAST, '150402'],
      [WEST, '150102'],
    ] as const) {
      const number = newNumber('ME')
      numbers.set(utility, number)
      accepted(await hub.party(utility).push(application(number, { utility, division, applicant: uscc })))
    }
    await hub.settle()
    return {
      uscc,
      identifier: String(licence(uscc).data['certificateIdentifier']),
      async fetch(utility) {
        const jti = randomUUID()
        const caseNo = numbers.get(utility)
        const contract = 'business-licence-query@1'
        const answer = await hub.party(utility).ask({ ...STATED, jti, contract, sub: uscc, caseNo })
        expect(answer.status, answer.text).toBe(200)
        const document = at(await hub.verified(answer.text), 'documents', 0) as JsonObject
        return { jti, document }
      },
    }
  }

  const dispute = (document: JsonObject, change: Readonly<Record<string, Json>> = {}): Message => {
    const disputeNo = newNumber('YY')
    const data = {
      disputeNo,
      provider: AUTHORITY,
      document: { contract: 'business-licence@1', ...document },
      fields: ['premises'],
      reason: '门牌号有误',
      raisedBy: 'SUBJECT',
      raisedAt: new Date().toISOString(),
      ...change,
    }
    return { contract: 'data-dispute@1', sub: data.disputeNo, data }
  }
  const correction = (identifier: string, change: Readonly<Record<string, Json>>): Message => {
    const data = {
      correctionNo: newNumber('GZ'),
      document: { contract: 'business-licence@1', identifier },
      decidedAt: new Date().toISOString(),
      ...change,
    }
    return { contract: 'data-correction@1', sub: data.correctionNo, data }
  }
  const corrected = (identifier: string, jti: string, answered?: Message, issuer = PLATFORM): Message =>
    correction(identifier, {
      outcome: 'CORRECTED',
      fields: ['premises'],
      newVersion: { iss: AUTHORITY, jti },
      ...(answered === undefined ? {} : { dispute: { issuer, disputeNo: answered.sub } }),
    })
  const rejected = (identifier: string, answered: Message, issuer = PLATFORM): Message =>
    correction(identifier, {
      outcome: 'REJECTED',
      reason: '登记无误',
      dispute: { issuer, disputeNo: answered.sub },
    })

  const acceptOwn = async (token: string): Promise<void> => {
    const result = await hub.core.acceptOwn(token)
    if (result.kind === 'refused') throw result.error
  }
  const steps = (fault?: FaultPoint) => {
    const given = fault === undefined ? {} : { fault }
    const disputes = composeDisputes({ ...hub.core, ...given })
    const feed = () =>
      statusFeedStep({
        ...hub.core,
        hubId: 'dianqiao',
        ...logReader(hub.core.vault, hub.core.log),
        acceptOwn,
        ...given,
      })
    return async (): Promise<number> => (await disputes()) + (await feed())
  }
  async function settle(fault?: FaultPoint): Promise<void> {
    const step = steps(fault)
    while ((await step()) > 0);
    await hub.settle()
  }
  /** What lies in a party's inbox under a contract, by the business key where given. */
  async function got(party: string, contract: string, match: (data: JsonObject) => boolean): Promise<JsonObject[]> {
    const { rows } = await sql<{ token: Buffer }>`
      SELECT e.token FROM delivery d JOIN exchange e ON e.id = d.exchange
      WHERE d.recipient = ${party} AND e.contract = ${contract} AND d.state = 'published' ORDER BY d.pos`.execute(
      hub.core.db,
    )
    const opened = rows.map(({ token }) => hub.opened(token).split('.')[1] ?? '')
    const all = opened.map(
      (claims) => (JSON.parse(Buffer.from(claims, 'base64url').toString('utf8')) as JsonObject)['data'] as JsonObject,
    )
    return all.filter(match)
  }
  const correctionNotices = (party: string, message: Message): Promise<JsonObject[]> =>
    got(party, 'document-status@1', (data) => at(data, 'correction', 'correctionNo') === message.sub)

  async function refused(party: string, message: Message, code: string): Promise<Answer> {
    const answer = await hub.party(party).push(message)
    expect([answer.json['code'], answer.text]).toEqual([code, expect.stringContaining('refusal')])
    return answer
  }

  test('is flagged for every later reader with field and time, and goes to who provides it', async () => {
    const { identifier, fetch } = await published()
    expect((await fetch(EAST)).document['verdict']).toBe('valid')
    const message = dispute({ identifier }, { fields: ['premises', 'entityName'] })
    const before = Math.floor(Date.now() / 1000)
    accepted(await hub.party(PLATFORM).push(message))
    await settle()
    for (const utility of [EAST, WEST]) {
      const { document } = await fetch(utility)
      const since = Number(at(document, 'disputed', 0, 'since'))
      expect(document).toMatchObject({ verdict: 'disputed', status: 'ACTIVE' })
      expect(document['disputed']).toEqual([
        { field: 'entityName', since },
        { field: 'premises', since },
      ])
      expect(since).toBeGreaterThanOrEqual(before)
    }
    expect(await got(AUTHORITY, 'data-dispute@1', (data) => data['disputeNo'] === message.sub)).toHaveLength(1)
  })

  test('once corrected it is flagged no more, and both who got the old value are told once; nobody else is', async () => {
    const { uscc, identifier, fetch } = await published()
    const { jti: fetched, document } = await fetch(EAST)
    const message = dispute({ identifier })
    accepted(await hub.party(PLATFORM).push(message))
    await settle()
    await fetch(WEST)
    const jti = await publish(uscc, version(2, { premises: '12 号' }))
    await settle()
    const answer = corrected(identifier, jti, message)
    accepted(await hub.party(AUTHORITY).push(answer))
    await settle()
    await settle()
    expect(await got(PLATFORM, 'data-correction@1', (data) => data['correctionNo'] === answer.sub)).toHaveLength(1)
    expect(await correctionNotices(EAST, answer)).toEqual([
      {
        notice: expect.stringMatching(/^[0-9a-f-]{36}:state-grid-east$/),
        recipient: EAST,
        document: 'business-licence@1',
        change: 'CORRECTED',
        previousStatus: 'ACTIVE',
        status: 'ACTIVE',
        unusual: false,
        statusTime: '2026-02-01T00:00:00.000Z',
        correction: { issuer: AUTHORITY, correctionNo: answer.sub, fields: ['premises'] },
        queries: [{ jti: fetched, caseNo: expect.any(String), originalDigest: document['originalDigest'] ?? '' }],
      },
    ])
    expect(await correctionNotices(WEST, answer)).toHaveLength(1)
    for (const other of [PLATFORM, 'platform-hohhot', AUTHORITY]) {
      expect(await correctionNotices(other, answer)).toEqual([])
    }
    const now = (await fetch(EAST)).document
    expect(now['verdict']).toBe('valid')
    expect(now).not.toHaveProperty('disputed')
  })

  test('a disputer that fetched is told by the answer alone, and who fetched only the corrected version is not told', async () => {
    const { uscc, identifier, fetch } = await published()
    const { jti: query, document } = await fetch(EAST)
    const reference = { query: { iss: EAST, jti: query }, originalDigest: document['originalDigest'] ?? '' }
    const message = dispute(reference, { raisedBy: 'USER' })
    accepted(await hub.party(EAST).push(message))
    await settle()
    const jti = await publish(uscc, version(2))
    await fetch(WEST)
    const answer = corrected(identifier, jti, message, EAST)
    accepted(await hub.party(AUTHORITY).push(answer))
    await settle()
    expect(await got(EAST, 'data-correction@1', (data) => data['correctionNo'] === answer.sub)).toHaveLength(1)
    expect(await correctionNotices(EAST, answer)).toEqual([])
    expect(await correctionNotices(WEST, answer)).toEqual([])
  })

  test('a provider corrects on its own: those to whom the old version was delivered are told as well, a suspended party when it is back', async () => {
    const { uscc, identifier, fetch } = await published()
    const { rows } = await sql<{ id: string }>`
      INSERT INTO delivery (id, exchange, pos, sender, recipient, state, order_key, deliver_by, accepted_at, published_at)
      SELECT gen_random_uuid(), d.exchange, 0, ${AUTHORITY}, ${WEST}, 'acknowledged', 'k', now(), now(), now()
      FROM document d WHERE d.identifier = ${identifier.slice(0, -6)}
      RETURNING id`.execute(hub.core.db)
    await fetch(EAST)
    const jti = await publish(uscc, version(2))
    const answer = corrected(identifier, jti)
    accepted(await hub.party(AUTHORITY).push(answer))
    const setStatus = async (status: string): Promise<void> => {
      await sql`UPDATE party SET status = ${status} WHERE id = ${EAST}`.execute(hub.core.db)
      await hub.core.register.refresh()
    }
    await setStatus('suspended')
    await settle()
    expect(await correctionNotices(EAST, answer)).toEqual([])
    await setStatus('active')
    await settle()
    expect(await correctionNotices(EAST, answer)).toHaveLength(1)
    const [notice, ...more] = await correctionNotices(WEST, answer)
    expect(more).toEqual([])
    expect(notice).toMatchObject({ deliveries: [{ delivery: rows[0]?.id, originalDigest: expect.any(String) }] })
    expect(notice).not.toHaveProperty('queries')
    const unrouted = await sql`
      SELECT FROM delivery d JOIN exchange e ON e.id = d.exchange
      WHERE e.contract = 'data-correction@1' AND d.recipient IS NULL`.execute(hub.core.db)
    expect(unrouted.rows).toEqual([])
  })

  test('a rejection takes the flag away, tells the disputer, and nobody of a new value', async () => {
    const { identifier, fetch } = await published()
    await fetch(EAST)
    const message = dispute({ identifier })
    accepted(await hub.party(PLATFORM).push(message))
    await settle()
    const answer = rejected(identifier, message)
    accepted(await hub.party(AUTHORITY).push(answer))
    await settle()
    expect((await fetch(EAST)).document['verdict']).toBe('valid')
    expect(await got(PLATFORM, 'data-correction@1', (data) => data['correctionNo'] === answer.sub)).toHaveLength(1)
    expect(await correctionNotices(EAST, answer)).toEqual([])
    await refused(AUTHORITY, rejected(identifier, message), 'correction.dispute_settled')
    expect((await listDisputes(hub.core.db, true)).find(({ disputeNo }) => disputeNo === message.sub)).toMatchObject({
      outcome: 'REJECTED',
      overdue: false,
    })
    expect((await listDisputes(hub.core.db, false)).map(({ disputeNo }) => disputeNo)).not.toContain(message.sub)
  })

  test('what the sender may not know is as if it did not exist, and nobody answers for another', async () => {
    const { uscc, identifier, fetch } = await published()
    const { jti: query, document } = await fetch(WEST)
    const unknown = identifier.replace('.2026', '.2027')
    const answers: JsonObject[] = []
    for (const [sender, message] of [
      ['platform-ordos', dispute({ identifier })],
      ['platform-ordos', dispute({ identifier: unknown })],
      [PLATFORM, dispute({ identifier: unknown })],
      [PLATFORM, dispute({ identifier }, { provider: 'public-security-nmg' })],
      [PLATFORM, dispute({ identifier, contract: 'no-such-licence@1' })],
      [EAST, dispute({ query: { iss: WEST, jti: query }, originalDigest: document['originalDigest'] ?? '' })],
      [WEST, dispute({ query: { iss: WEST, jti: query }, originalDigest: `sha-256:${'A'.repeat(43)}` })],
    ] as const) {
      const { json } = await refused(sender, message, 'dispute.document_unknown')
      const { instance: _own, refusal: _signed, ...told } = json
      answers.push(told)
    }
    expect(new Set(answers.map((told) => JSON.stringify(told))).size).toBe(1)
    const strange = await hub.party(PLATFORM).push(dispute({ identifier }, { fields: ['premises', 'shoeSize'] }))
    expect([strange.json['code'], at(strange.json, 'violations', 0, 'pointer')]).toEqual([
      'contract.rule_violated',
      '/fields/1',
    ])
    const message = dispute({ identifier })
    accepted(await hub.party(PLATFORM).push(message))
    await settle()
    await refused('public-security-nmg', rejected(identifier, message), 'dispute.document_unknown')
    await refused(AUTHORITY, rejected(identifier, message, EAST), 'correction.dispute_unknown')
    await refused(PLATFORM, dispute({ identifier }, { disputeNo: message.sub }), 'dispute.number_used')
    await refused(EAST, rejected(identifier, message), 'right.missing')
    // The version that is disputed is no correction of itself, nor is one that did not take its place.
    const old = await publish(uscc, version(1, { statusTime: '2025-01-01T08:00:00+08:00' }))
    await refused(AUTHORITY, corrected(identifier, old, message), 'correction.version_unknown')
    expect((await fetch(EAST)).document['verdict']).toBe('disputed')
    expect((await sql`SELECT FROM dispute WHERE opened_at IS NULL`.execute(hub.core.db)).rows).toEqual([])
  })

  test('sent again, dispute and correction answer their first receipts and count once, however often a step is cut off', async () => {
    const { uscc, identifier, fetch } = await published()
    await fetch(EAST)
    const message = dispute({ identifier })
    const disputeJti = randomUUID()
    const first = accepted(await hub.party(PLATFORM).push(message, { jti: disputeJti }))
    const again = await hub.party(PLATFORM).push(message, { jti: disputeJti })
    expect([again.status, again.text]).toEqual([200, first])
    const jti = await publish(uscc, version(2))
    const answer = corrected(identifier, jti, message)
    const correctionJti = randomUUID()
    const receipt = accepted(await hub.party(AUTHORITY).push(answer, { jti: correctionJti }))
    for (const point of ['disputes.before-commit', 'feed.before-commit', 'feed.before-mark']) {
      const cut: FaultPoint = (name) => {
        if (name === point) throw new HubError('hub.store_unavailable')
      }
      await expect(settle(cut), point).rejects.toThrow('hub.store_unavailable')
    }
    await settle()
    const replayed = await hub.party(AUTHORITY).push(answer, { jti: correctionJti })
    expect([replayed.status, replayed.text]).toEqual([200, receipt])
    await settle()
    expect(await correctionNotices(EAST, answer)).toHaveLength(1)
    const { rows } = await sql`SELECT FROM document_change WHERE kind = 'CORRECTED' AND correction->>'correctionNo' =
      ${answer.sub}`.execute(hub.core.db)
    expect(rows).toHaveLength(1)
  })

  test('its clock counts working days of the calendar; past them it is overdue, unless a year without notice was counted', async () => {
    const [open] = await listDisputes(hub.core.db, false)
    expect(open).toMatchObject({ issuer: PLATFORM, provider: AUTHORITY, overdue: false })
    const moved = async (at: string): Promise<unknown> => {
      await sql`UPDATE dispute SET opened_at = ${at}, is_provisional = true
        WHERE issuer = ${PLATFORM} AND number = ${open?.disputeNo}`.execute(hub.core.db)
      await steps()()
      const found = (await listDisputes(hub.core.db, false)).find(({ disputeNo }) => disputeNo === open?.disputeNo)
      return [found?.dueOn, found?.provisional, found?.overdue]
    }
    expect(await moved('2026-09-28T20:00:00+08:00')).toEqual(['2026-10-16', false, true])
    expect(await countDisputes(hub.core.db)).toContainEqual({ provider: AUTHORITY, state: 'overdue', count: 1 })
    expect(await moved('2026-12-30T08:00:00+08:00')).toEqual([expect.stringMatching(/^2027-/), true, false])
  })
})
