import { sql } from 'kysely'
import { afterAll, beforeAll, expect, test } from 'vitest'
import type { JsonObject } from '#kernel/json.ts'
import { withDatabase } from '../support/database.ts'
import { openTestHub, type TestHub, type TestParty } from '../support/hub.ts'
import { licence, result } from './messages.ts'
import { digestOf, problem, recordedRefusals } from './problem.ts'

const now = (): number => Math.floor(Date.now() / 1000)

withDatabase('refusals of POST /v1/exchanges', (databaseUrl) => {
  let hub: TestHub
  let chifeng: TestParty
  beforeAll(async () => {
    hub = await openTestHub(databaseUrl)
    chifeng = hub.party('platform-chifeng')
  })
  afterAll(() => hub.close())

  const refused: readonly [string, number, string, (platform: TestParty) => string][] = [
    ['an unknown contract', 422, 'contract.unknown', (p) => p.exchange({ ...result('A-1'), contract: 'nothing@1' })],
    [
      'a contract for queries',
      422,
      'contract.kind_wrong',
      (p) => p.exchange({ ...result('A-1'), contract: 'business-licence-query@1' }),
    ],
    ['a contract that is not the sender’s', 403, 'right.missing', (p) => p.exchange(licence('91150402MADEM002XN'))],
    [
      'an obo without a mandate',
      403,
      'right.no_mandate',
      (p) => p.exchange({ ...result('A-1'), obo: 'platform-hohhot' }),
    ],
    ['an obo that nobody is', 403, 'right.no_mandate', (p) => p.exchange({ ...result('A-1'), obo: 'nobody' })],
    [
      'data against the schema',
      422,
      'contract.schema_violated',
      (p) => p.exchange(result('A-1', { resultState: 'yes' })),
    ],
    [
      'data against a rule',
      422,
      'contract.rule_violated',
      (p) => p.exchange(result('A-1', { finishedAt: '2099-01-01T00:00:00+08:00' })),
    ],
    [
      'a sub that is not in the data',
      422,
      'contract.claim_mismatch',
      (p) => p.exchange({ ...result('A-1'), sub: 'B-1' }),
    ],
    ['an unknown claim', 422, 'token.claims_invalid', (p) => p.exchange(result('A-1'), { scope: 'all' })],
    [
      'an act that is not registered',
      422,
      'token.claims_invalid',
      (p) => p.exchange(result('A-1'), { act: 'an-agent' }),
    ],
    [
      'a supersedes of somebody else’s',
      422,
      'token.claims_invalid',
      (p) => p.exchange(result('A-1'), { supersedes: { iss: 'platform-hohhot', jti: 'abcdefgh' } }),
    ],
    ['another audience', 401, 'token.audience_wrong', (p) => p.exchange(result('A-1'), { aud: 'dianqiao-test' })],
    ['an iat far ahead', 401, 'token.not_yet_valid', (p) => p.exchange(result('A-1'), { iat: now() + 60 })],
    [
      'a life of over ten minutes',
      401,
      'token.lifetime_too_long',
      (p) => p.exchange(result('A-1'), { exp: now() + 3_600 }),
    ],
    [
      'a token over the contract’s cap',
      413,
      'token.too_large',
      (p) => p.exchange(result('A-1', { remarks: 'x'.repeat(300_000) })),
    ],
  ]
  test.each(refused)('%s is refused with %i %s, signed and recorded', async (_name, status, code, tokenOf) => {
    const token = tokenOf(chifeng)
    const answer = await hub.post('/v1/exchanges', token)
    expect(answer.status).toBe(status)
    expect(problem(answer)['code']).toBe(code)
    const refusal = await hub.verified(answer.json['refusal'])
    expect(refusal).toMatchObject({
      iss: 'dianqiao',
      aud: 'platform-chifeng',
      of: { tokenDigest: digestOf(token) },
      problem: { code, status },
    })
    expect(await recordedRefusals(hub.core.db, token)).toEqual([{ iss: 'platform-chifeng', code }])
  })

  const unproven: readonly [string, string, (platform: TestParty) => string][] = [
    ['a signature over other bytes', 'token.signature_invalid', (p) => tampered(p.exchange(result('A-1')))],
    [
      'another party’s name over an own key',
      'token.key_foreign',
      (p) => p.exchange(result('A-1'), { iss: 'platform-hohhot' }),
    ],
    ['a token of another type', 'token.type_wrong', (p) => p.sign('query+jwt', result('A-1'))],
  ]
  test.each(unproven)('%s is refused, signed and not recorded: it proves nobody', async (_name, code, tokenOf) => {
    const token = tokenOf(chifeng)
    const answer = await hub.post('/v1/exchanges', token)
    expect(answer.status).toBe(401)
    expect(answer.headers.get('www-authenticate')).toMatch(/^Bearer/)
    expect(problem(answer)['code']).toBe(code)
    expect(await hub.verified(answer.json['refusal'])).toMatchObject({ of: { tokenDigest: digestOf(token) } })
    expect(await recordedRefusals(hub.core.db, token)).toEqual([])
  })

  test('what is no token at all is refused without a signature', async () => {
    const answer = await hub.post('/v1/exchanges', 'hello')
    expect([answer.status, problem(answer)['code']]).toEqual([401, 'token.malformed'])
    expect(answer.json).not.toHaveProperty('refusal')
  })

  test('a suspended party and a key that is not active are let in nowhere', async () => {
    const baotou = hub.party('platform-baotou')
    await sql`UPDATE party SET status = 'suspended' WHERE id = ${baotou.id}`.execute(hub.core.db)
    await hub.core.register.refresh()
    const suspended = await baotou.push(result('A-1'))
    expect([suspended.status, problem(suspended)['code']]).toEqual([403, 'party.suspended'])
    expect((await baotou.get('/v1/inbox')).json['code']).toBe('party.suspended')
    await sql`UPDATE party SET status = 'active' WHERE id = ${baotou.id}`.execute(hub.core.db)
    for (const state of ['pending', 'verify-only', 'retired', 'revoked']) {
      await sql`UPDATE party_key SET state = ${state} WHERE party = ${baotou.id}`.execute(hub.core.db)
      await hub.core.register.refresh()
      const answer = await baotou.push(result('A-1'))
      expect([answer.status, problem(answer)['code']]).toEqual([401, 'token.key_inactive'])
    }
  })

  test('a schema violation says where, which rule, and in both languages', async () => {
    const answer = await chifeng.push(result('A-1', { resultState: 'yes', extra: 1 }))
    const pointers = (problem(answer)['violations'] as JsonObject[]).map(({ pointer, rule }) => [pointer, rule])
    expect(pointers).toContainEqual(['/resultState', 'enum'])
    expect(pointers).toContainEqual(['/extra', 'additionalProperties'])
  })

  test('a claim name cut inside a character is refused like any other and recorded', async () => {
    const token = chifeng.exchange(result('A-1'), { [`${'x'.repeat(63)}😀`]: 1 })
    const answer = await hub.post('/v1/exchanges', token)
    expect([answer.status, problem(answer)['code']]).toEqual([422, 'token.claims_invalid'])
    expect(await recordedRefusals(hub.core.db, token)).toEqual([
      { iss: 'platform-chifeng', code: 'token.claims_invalid' },
    ])
    expect(answer.json['refusal']).toBeTypeOf('string')
    expect(JSON.stringify(await hub.verified(answer.json['refusal'])).includes('\\ud83d')).toBe(false)
  })
})

/** One character of the payload exchanged after signing. */
function tampered(token: string): string {
  const [header, payload = '', signature] = token.split('.')
  const claims = Buffer.from(payload, 'base64url').toString().replace('"resultState":"11"', '"resultState":"10"')
  return [header, Buffer.from(claims).toString('base64url'), signature].join('.')
}
