import { randomUUID } from 'node:crypto'
import { sql } from 'kysely'
import { afterAll, beforeAll, expect, test } from 'vitest'
import type { JsonObject } from '#kernel/json.ts'
import { withDatabase } from '../support/database.ts'
import { openTestHub, type TestHub, type TestParty } from '../support/hub.ts'
import { application, newNumber, result } from './messages.ts'
import { digestOf, problem, recordedRefusals } from './problem.ts'

const now = (): number => Math.floor(Date.now() / 1000)

withDatabase('POST /v1/exchanges', (databaseUrl) => {
  let hub: TestHub
  let chifeng: TestParty
  beforeAll(async () => {
    hub = await openTestHub(databaseUrl)
    chifeng = hub.party('platform-chifeng')
  })
  afterAll(() => hub.close())

  test('an accepted exchange answers 202 with a receipt that speaks of exactly this token', async () => {
    const token = chifeng.exchange(result(newNumber()))
    const answer = await hub.post('/v1/exchanges', token)
    expect(answer.status).toBe(202)
    expect(answer.headers.get('content-type')).toBe('application/jwt')
    expect(answer.headers.get('idempotency-replayed')).toBeNull()
    const receipt = await hub.verified(answer.text)
    expect(receipt).toMatchObject({ iss: 'dianqiao', aud: 'platform-chifeng', origin: 'party-signed' })
    expect(receipt['of']).toMatchObject({
      iss: 'platform-chifeng',
      contract: 'approval-result@1',
      tokenDigest: digestOf(token),
    })
    const stored = await sql<{ token: Buffer; pos: string }>`
      SELECT e.token, l.pos FROM exchange e JOIN log l ON l.exchange = e.id
      WHERE e.id = ${String(receipt['exchange'])}`.execute(hub.core.db)
    expect(hub.opened(stored.rows[0]?.token)).toBe(token)
    expect(Number(stored.rows[0]?.pos)).toBeGreaterThan(Number(receipt['posAfter']))
  })

  test('Accept: application/json answers the same receipt as JSON', async () => {
    const token = chifeng.exchange(result(newNumber()))
    const json = await hub.post('/v1/exchanges', token, { accept: 'application/json' })
    expect(json.status).toBe(202)
    expect(json.headers.get('content-type')).toBe('application/json')
    const receipt = await hub.verified(json.json['receipt'])
    expect(receipt['exchange']).toBe(json.json['exchange'])
    const again = await hub.post('/v1/exchanges', token)
    expect(again.text).toBe(json.json['receipt'])
  })

  test('a second push of the same approval answers the first receipt, byte for byte, however it is signed', async () => {
    const message = result(newNumber())
    const jti = randomUUID()
    const first = await chifeng.push(message, { jti })
    const again = await chifeng.push(message, { jti, iat: now() - 5, exp: now() + 100 })
    expect(again.status).toBe(200)
    expect(again.headers.get('idempotency-replayed')).toBe('true')
    expect(again.text).toBe(first.text)
  })

  test('many pushes of one jti at once commit one exchange and answer one receipt', async () => {
    const message = result(newNumber())
    const jti = randomUUID()
    const answers = await Promise.all(Array.from({ length: 20 }, () => chifeng.push(message, { jti })))
    expect(new Set(answers.map((answer) => answer.text)).size).toBe(1)
    expect(answers.filter((answer) => answer.status === 202)).toHaveLength(1)
    const { rows } = await sql`SELECT 1 FROM exchange WHERE jti = ${jti}`.execute(hub.core.db)
    expect(rows).toHaveLength(1)
  })

  test.each([
    ['data', { data: { remarks: '另一内容' } }],
    ['sub', { sub: 'other', data: { affairNo: 'other' } }],
    ['caseNo', { caseNo: 'CASE-1' }],
    ['contract', { contract: 'power-application@1' }],
  ])('the same jti with another %s is a signed conflict', async (_name, change) => {
    const message = result(newNumber())
    const jti = randomUUID()
    expect((await chifeng.push(message, { jti })).status).toBe(202)
    const { data, ...rest } = change as { data?: JsonObject }
    const token = chifeng.exchange(message, { jti, ...rest, data: { ...message.data, ...data } })
    const answer = await hub.post('/v1/exchanges', token)
    expect(answer.status).toBe(409)
    expect(problem(answer)['code']).toBe('exchange.conflict')
    const refusal = await hub.verified(answer.json['refusal'])
    expect(refusal).toMatchObject({ aud: 'platform-chifeng', problem: { code: 'exchange.conflict', status: 409 } })
    expect(await recordedRefusals(hub.core.db, token)).toEqual([{ iss: 'platform-chifeng', code: 'exchange.conflict' }])
  })

  test('what was refused earlier is judged anew under the same jti', async () => {
    const message = result(newNumber())
    const jti = randomUUID()
    const wrong = { ...message.data, resultState: 'yes' }
    expect((await chifeng.push(message, { jti, data: wrong })).status).toBe(422)
    expect((await chifeng.push(message, { jti })).status).toBe(202)
  })

  test('an expired token whose content was accepted answers the original receipt', async () => {
    const message = result(newNumber())
    const jti = randomUUID()
    const first = await chifeng.push(message, { jti })
    const late = await chifeng.push(message, { jti, iat: now() - 500, exp: now() - 10 })
    expect([late.status, late.text]).toEqual([200, first.text])
    const other = { ...message.data, remarks: '另一内容' }
    const conflict = await chifeng.push(message, { jti, iat: now() - 500, exp: now() - 10, data: other })
    expect(conflict.json['code']).toBe('exchange.conflict')
  })

  test('an expired token that was never seen is refused with the hub time and the offset', async () => {
    const answer = await chifeng.push(result(newNumber()), { iat: now() - 500, exp: now() - 100 })
    expect(answer.status).toBe(401)
    const { code, detail } = problem(answer)
    expect(code).toBe('token.expired')
    expect(detail).toMatch(/20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d/)
    expect(detail).toMatch(/-10[0-9](\.\d+)? s off/)
  })

  test('a right that is taken away does not take back the original receipt', async () => {
    const message = { ...result(newNumber()), obo: 'platform-ningcheng' }
    const jti = randomUUID()
    const first = await chifeng.push(message, { jti })
    expect(first.status).toBe(202)
    const mandates = sql`principal = 'platform-ningcheng' AND contract = 'approval-result@1'`
    await sql`UPDATE mandate SET valid_to = now() WHERE ${mandates}`.execute(hub.core.db)
    await hub.core.register.refresh()
    const unseen = await chifeng.push({ ...result(newNumber()), obo: 'platform-ningcheng' })
    expect(problem(unseen)['code']).toBe('right.no_mandate')
    expect((await chifeng.push(message, { jti })).text).toBe(first.text)
    await sql`UPDATE mandate SET valid_to = NULL WHERE ${mandates}`.execute(hub.core.db)
    await hub.core.register.refresh()
  })

  test('a body over 1 MiB is 413, whether its length was announced or not', async () => {
    const body = 'a'.repeat(1_048_577)
    const announced = await hub.post('/v1/exchanges', body, { 'content-length': String(body.length) })
    expect([announced.status, problem(announced)['code']]).toEqual([413, 'http.body_too_large'])
    const streamed = await hub.post('/v1/exchanges', body)
    expect(streamed.status).toBe(413)
  })

  test.each(['text/plain', 'application/json', 'application/jwt2', ''])('Content-Type %j is 415', async (type) => {
    const answer = await hub.post('/v1/exchanges', chifeng.exchange(result(newNumber())), { 'content-type': type })
    expect([answer.status, problem(answer)['code']]).toEqual([415, 'http.unsupported_media_type'])
  })

  test('parameters and letter case of the media type do not matter', async () => {
    const type = { 'content-type': 'Application/JWT; charset=utf-8' }
    expect((await hub.post('/v1/exchanges', chifeng.exchange(result(newNumber())), type)).status).toBe(202)
  })

  test('a utility may send an application; its origin and its deliveries are in the status', async () => {
    const utility = hub.party('state-grid-east')
    const answer = await utility.push(application(newNumber('ME')))
    const { exchange } = await hub.verified(answer.text)
    const status = await utility.get(`/v1/exchanges/${String(exchange)}`)
    expect(status.json).toMatchObject({ exchange, origin: 'party-signed', receipt: answer.text })
    expect((status.json['deliveries'] as JsonObject[]).map(({ recipient }) => recipient)).toEqual(['platform-chifeng'])
  })
})
