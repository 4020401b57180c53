import { createHash, randomUUID } from 'node:crypto'
import { sql } from 'kysely'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { openKafkaDoor } from '#gateway/kafka/door.ts'
import type { JsonObject } from '#kernel/json.ts'
import { decryptWith } from '#trust/jwe.ts'
import { eventually } from '../bus/eventually.ts'
import { withDatabase } from '../support/database.ts'
import { type Answer, at, type Message, openTestHub, type TestHub, type TestParty } from '../support/hub.ts'
import { application, licence, newNumber } from './messages.ts'
import { problem, recordedRefusals } from './problem.ts'

const COMPANY = '91150402MADEM002XN'
const OTHER = '91150404MADEM00624'
const JSON_ANSWER = { accept: 'application/json' }

const row = (uscc: string, data: JsonObject = {}): JsonObject => licence(uscc, data).data

function load(...rows: JsonObject[]): Message {
  const loadId = `load-${randomUUID()}`
  return { contract: 'business-licence-load@1', sub: loadId, data: { loadId, rows } }
}

withDatabase('an initial load of rows[]', (databaseUrl) => {
  let hub: TestHub
  let authority: TestParty
  let utility: TestParty
  beforeAll(async () => {
    hub = await openTestHub(databaseUrl)
    authority = hub.party('market-regulation-nmg')
    utility = hub.party('state-grid-east')
  })
  afterAll(() => hub.close())

  const send = (token: string): Promise<Answer> => hub.post('/v1/exchanges', token, JSON_ANSWER)

  async function fetched(uscc: string): Promise<JsonObject[]> {
    const caseNo = newNumber('ME')
    expect((await utility.push(application(caseNo, { applicant: uscc }))).status).toBe(202)
    await hub.settle()
    const answer = await utility.ask({
      contract: 'business-licence-query@1',
      sub: uscc,
      purpose: 'power-connection',
      legalBasis: 'duty',
      item: '11150000MB0000000X2000199001000',
      operator: 'staff-0042',
      caseNo,
    })
    expect(answer.status, answer.text).toBe(200)
    return (await hub.verified(answer.text))['documents'] as unknown as JsonObject[]
  }

  test('good rows are documents at once, and a query reads one as if it had come alone', async () => {
    const token = authority.exchange(load(row(COMPANY), row(OTHER)))
    const answer = await send(token)
    expect(answer.status, answer.text).toBe(202)
    expect(answer.headers.get('rows-refused')).toBeNull()
    expect(answer.json).not.toHaveProperty('refusal')
    const documents = await fetched(COMPANY)
    expect(documents).toHaveLength(1)
    expect(documents[0]).toMatchObject({
      document: 'business-licence@1',
      issuer: 'market-regulation-nmg',
      originalDigest: `sha-256:${createHash('sha256').update(token).digest('base64url')}`,
      status: 'ACTIVE',
    })
    expect(at(documents[0], 'data', 'certificateNumber')).toBe(COMPANY)
    expect(at(documents[0], 'data', 'entityName')).toBe(row(COMPANY)['entityName'])
    expect(at(documents[0], 'data')).not.toHaveProperty('holders')
  })

  test('a bad row refuses only itself: the receipt comes with a signed refusal that points at it', async () => {
    const unknownStatus = row(COMPANY, { status: '42' })
    const wrongOrder = row(OTHER, { validFrom: '2030-01-01', validTo: '2020-01-01' })
    const later = row(OTHER, { certificateVersion: '900', premises: '内蒙古自治区乌海市示例路 1 号' })
    const token = authority.exchange(load(unknownStatus, later, wrongOrder))
    const answer = await send(token)
    expect(answer.status, answer.text).toBe(202)
    expect(answer.headers.get('rows-refused')).toBe('true')
    const refusal = await hub.verified(at(answer.json, 'refusal'))
    expect(refusal['of']).toEqual({ tokenDigest: `sha-256:${createHash('sha256').update(token).digest('base64url')}` })
    expect(refusal['aud']).toBe('market-regulation-nmg')
    expect(refusal['problem']).toMatchObject({ code: 'contract.rows_refused', status: 422 })
    const violations = at(refusal, 'problem', 'violations') as unknown as { pointer: string; rule: string }[]
    expect(violations.map(({ pointer, rule }) => [pointer, rule])).toEqual([
      ['/rows/0/status', 'enum'],
      ['/rows/2/validTo', 'validity-in-order'],
    ])
    const [document] = await fetched(OTHER)
    expect(at(document, 'data', 'premises')).toBe('内蒙古自治区乌海市示例路 1 号')
  })

  test('a repetition gets the same receipt and the same refusal, byte for byte, and its status shows both', async () => {
    const message = load(row(COMPANY), row(OTHER, { status: '42' }))
    const jti = randomUUID()
    const first = await send(authority.exchange(message, { jti }))
    const again = await send(authority.exchange(message, { jti }))
    expect([first.status, again.status]).toEqual([202, 200])
    expect(again.json).toEqual(first.json)
    expect(again.headers.get('rows-refused')).toBe('true')
    const status = await authority.get(`/v1/exchanges/${String(at(first.json, 'exchange'))}`)
    expect(status.json).toMatchObject({ receipt: at(first.json, 'receipt'), refusal: at(first.json, 'refusal') })
    const changed = await send(
      authority.exchange({ ...message, data: { ...message.data, rows: [row(COMPANY)] } }, { jti }),
    )
    expect([changed.status, problem(changed)['code']]).toEqual([409, 'exchange.conflict'])
  })

  test('repetitions that are under way together get the one refusal too', async () => {
    const token = authority.exchange(load(row(COMPANY), row(OTHER, { status: '42' })))
    const answers = await Promise.all([send(token), send(token), send(token)])
    expect(answers.map(({ status }) => status).toSorted()).toEqual([200, 200, 202])
    expect(new Set(answers.map(({ json }) => at(json, 'refusal'))).size).toBe(1)
  })

  test('a load without one good row is refused as a whole, and recorded', async () => {
    const token = authority.exchange(load(row(COMPANY, { status: '42' }), row(OTHER, { status: '43' })))
    const answer = await send(token)
    expect([answer.status, problem(answer)['code']]).toEqual([422, 'contract.rows_refused'])
    expect(at(answer.json, 'violations', 1, 'pointer')).toBe('/rows/1/status')
    expect(await recordedRefusals(hub.core.db, token)).toEqual([
      { iss: 'market-regulation-nmg', code: 'contract.rows_refused' },
    ])
  })

  test('a row whose version is known already changes nothing, and of two rows of one document the later version wins', async () => {
    const before = row(COMPANY, { certificateVersion: '700', premises: '旧址' })
    const after = row(COMPANY, { certificateVersion: '701', premises: '新址' })
    expect((await authority.push(load(after, before))).status).toBe(202)
    expect((await authority.push(load(before))).status).toBe(202)
    const [document] = await fetched(COMPANY)
    expect(at(document, 'data', 'premises')).toBe('新址')
  })

  test('a licence that comes alone takes the place of the one that a load brought', async () => {
    expect((await authority.push(licence(COMPANY, { certificateVersion: '800', premises: '另址' }))).status).toBe(202)
    const [document] = await fetched(COMPANY)
    expect(at(document, 'data', 'premises')).toBe('另址')
  })

  test('a line of a batch carries the refusal of its rows', async () => {
    const body = `${JSON.stringify({ token: authority.exchange(load(row(COMPANY), row(OTHER, { status: '42' }))) })}\n`
    const headers = { 'content-type': 'application/x-ndjson' }
    const [line] = (await hub.post('/v1/exchanges/batch', body, headers)).text.split('\n')
    const { receipt, refusal } = JSON.parse(line ?? '') as JsonObject
    expect((await hub.verified(receipt))['of']).toMatchObject({ contract: 'business-licence-load@1' })
    expect(at(await hub.verified(refusal), 'problem', 'code')).toBe('contract.rows_refused')
  })

  test('by the bus the receipt is followed by the refusal of the rows', async () => {
    const { bus, accept, db } = hub.core
    const decrypt = (value: string): Promise<string> => decryptWith(hub.core.decryption, value)
    const onError = (error: unknown): never => expect.fail(String(error))
    const door = await openKafkaDoor({ bus, hubId: 'dianqiao', accept, decrypt, onError }, [authority.id])
    const token = authority.exchange(load(row(COMPANY), row(OTHER, { status: '42' })))
    const value = await hub.wrapped(token)
    await bus.publish(`dx.in.${authority.id}`, [{ key: 'k', value, headers: {} }])
    await eventually(async () => {
      const { rows } = await sql<{ value: Buffer; headers: JsonObject }>`
        SELECT value, headers FROM bus_log WHERE topic = ${`dx.receipt.${authority.id}`} ORDER BY pos`.execute(db)
      expect(rows.map(({ headers }) => headers['ce_type'])).toEqual(['receipt', 'refusal'])
      const refusal = await hub.verified(hub.opened(rows[1]?.value ?? Buffer.alloc(0)))
      expect(at(refusal, 'problem', 'violations', 0, 'pointer')).toBe('/rows/1/status')
    })
    await door.close()
  })

  test('nobody but a provider of the rows’ own contract may load them, and no more than 200', async () => {
    const foreign = await utility.push(load(row(COMPANY)))
    expect([foreign.status, problem(foreign)['code']]).toEqual([403, 'right.missing'])
    const many = Array.from({ length: 201 }, () => ({ status: '01' }))
    const tooMany = await authority.push(load(...many))
    expect([tooMany.status, problem(tooMany)['code']]).toEqual([422, 'contract.schema_violated'])
  })
})
