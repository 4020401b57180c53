import { randomUUID } from 'node:crypto'
import { sql } from 'kysely'
import { afterAll, beforeAll, expect, test } from 'vitest'
import type { JsonObject } from '#kernel/json.ts'
import { withDatabase } from '../support/database.ts'
import { type Answer, at, HUB_URL, openTestHub, type TestHub, type TestParty } from '../support/hub.ts'
import { acknowledgement, affair, application, newNumber, result } from './messages.ts'

const now = (): number => Math.floor(Date.now() / 1000)

withDatabase('what the gateway tells', (databaseUrl) => {
  let hub: TestHub
  let chifeng: TestParty
  let hohhot: TestParty
  beforeAll(async () => {
    hub = await openTestHub(databaseUrl)
    chifeng = hub.party('platform-chifeng')
    hohhot = hub.party('platform-hohhot')
  })
  afterAll(() => hub.close())

  async function pushed(party: TestParty, message: Parameters<TestParty['push']>[0]): Promise<string> {
    const answer = await party.push(message)
    expect(answer.status, answer.text).toBe(202)
    return String((await hub.verified(answer.text))['exchange'])
  }

  const withoutInstance = ({ json }: Answer): JsonObject => ({ ...json, instance: '', refusal: '' })

  test('an exchange is shown to its sender and to the party it was sent for, and to nobody else', async () => {
    const exchange = await pushed(chifeng, { ...result(newNumber()), obo: 'platform-ningcheng' })
    for (const party of [chifeng, hub.party('platform-ningcheng')]) {
      const status = await party.get(`/v1/exchanges/${exchange}`)
      expect(status.status).toBe(200)
      expect(status.json).toMatchObject({ exchange, contract: 'approval-result@1' })
    }
    const foreign = await hohhot.get(`/v1/exchanges/${exchange}`)
    expect([foreign.status, foreign.json['code']]).toEqual([404, 'exchange.not_found'])
    for (const unknown of [randomUUID(), 'x', '%00', '%ff', "'--"]) {
      const answer = await hohhot.get(`/v1/exchanges/${unknown}`)
      expect(answer.status).toBe(404)
      expect(withoutInstance(answer)).toEqual(withoutInstance(foreign))
    }
  })

  test.each<[string, number, string, object]>([
    ['for another method', 422, 'token.claims_invalid', { htm: 'POST' }],
    ['for another path', 422, 'token.claims_invalid', { htu: `${HUB_URL}/v1/inbox/acks` }],
    ['for another host', 422, 'token.claims_invalid', { htu: 'http://elsewhere.test/v1/inbox' }],
    ['with a query in htu', 422, 'token.claims_invalid', { htu: `${HUB_URL}/v1/inbox?limit=1` }],
    ['without htu', 422, 'token.claims_invalid', { htu: undefined }],
    ['with a claim more', 422, 'token.claims_invalid', { scope: 'all' }],
    ['that has expired', 401, 'token.expired', { iat: now() - 100, exp: now() - 50 }],
    ['for another hub', 401, 'token.audience_wrong', { aud: 'elsewhere' }],
  ])('a request token %s is %i %s', async (_name, status, code, claims) => {
    const answer = await chifeng.get('/v1/inbox', claims)
    expect([answer.status, answer.json['code']]).toEqual([status, code])
  })

  test('a request token lives 60 s at most, and 10 min for the inbox', async () => {
    const exchange = await pushed(chifeng, result(newNumber()))
    const status = `/v1/exchanges/${exchange}`
    expect((await chifeng.get(status, { exp: now() + 60, iat: now() })).status).toBe(200)
    expect((await chifeng.get(status, { exp: now() + 61, iat: now() })).json['code']).toBe('token.lifetime_too_long')
    expect((await chifeng.get('/v1/inbox', { exp: now() + 600, iat: now() })).status).toBe(200)
    expect((await chifeng.get('/v1/inbox', { exp: now() + 601, iat: now() })).json['code']).toBe(
      'token.lifetime_too_long',
    )
  })

  test('a request token may be used again until it expires', async () => {
    const claims = { htm: 'GET', htu: `${HUB_URL}/v1/inbox` }
    const headers = { authorization: `Bearer ${chifeng.sign('request+jwt', claims)}` }
    for (let use = 0; use < 3; use++) expect((await hub.request('/v1/inbox?limit=1', { headers })).status).toBe(200)
  })

  test.each([
    [{}],
    [{ authorization: 'Basic YTpi' }],
    [{ authorization: 'Bearer' }],
    [{ authorization: 'Bearer a.b.c' }],
    [{ authorization: 'Bearer  x y' }],
  ])('%j proves nobody: 401', async (headers) => {
    for (const path of ['/v1/inbox', `/v1/exchanges/${randomUUID()}`, '/v1/cases/A-1']) {
      const answer = await hub.request(path, { headers })
      expect([answer.status, answer.json['code']]).toEqual([401, 'token.malformed'])
      expect(answer.headers.get('www-authenticate')).toMatch(/^Bearer/)
    }
  })

  test('an exchange token is no request token, and a request token no exchange', async () => {
    const exchange = chifeng.exchange(result(newNumber()))
    const answer = await hub.request('/v1/inbox', { headers: { authorization: `Bearer ${exchange}` } })
    expect(answer.json['code']).toBe('token.type_wrong')
    const request = chifeng.sign('request+jwt', { htm: 'POST', htu: `${HUB_URL}/v1/exchanges` })
    expect((await hub.post('/v1/exchanges', request)).json['code']).toBe('token.type_wrong')
  })

  const inbox = async (party: TestParty, query = 'limit=100'): Promise<JsonObject[]> =>
    (await party.get(`/v1/inbox?${query}`)).json['deliveries'] as JsonObject[]

  test('the inbox leases the head of each key, an ack frees the next, and a lapsed lease is handed out again', async () => {
    const utility = hub.party('inner-mongolia-power')
    const sent: string[] = []
    const no = newNumber('MW')
    for (const remarks of ['一', '二']) {
      const message = application(no, { utility: utility.id, division: '150102' })
      sent.push(await pushed(utility, { ...message, data: { ...message.data, remarks } }))
    }
    await hub.settle()
    const [head, ...others] = await inbox(hohhot)
    expect(others).toEqual([])
    expect(head).toMatchObject({ exchange: sent[0], recipient: 'platform-hohhot', contract: 'power-application@1' })
    expect(await inbox(hohhot)).toEqual([])

    await sql`UPDATE delivery SET lease_until = now() - interval '1 s' WHERE id = ${String(head?.['delivery'])}`.execute(
      hub.core.db,
    )
    expect((await inbox(hohhot)).map(({ delivery }) => delivery)).toEqual([head?.['delivery']])

    const receipt = await hub.verified(head?.['receipt'])
    expect(at(receipt, 'of', 'iss')).toBe('inner-mongolia-power')
    await pushed(hohhot, acknowledgement(String(head?.['delivery'])))
    await hub.settle()
    expect((await inbox(hohhot)).map(({ exchange }) => exchange)).toEqual([sent[1]])
    const status = await utility.get(`/v1/exchanges/${sent[0]}`)
    expect(at(status.json, 'deliveries', 0)).toMatchObject({ state: 'acknowledged', recipientRef: 'REF-1' })
  })

  test('an ack of somebody else’s delivery changes nothing', async () => {
    const utility = hub.party('inner-mongolia-power')
    const exchange = await pushed(utility, application(newNumber('MW'), { utility: utility.id, division: '150202' }))
    await hub.settle()
    const baotou = hub.party('platform-baotou')
    const delivery = String((await inbox(baotou)).find((one) => one['exchange'] === exchange)?.['delivery'])
    await pushed(hohhot, acknowledgement(delivery))
    await hub.settle()
    expect(at((await utility.get(`/v1/exchanges/${exchange}`)).json, 'deliveries', 0, 'state')).toBe('delivering')
    await pushed(baotou, acknowledgement(delivery, { outcome: 'rejected', code: 'no-such-item' }))
    await hub.settle()
    expect(at((await utility.get(`/v1/exchanges/${exchange}`)).json, 'deliveries', 0, 'state')).toBe('dead')
  })

  test('the inbox waits for what comes, and ends when the time is up', async () => {
    const began = performance.now()
    expect(await inbox(hub.party('platform-alxa'), 'wait=1')).toEqual([])
    expect(performance.now() - began).toBeGreaterThan(900)
    const waiting = inbox(hub.party('platform-wuhai'), 'wait=10')
    const utility = hub.party('inner-mongolia-power')
    await pushed(utility, application(newNumber('MW'), { utility: utility.id, division: '150302' }))
    await hub.settle()
    expect(await waiting).toHaveLength(1)
  })

  test.each(['limit=101', 'limit=-1', 'limit=x', 'wait=21', 'limit=1.5'])('inbox?%s is 400', async (query) => {
    const answer = await chifeng.get(`/v1/inbox?${query}`)
    expect([answer.status, answer.json['code']]).toEqual([400, 'http.bad_request'])
    expect(at(answer.json, 'violations', 0, 'pointer')).toBe(`/${query.split('=')[0]}`)
  })

  test('a case is told by any of its numbers, to its parties alone', async () => {
    const applicationNo = newNumber('ME')
    const affairNo = newNumber('CF')
    await pushed(chifeng, application(applicationNo, { aliases: [affair(chifeng.id, affairNo)] }))
    await pushed(chifeng, result(affairNo))
    await hub.settle()
    const byNumber = await chifeng.get(`/v1/cases/${applicationNo}`)
    expect(byNumber.status).toBe(200)
    expect(await chifeng.get(`/v1/cases/${affairNo}`)).toMatchObject({ text: byNumber.text })
    const [found] = byNumber.json as unknown as JsonObject[]
    expect(found).toMatchObject({ division: '150402', utility: 'state-grid-east', state: 'open' })
    const events = found?.['events'] as unknown as JsonObject[]
    expect(events.map(({ contract }) => contract)).toEqual(['power-application@1', 'approval-result@1'])
    const byCaseNo = await hub.party('state-grid-east').get(`/v1/cases/${String(found?.['caseNo'])}`)
    expect(byCaseNo.text).toBe(byNumber.text)
    const foreign = await hohhot.get(`/v1/cases/${applicationNo}`)
    expect([foreign.status, foreign.json['code']]).toEqual([404, 'case.not_found'])
    for (const unknown of [newNumber(), '%ff', "'--", '%F0%9F%98%80']) {
      const answer = await hohhot.get(`/v1/cases/${unknown}`)
      expect(answer.status, unknown).toBe(404)
      expect(withoutInstance(answer)).toEqual(withoutInstance(foreign))
    }
  })

  test.each(['%00', 'a%00b', '%0a'])('a case number with a control character (%s) is 400', async (number) => {
    const answer = await chifeng.get(`/v1/cases/${number}`)
    expect([answer.status, answer.json['code']]).toEqual([400, 'http.bad_request'])
  })

  test('an identifier that is too long is 400, a request token that is too long 413', async () => {
    for (const path of [`/v1/exchanges/${'x'.repeat(65)}`, `/v1/cases/${'x'.repeat(65)}`]) {
      const answer = await chifeng.get(path)
      expect([answer.status, answer.json['code']]).toEqual([400, 'http.bad_request'])
    }
    const long = await chifeng.get('/v1/inbox', { padding: 'x'.repeat(5_000) })
    expect([long.status, long.json['code']]).toEqual([413, 'token.too_large'])
  })

  test('the time of the hub, its keys, its contracts and their schemas are open to anybody', async () => {
    const time = await hub.request('/v1/time')
    expect(Math.abs(Number(time.json['epochMs']) - Date.now())).toBeLessThan(2_000)
    expect(Date.parse(String(time.json['time']))).toBe(time.json['epochMs'])
    expect(time.headers.get('cache-control')).toBe('no-store')

    const jwks = await hub.request('/.well-known/jwks.json')
    for (const key of jwks.json['keys'] as JsonObject[]) {
      expect(key).toMatchObject({ kty: 'EC', crv: 'P-256', kid: expect.any(String) })
      for (const secret of ['d', 'p', 'q', 'k']) expect(key).not.toHaveProperty(secret)
    }
    const kinds = (jwks.json['keys'] as JsonObject[]).map(({ alg, use }) => [use, alg])
    expect(kinds).toEqual([
      ['sig', 'ES256'],
      ['enc', 'ECDH-ES'],
    ])
    const list = (await hub.request('/v1/contracts')).json['contracts'] as JsonObject[]
    expect(list.map(({ ref }) => ref)).toContain('approval-result@1')
    for (const { ref } of list) {
      const schema = await hub.request(`/v1/contracts/${String(ref)}/schema`)
      expect(schema.headers.get('content-type')).toBe('application/schema+json')
      expect(schema.json['$id']).toMatch(/\.json$/)
    }
    expect((await hub.request('/v1/contracts/nothing@1/schema')).status).toBe(404)
  })

  test('live and ready say so', async () => {
    expect((await hub.request('/health/live')).json).toEqual({ status: 'ok' })
    expect((await hub.request('/health/ready')).json).toEqual({ status: 'ready', causes: [] })
  })

  test('who proves no party is told that, and nothing about the parameters', async () => {
    const long = 'a'.repeat(65)
    for (const path of [`/v1/cases/${long}`, `/v1/exchanges/${long}`, '/v1/inbox?limit=4697', '/v1/files/none']) {
      const answer = await hub.request(path)
      expect([answer.status, answer.json['code']], path).toEqual([401, 'token.malformed'])
    }
  })

  test('the API document has patterns that every engine reads, and the bounds that are held', async () => {
    const { json } = await hub.request('/openapi.json')
    const patterns = [...JSON.stringify(json).matchAll(/"pattern":("(?:[^"\\]|\\.)*")/g)]
    const texts = patterns.map(([, quoted = '""']) => JSON.parse(quoted) as string)
    expect(texts.length).toBeGreaterThan(5)
    for (const text of texts) {
      expect(text).toMatch(/^\^.*\$$/)
      expect(text).not.toContain('\\P{')
      expect(() => new RegExp(text, 'u')).not.toThrow()
    }
    const parameters = JSON.parse(JSON.stringify(json)).paths['/v1/inbox'].get.parameters
    expect(parameters).toMatchObject([{ schema: { maximum: 100 } }, { schema: { maximum: 20 } }])
  })

  test('another method is 405 with what is allowed, another path 404, both as problems', async () => {
    for (const [method, path, allow] of [
      ['PUT', '/v1/exchanges', 'POST'],
      ['GET', '/v1/exchanges', 'POST'],
      ['OPTIONS', '/v1/exchanges/batch', 'POST'],
      ['DELETE', `/v1/exchanges/${randomUUID()}`, 'GET'],
      ['PATCH', '/v1/queries', 'POST'],
      ['POST', '/v1/inbox', 'GET'],
      ['POST', '/health/live', 'GET'],
      ['POST', '/openapi.json', 'GET'],
    ] as const) {
      const answer = await hub.request(path, { method })
      expect([answer.status, answer.json['code'], answer.headers.get('allow')]).toEqual([
        405,
        'http.method_not_allowed',
        allow,
      ])
    }
    for (const path of ['/', '/v1', '/v2/exchanges', '/v1/exchanges/a/b', '/.env', '/v1/cases']) {
      const answer = await hub.request(path)
      expect([answer.status, answer.json['code']], path).toEqual([404, 'http.not_found'])
      expect(answer.headers.get('content-type')).toBe('application/problem+json')
    }
  })
})
