import { createHash, randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { connect } from 'node:net'
import { sql } from 'kysely'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { composeGateway } from '#compose-gateway.ts'
import { isEvidenceSound } from '#exchange/plain-evidence.ts'
import { KEEP_NONCES_SECONDS } from '#exchange/prove-plain.ts'
import { verifyDelivery } from '#exchange/verify-delivery.ts'
import { type RunningServer, startServer } from '#gateway/http/server.ts'
import { endAppKey } from '#parties/app-keys.ts'
import { findPlainEvidence, insertPlainEvidence, pruneNonces } from '#store/app-key-queries.ts'
import { findExchange } from '#store/exchange-queries.ts'
import { withDatabase } from '../support/database.ts'
import { type Answer, at, HUB_URL, openTestHub, type TestHub } from '../support/hub.ts'
import { application, licence, newNumber, result } from './messages.ts'
import { issue, type PlainKey, type PlainParts, sendPlain, signedHeaders } from './plain-client.ts'
import { problem } from './problem.ts'

const RESULT = 'approval-result@1'
const PATH = `/v1/plain/${RESULT}`
const NINGCHENG = 'platform-ningcheng'

const digestOf = (body: string): string => `sha-256:${createHash('sha256').update(body).digest('base64url')}`
const bodyOf = (affairNo = newNumber()): string => JSON.stringify(result(affairNo).data)

withDatabase('POST /v1/plain/{contract}', (databaseUrl) => {
  let hub: TestHub
  let key: PlainKey
  let server: RunningServer
  beforeAll(async () => {
    hub = await openTestHub(databaseUrl)
    key = await issue(hub, NINGCHENG)
    server = await startServer(
      composeGateway(hub.core, () => server.url),
      { host: '127.0.0.1', port: 0 },
    )
  })
  afterAll(async () => {
    await server.stop(1_000)
    await hub.close()
  })

  const send = (parts: Partial<PlainParts> = {}, headers: Record<string, string> = {}, as = key): Promise<Answer> => {
    const whole = { contract: RESULT, body: bodyOf(), ...parts }
    return sendPlain(hub.app, `/v1/plain/${whole.contract}`, { ...signedHeaders(as, whole), ...headers }, whole.body)
  }
  const code = (answer: Answer): unknown => [answer.status, problem(answer)['code']]
  const refusals = async (): Promise<{ code: string; token_digest: string }[]> =>
    (
      await sql<{ code: string; token_digest: string }>`SELECT code, token_digest FROM refusal ORDER BY id`.execute(
        hub.core.db,
      )
    ).rows

  test('plain JSON gets a signed receipt of origin mac-attested that speaks of exactly these bytes', async () => {
    const body = bodyOf()
    const requestId = randomUUID()
    const answer = await send({ body, requestId })
    expect([answer.status, answer.headers.get('content-type')]).toEqual([202, 'application/json'])
    const receipt = await hub.verified(answer.json['receipt'])
    expect(receipt).toMatchObject({ iss: 'dianqiao', aud: NINGCHENG, origin: 'mac-attested' })
    expect(receipt['exchange']).toBe(answer.json['exchange'])
    expect(receipt['of']).toMatchObject({
      iss: NINGCHENG,
      jti: requestId,
      contract: RESULT,
      bodyDigest: digestOf(body),
    })
  })

  test('its sender finds it by its status, with its origin, and it is a party of its case', async () => {
    const utility = hub.party('state-grid-east')
    const affairNo = newNumber()
    const number = newNumber('ME')
    await utility.push(
      application(number, {
        division: '150429',
        aliases: [{ scheme: 'affair-no', issuer: NINGCHENG, number: affairNo }],
      }),
    )
    const answer = await send({ body: bodyOf(affairNo) })
    await hub.settle()
    const status = await hub.party(NINGCHENG).get(`/v1/exchanges/${String(answer.json['exchange'])}`)
    expect(status.json).toMatchObject({ origin: 'mac-attested', receipt: answer.json['receipt'] })
    expect(at(status.json, 'deliveries', 0, 'recipient')).toBe('state-grid-east')
    expect(at((await hub.party(NINGCHENG).get(`/v1/cases/${number}`)).json, 0, 'events', 1, 'exchange')).toBe(
      answer.json['exchange'],
    )
    const stranger = await hub.party('platform-hohhot').get(`/v1/exchanges/${String(answer.json['exchange'])}`)
    expect(stranger.status).toBe(404)
  })

  describe('what a recipient gets', () => {
    const delivered = async (): Promise<{ token: string; receipt: string }> => {
      const { json } = await send()
      const found = await findExchange(hub.core.db, String(json['exchange']))
      if (found === undefined) throw new Error('no exchange')
      return { token: hub.core.vault.open(found.token).toString('latin1'), receipt: found.receipt }
    }
    const verifier = () => ({
      hubId: 'dianqiao',
      hubKey: (kid: string) => hub.core.keyRing.publicKeys.find((one) => one.kid === kid),
      issuerKey: (iss: string, kid: string) => {
        const found = hub.core.register.key(kid)
        return found?.party === iss ? found.publicKey : undefined
      },
    })

    test('it verifies with the published keys of the hub, and names the sender in obo', async () => {
      const { claims } = verifyDelivery(verifier(), await delivered())
      expect(claims).toMatchObject({ iss: 'dianqiao', obo: NINGCHENG, contract: RESULT })
    })

    test('who brings it back to a door is nobody by it, and is recorded as nobody', async () => {
      const { token } = await delivered()
      const before = (await refusals()).length
      const answer = await hub.post('/v1/exchanges', token)
      expect(code(answer)).toEqual([401, 'token.key_foreign'])
      expect(await refusals()).toHaveLength(before)
    })

    test('a receipt of another origin, or for another sender, does not fit it', async () => {
      const { token, receipt } = await delivered()
      const claims = await hub.verified(receipt)
      const forged = (change: object): string => hub.core.signer.sign('receipt+jwt', { ...claims, ...change })
      for (const change of [
        { origin: 'party-signed' },
        { of: { ...(claims['of'] as object), iss: 'platform-chifeng' } },
        { of: { ...(claims['of'] as object), iss: 'dianqiao' } },
      ]) {
        expect(() => verifyDelivery(verifier(), { token, receipt: forged(change) })).toThrow(
          expect.objectContaining({ code: 'delivery.receipt_invalid' }),
        )
      }
    })
  })

  test('what came of the same bytes under another contract does not stand in its place', async () => {
    const { db } = hub.core
    const row = (contract: string) => ({
      ...{ iss: NINGCHENG, jti: 'request-0001', contract, bodyDigest: digestOf('{}') },
      ...{ appKey: key.id, request: Buffer.from(contract), receivedAtMs: Date.now() },
    })
    for (const contract of [RESULT, 'approval-result@2']) await insertPlainEvidence(db, row(contract))
    for (const contract of [RESULT, 'approval-result@2']) {
      expect((await findPlainEvidence(db, row(contract)))?.request.toString()).toBe(contract)
    }
  })

  test('the raw request and its MAC are kept, sealed, and the MAC can be made again', async () => {
    const body = ` ${bodyOf()} `
    const { json } = await send({ body })
    const { of } = (await hub.verified(json['receipt'])) as { of: { jti: string; bodyDigest: string } }
    const { rows } = await sql<{ request: Buffer; app_key: string }>`
      SELECT request, app_key FROM plain_evidence WHERE jti = ${of.jti} AND body_digest = ${of.bodyDigest}`.execute(
      hub.core.db,
    )
    expect(rows).toHaveLength(1)
    const stored = rows[0]?.request ?? Buffer.alloc(0)
    expect(stored.includes(Buffer.from('affairNo'))).toBe(false)
    const evidence = hub.core.vault.open(stored)
    expect(evidence.toString('utf8').endsWith(`\r\n\r\n${body}`)).toBe(true)
    expect(isEvidenceSound(evidence, key.secret)).toBe(true)
    evidence[evidence.length - 3] = 0x20
    expect(isEvidenceSound(evidence, key.secret)).toBe(false)
  })

  describe('again', () => {
    test('the same request id and content with a new nonce answers the original receipt', async () => {
      const parts = { body: bodyOf(), requestId: randomUUID() }
      const first = await send(parts)
      const again = await send(parts)
      expect([again.status, again.headers.get('idempotency-replayed')]).toEqual([200, 'true'])
      expect(again.text).toBe(first.text)
    })

    test('the same content in other bytes is the same content', async () => {
      const data = JSON.parse(bodyOf()) as object
      const requestId = randomUUID()
      const first = await send({ body: JSON.stringify(data), requestId })
      const again = await send({ body: JSON.stringify(data, null, 2), requestId })
      expect([again.status, again.text]).toEqual([200, first.text])
    })

    test('twenty at once commit one exchange and answer one receipt', async () => {
      const parts = { body: bodyOf(), requestId: randomUUID() }
      const answers = await Promise.all(Array.from({ length: 20 }, () => send(parts)))
      expect(new Set(answers.map(({ text }) => text)).size).toBe(1)
      expect(answers.filter(({ status }) => status === 202)).toHaveLength(1)
    })

    test('other content is a conflict, signed and recorded', async () => {
      const requestId = randomUUID()
      await send({ requestId })
      const body = bodyOf()
      const answer = await send({ body, requestId })
      expect(code(answer)).toEqual([409, 'exchange.conflict'])
      expect(await hub.verified(answer.json['refusal'])).toMatchObject({ of: { tokenDigest: digestOf(body) } })
    })

    test('the door does not matter: one (party, id) is one exchange', async () => {
      const message = result(newNumber())
      const jti = randomUUID()
      const signed = await hub.party(NINGCHENG).push(message, { jti })
      const plain = await send({ body: JSON.stringify(message.data), requestId: jti })
      expect([plain.status, plain.json['receipt']]).toEqual([200, signed.text])
      const other = await send({ requestId: jti })
      expect(code(other)).toEqual([409, 'exchange.conflict'])
      const first = await send({ body: JSON.stringify(message.data), requestId: `${jti}.p` })
      const later = await hub.party(NINGCHENG).push(message, { jti: `${jti}.p` })
      expect([later.status, later.text]).toEqual([200, first.json['receipt']])
    })

    test('a retry gets its receipt though the contract was taken from the AppKey since', async () => {
      const narrow = await issue(hub, NINGCHENG)
      const parts = { body: bodyOf(), requestId: randomUUID() }
      const first = await send(parts, {}, narrow)
      await sql`UPDATE party SET roles = '{}' WHERE id = ${NINGCHENG}`.execute(hub.core.db)
      await hub.core.register.refresh()
      const again = await send(parts, {}, narrow)
      const fresh = await send({}, {}, narrow)
      await sql`UPDATE party SET roles = '{approval-platform}' WHERE id = ${NINGCHENG}`.execute(hub.core.db)
      await hub.core.register.refresh()
      expect([again.status, again.text]).toEqual([200, first.text])
      expect(code(fresh)).toEqual([403, 'right.missing'])
    })
  })

  describe('what proves nobody: 401, no record, no signature', () => {
    const sha = (): PlainKey => key
    const cases: readonly (readonly [string, string, () => Promise<Answer>])[] = [
      [
        'no headers',
        'appkey.headers_invalid',
        () => sendPlain(hub.app, PATH, { 'content-type': 'application/json' }, bodyOf()),
      ],
      ['an unknown AppKey', 'appkey.unknown', () => send({}, {}, { ...sha(), id: `ak-${'0'.repeat(24)}` })],
      ['a wrong secret', 'appkey.sign_invalid', () => send({}, {}, { ...sha(), secret: 'x'.repeat(43) })],
      [
        'the secret in other bytes',
        'appkey.sign_invalid',
        () => send({}, {}, { ...sha(), secret: `${sha().secret}\n` }),
      ],
      ['a signature over another path', 'appkey.sign_invalid', () => send({ path: '/v1/plain/power-application@1' })],
      [
        'a signature over another body',
        'appkey.sign_invalid',
        () => {
          const headers = signedHeaders(key, { contract: RESULT, body: bodyOf() })
          return sendPlain(hub.app, PATH, headers, bodyOf())
        },
      ],
      [
        'a signature for another contract',
        'appkey.sign_invalid',
        () => {
          const body = bodyOf()
          return sendPlain(
            hub.app,
            '/v1/plain/power-application@1',
            signedHeaders(key, { contract: RESULT, body }),
            body,
          )
        },
      ],
      ['another request id', 'appkey.sign_invalid', () => send({}, { 'x-request-id': randomUUID() })],
      ['another nonce', 'appkey.sign_invalid', () => send({}, { 'x-nonce': randomUUID() })],
      ['another timestamp', 'appkey.sign_invalid', () => send({}, { 'x-timestamp': String(Date.now() + 1) })],
      ['half a sign', 'appkey.headers_invalid', () => send({ sign: 'a'.repeat(32) })],
      ['an empty sign', 'appkey.headers_invalid', () => send({ sign: '' })],
      [
        'a sign in capitals',
        'appkey.headers_invalid',
        () => {
          const headers = signedHeaders(key, { contract: RESULT, body: bodyOf() })
          return send({}, { 'x-sign': String(headers['x-sign']).toUpperCase().replace(/\d/g, 'A') })
        },
      ],
      ['a sign in base64', 'appkey.headers_invalid', () => send({ sign: Buffer.alloc(32, 7).toString('base64') })],
      ['a huge nonce', 'appkey.headers_invalid', () => send({ nonce: 'n'.repeat(65) })],
      ['a short nonce', 'appkey.headers_invalid', () => send({ nonce: 'n' })],
      ['a nonce with a line end’s escape', 'appkey.headers_invalid', () => send({ nonce: 'abcdefgh%0a' })],
      [
        'a request id that is no jti',
        'appkey.headers_invalid',
        () => send({ requestId: '办件编号-0001' }, { 'x-request-id': 'a b c d e f' }),
      ],
      [
        'seconds for milliseconds',
        'appkey.headers_invalid',
        () => send({ timestamp: String(Math.floor(Date.now() / 1_000)) }),
      ],
      ['a clock 6 min behind', 'appkey.timestamp_off', () => send({ timestamp: String(Date.now() - 360_000) })],
      ['a clock 6 min ahead', 'appkey.timestamp_off', () => send({ timestamp: String(Date.now() + 360_000) })],
      ['no hash at all', 'appkey.headers_invalid', () => send({ method: 'none' })],
      ['the other sign method', 'appkey.sign_invalid', () => send({ method: 'HMAC-SM3' })],
      ['a sign of the other method', 'appkey.sign_invalid', () => send({}, {}, { ...sha(), method: 'HMAC-SM3' })],
    ]
    test.each(cases)('%s is %s', async (_name, expected, ask) => {
      const before = (await refusals()).length
      const answer = await ask()
      expect(code(answer)).toEqual([401, expected])
      expect(answer.json['refusal']).toBeUndefined()
      expect(await refusals()).toHaveLength(before)
    })

    test('a nonce serves once, whatever else is signed with it', async () => {
      const nonce = randomUUID()
      expect((await send({ nonce })).status).toBe(202)
      expect(code(await send({ nonce }))).toEqual([401, 'appkey.nonce_used'])
      const other = await issue(hub, NINGCHENG)
      expect((await send({ nonce }, {}, other)).status).toBe(202)
    })

    test('nonces are forgotten, but not while a timestamp signed with them could still be in time', async () => {
      const nonce = randomUUID()
      await send({ nonce, timestamp: String(Date.now() + 290_000) })
      const age = (minutes: number) =>
        sql`UPDATE plain_nonce SET used_at = now() - make_interval(mins => ${minutes}) WHERE nonce = ${nonce}`.execute(
          hub.core.db,
        )
      await age(11)
      expect(await pruneNonces(hub.core.db, KEEP_NONCES_SECONDS)).toBe(0)
      await age(16)
      expect(await pruneNonces(hub.core.db, KEEP_NONCES_SECONDS)).toBe(1)
    })

    test('of one recorded request sent ten times at once, one counts', async () => {
      const body = bodyOf()
      const headers = signedHeaders(key, { contract: RESULT, body })
      const answers = await Promise.all(Array.from({ length: 10 }, () => sendPlain(hub.app, PATH, headers, body)))
      expect(answers.map(({ status }) => status).toSorted()).toEqual([202, ...Array.from({ length: 9 }, () => 401)])
    })

    test('a revoked AppKey is told so', async () => {
      const ended = await issue(hub, NINGCHENG)
      await endAppKey(hub.core.db, ended.id, { by: 'a test' })
      await hub.core.register.refresh()
      expect(code(await send({}, {}, ended))).toEqual([401, 'appkey.revoked'])
      await expect(endAppKey(hub.core.db, ended.id, { by: 'a test' })).rejects.toMatchObject({ code: 'key.refused' })
    })

    test('a clock that is off is told the hub’s time and how far it is off', async () => {
      const answer = await send({ timestamp: String(Date.now() - 400_000) })
      const sentence = String(at(answer.json, 'violations', 0, 'message', 'en'))
      expect(sentence).toMatch(/the hub's time is \d{4}-.*X-Timestamp is -40\d/)
    })

    test('its source has an allowance, which an honest sender beside it does not need', async () => {
      const { core } = hub
      const app = composeGateway(
        { ...core, config: { ...core.config, unprovenBurst: 3, unprovenPerSecond: 1 } },
        () => HUB_URL,
      )
      const push = async (as: PlainKey): Promise<number> => {
        const body = bodyOf()
        return (await sendPlain(app, PATH, signedHeaders(as, { contract: RESULT, body }), body)).status
      }
      const statuses = []
      for (let n = 0; n < 5; n++) statuses.push(await push({ ...key, secret: 'wrong' }))
      expect(statuses).toEqual([401, 401, 401, 429, 429])
      expect(await push(key)).toBe(202)
    })
  })

  describe('what is refused of a proven party: coded, signed, recorded', () => {
    const refused = async (answer: Answer, body: string | Buffer): Promise<unknown> => {
      const digest = `sha-256:${createHash('sha256').update(body).digest('base64url')}`
      const refusal = await hub.verified(answer.json['refusal'])
      expect(refusal).toMatchObject({ aud: NINGCHENG, of: { tokenDigest: digest } })
      expect((await refusals()).at(-1)).toEqual({ code: problem(answer)['code'], token_digest: digest })
      return code(answer)
    }

    test('a network that the AppKey is not for', async () => {
      const body = bodyOf()
      const answer = await sendPlain(hub.app, PATH, signedHeaders(key, { contract: RESULT, body }), body, '10.9.8.7')
      expect(await refused(answer, body)).toEqual([403, 'appkey.network_foreign'])
      const nowhere = await hub.request(PATH, {
        method: 'POST',
        headers: signedHeaders(key, { contract: RESULT, body }),
        body,
      })
      expect(await refused(nowhere, body)).toEqual([403, 'appkey.network_foreign'])
    })

    test('a contract that the AppKey is not for', async () => {
      const narrow = await issue(hub, NINGCHENG, { contracts: ['power-application@1'] })
      const body = bodyOf()
      const answer = await send({ body }, {}, narrow)
      expect(await refused(answer, body)).toEqual([403, 'right.missing'])
      expect(at(answer.json, 'violations', 0, 'rule')).toBe(`appkey:${RESULT}`)
    })

    test('a contract that the party may not send', async () => {
      const body = JSON.stringify(licence('91150402MADEM002XN').data)
      const answer = await send({ contract: 'business-licence@1', body })
      expect(await refused(answer, body)).toEqual([403, 'right.missing'])
    })

    test.each([
      ['no such contract', 'approval-outcome@1', 'contract.unknown'],
      ['a contract of kind query', 'business-licence-query@1', 'contract.kind_wrong'],
    ])('%s', async (_name, contract, expected) => {
      const body = bodyOf()
      expect(await refused(await send({ contract, body }), body)).toEqual([422, expected])
    })

    test.each([
      ['no JSON', 'x', 400, 'http.bad_request'],
      ['no object', '[]', 400, 'http.bad_request'],
      ['nothing', '', 400, 'http.bad_request'],
      ['members twice', '{"affairNo":"1","affairNo":"2"}', 400, 'http.bad_request'],
      ['too deep', `{"a":${'['.repeat(40)}${']'.repeat(40)}}`, 400, 'http.bad_request'],
      ['__proto__', '{"__proto__":{"affairNo":"1"}}', 400, 'http.bad_request'],
      ['a byte order mark', Buffer.from(`\ufeff${bodyOf()}`), 400, 'http.bad_request'],
      ['GB 18030 for UTF-8', Buffer.from([0x7b, 0x22, 0xb5, 0xe7, 0x22, 0x3a, 0x31, 0x7d]), 400, 'http.bad_request'],
      ['no business key', '{}', 422, 'contract.schema_violated'],
      ['a number as business key', '{"affairNo":1}', 422, 'contract.schema_violated'],
      ['data against the schema', '{"affairNo":"T-1"}', 422, 'contract.schema_violated'],
    ])('a body that is %s', async (_name, body, status, expected) => {
      expect(await refused(await send({ body }), body)).toEqual([status, expected])
    })

    test('data against a rule', async () => {
      const { opinion: _opinion, ...data } = result(newNumber(), { resultState: '13' }).data
      const body = JSON.stringify(data)
      expect(await refused(await send({ body }), body)).toEqual([422, 'contract.rule_violated'])
    })

    test('a suspended party', async () => {
      await sql`UPDATE party SET status = 'suspended' WHERE id = ${NINGCHENG}`.execute(hub.core.db)
      await hub.core.register.refresh()
      const body = bodyOf()
      const answer = await send({ body })
      await sql`UPDATE party SET status = 'active' WHERE id = ${NINGCHENG}`.execute(hub.core.db)
      await hub.core.register.refresh()
      expect(await refused(answer, body)).toEqual([403, 'party.suspended'])
    })
  })

  test('X-Forwarded-For moves nobody into a network, unless a trusted proxy wrote it', async () => {
    const inside = await issue(hub, NINGCHENG, { networks: ['10.20.0.0/16'] })
    const through = async (proxies: readonly string[], remote: string, forwarded: string): Promise<number> => {
      const { core } = hub
      const app = composeGateway({ ...core, config: { ...core.config, trustedProxies: proxies } }, () => HUB_URL)
      const body = bodyOf()
      const headers = { ...signedHeaders(inside, { contract: RESULT, body }), 'x-forwarded-for': forwarded }
      return (await sendPlain(app, PATH, headers, body, remote)).status
    }
    expect(await through([], '10.9.8.7', '10.20.1.1')).toBe(403)
    expect(await through(['10.9.8.7/32'], '10.9.8.7', '10.20.1.1')).toBe(202)
    expect(await through(['10.9.8.7/32'], '10.9.8.7', '10.20.1.1, 10.30.1.1')).toBe(403)
  })

  test('where PUBLIC_URL has a path, it is signed as the sender sees it', async () => {
    const app = composeGateway(hub.core, () => 'https://gov.example/bridge')
    const push = async (path: string): Promise<number> => {
      const body = bodyOf()
      return (await sendPlain(app, PATH, signedHeaders(key, { contract: RESULT, body, path }), body)).status
    }
    expect([await push(`/bridge${PATH}`), await push(PATH)]).toEqual([202, 401])
  })

  test('HMAC-SM3 is the door of an AppKey that was given it, and of no other', async () => {
    const sm3 = await issue(hub, NINGCHENG, { method: 'HMAC-SM3' })
    expect((await send({}, {}, sm3)).status).toBe(202)
    expect(code(await send({}, {}, { ...sm3, method: 'HMAC-SHA256' }))).toEqual([401, 'appkey.sign_invalid'])
  })

  test('Content-Type must be application/json, and there is no query', async () => {
    expect(code(await send({}, { 'content-type': 'text/plain' }))).toEqual([415, 'http.unsupported_media_type'])
    expect((await send({}, { 'content-type': 'application/json; charset=utf-8' })).status).toBe(202)
    const body = bodyOf()
    const answer = await sendPlain(hub.app, `${PATH}?a=1`, signedHeaders(key, { contract: RESULT, body }), body)
    expect(code(answer)).toEqual([400, 'http.bad_request'])
  })

  test('the flood of a party ends at its own allowance', async () => {
    const flooding = await issue(hub, 'platform-chifeng')
    await sql`UPDATE party SET limit_per_second = 1 WHERE id = 'platform-chifeng'`.execute(hub.core.db)
    await hub.core.register.refresh()
    // Its allowance is 10 at once and one a second: far fewer than come, however slow the machine is.
    const answers = await Promise.all(Array.from({ length: 80 }, () => send({}, {}, flooding)))
    expect(new Set(answers.map(({ status }) => status))).toEqual(new Set([202, 429]))
    expect((await send()).status).toBe(202)
  })

  test.each([
    [[], 'key.refused'],
    [['0.0.0.0/0'], 'key.refused'],
    [['10.0.0.0/7'], 'key.refused'],
    [['2001::/15'], 'key.refused'],
    [['10.20.0.1/24'], 'key.refused'],
    [['2001:db8::1/64'], 'key.refused'],
    [['10.20.0.1'], 'key.refused'],
    [['10.20.0.0/33'], 'key.refused'],
    [['::ffff:10.20.0.0/112'], 'key.refused'],
    [['127.0.0.0/8', 'gov.example'], 'key.refused'],
  ])('an AppKey for %j is %s', async (networks, expected) => {
    await expect(issue(hub, NINGCHENG, { networks })).rejects.toMatchObject({ code: expected })
  })

  test('an AppKey may be for an IPv6 network, and for no party that is not there', async () => {
    const six = await issue(hub, NINGCHENG, { networks: ['2001:db8:1::/48'] })
    const from = async (source: string): Promise<number> => {
      const body = bodyOf()
      return (await sendPlain(hub.app, PATH, signedHeaders(six, { contract: RESULT, body }), body, source)).status
    }
    expect([await from('2001:db8:1:2::3'), await from('2001:db8:2::3'), await from('127.0.0.1')]).toEqual([
      202, 403, 403,
    ])
    await expect(issue(hub, 'platform-nowhere')).rejects.toMatchObject({ code: 'party.unknown' })
  })

  describe('over a socket', () => {
    const push = async (
      headers: Record<string, string>,
      body: NonNullable<RequestInit['body']>,
      path = PATH,
    ): Promise<Response> =>
      fetch(`${server.url}${path}`, { method: 'POST', headers, body, duplex: 'half' } as RequestInit)
    const raw = async (text: string): Promise<string> => {
      const { hostname, port } = new URL(server.url)
      const socket = connect(Number(port), hostname)
      socket.end(text)
      let answer = ''
      socket.on('data', (chunk) => {
        answer += chunk.toString('latin1')
      })
      await once(socket, 'close')
      return answer
    }
    const lines = (headers: Record<string, string>): string =>
      Object.entries(headers)
        .map(([name, value]) => `${name}: ${value}\r\n`)
        .join('')

    test('a request is accepted, the contract in the path percent-encoded or not', async () => {
      for (const path of [PATH, '/v1/plain/approval-result%401']) {
        const body = bodyOf()
        expect((await push(signedHeaders(key, { contract: RESULT, body }), body, path)).status).toBe(202)
      }
    })

    test.each([
      '%00',
      'approval-result@1%00',
      'approval-result@1%0Ax',
      'approval-result%25401',
      '%zz',
      'a%2Fb@1',
      'x@0',
    ])('the contract %s is none, whatever its MAC says', async (encoded) => {
      const body = bodyOf()
      const contract =
        URL.canParse(`http://h/${encoded}`) && !encoded.includes('%zz') ? decodeURIComponent(encoded) : encoded
      const answer = await push(signedHeaders(key, { contract, body }), body, `/v1/plain/${encoded}`)
      expect([answer.status, ((await answer.json()) as { code: string }).code]).toEqual([400, 'http.bad_request'])
    })

    test('what comes by the plain door is counted as such', async () => {
      expect(await hub.core.metrics.render()).toMatch(/dianqiao_accept_seconds_count\{door="plain"\} \d/)
    })

    test('a chunked body is the same body', async () => {
      const body = bodyOf()
      const half = body.length >> 1
      const stream = ReadableStream.from([Buffer.from(body.slice(0, half)), Buffer.from(body.slice(half))])
      const answer = await push(signedHeaders(key, { contract: RESULT, body }), stream)
      expect(answer.status).toBe(202)
    })

    test.each(['x-nonce', 'x-sign', 'x-app-key', 'x-request-id', 'x-timestamp', 'x-sign-method'])(
      'two %s headers are none',
      async (name) => {
        const body = JSON.stringify(result(newNumber()).data)
        const headers = signedHeaders(key, { contract: RESULT, body })
        const length = Buffer.byteLength(body)
        const answer = await raw(
          `POST ${PATH} HTTP/1.1\r\nhost: hub\r\nconnection: close\r\n${lines(headers)}${name}: ${headers[name]}\r\ncontent-length: ${length}\r\n\r\n${body}`,
        )
        expect(answer).toMatch(/^HTTP\/1.1 401 /)
        expect(answer).toContain('appkey.headers_invalid')
      },
    )

    test('more than 1 MiB is 413, declared or not', async () => {
      const body = 'x'.repeat(1_048_577)
      const headers = signedHeaders(key, { contract: RESULT, body })
      expect((await push(headers, body)).status).toBe(413)
      expect((await push(headers, ReadableStream.from([Buffer.from(body)]))).status).toBe(413)
    })

    test('what exceeds the contract’s own cap is 413', async () => {
      const body = JSON.stringify({ ...result(newNumber()).data, filler: 'x'.repeat(900_000) })
      const answer = await push(signedHeaders(key, { contract: RESULT, body }), body)
      expect([answer.status, ((await answer.json()) as { code: string }).code]).toEqual([413, 'token.too_large'])
    })
  })
})
