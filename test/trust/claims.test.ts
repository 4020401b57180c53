import { describe, expect, it } from 'vitest'
import { HubError } from '#kernel/errors.ts'
import type { Json, JsonObject } from '#kernel/json.ts'
import { checkAudience, checkFreshness, readClaims, type TokenType } from '#trust/claims.ts'
import { codeOf, readVector } from './corpus.ts'

const claimsOf = (typ: TokenType): JsonObject => readVector<{ claims: JsonObject }>(typ).claims

function faultsOf(typ: TokenType, claims: JsonObject): string[] {
  try {
    readClaims(typ, claims)
  } catch (error) {
    if (error instanceof HubError) return error.violations.map(({ pointer, rule }) => `${pointer} ${rule}`)
    throw error
  }
  return []
}

describe('closed claim sets', () => {
  it('name every fault at once, each with its pointer and rule', () => {
    const claims = { ...claimsOf('exchange+jwt'), jti: 'short', sub: '', exp: '1', admin: true, 'a/b~c': 1 }
    expect(faultsOf('exchange+jwt', claims)).toEqual([
      '/jti claims.jti',
      '/exp claims.numeric-date',
      '/sub claims.text',
      '/admin claims.unknown',
      '/a~1b~0c claims.unknown',
    ])
  })

  it('say what is missing', () => {
    expect(faultsOf('request+jwt', {})).toEqual(
      ['iss', 'aud', 'iat', 'jti', 'exp', 'htm', 'htu'].map((name) => `/${name} claims.required`),
    )
  })

  it('never answer with more than a readable number of faults', () => {
    const many = Object.fromEntries(Array.from({ length: 5_000 }, (_, i) => [`x${i}`, 1]))
    expect(faultsOf('exchange+jwt', { ...claimsOf('exchange+jwt'), ...many })).toHaveLength(32)
  })

  it.each<[TokenType, string, Json, string]>([
    ['query+jwt', 'legalBasis', 'because', '/legalBasis claims.one-of'],
    ['query+jwt', 'legalBasis', ['duty'], '/legalBasis claims.one-of'],
    ['query+jwt', 'operator', '', '/operator claims.text'],
    ['query+jwt', 'fields', 'name', '/fields claims.list'],
    ['query+jwt', 'fields', ['name', 7], '/fields/1 claims.text'],
    ['query+jwt', 'fields', Array.from({ length: 257 }, () => 'name'), '/fields claims.list'],
    ['query+jwt', 'data', 'text', '/data claims.object'],
    ['query+jwt', 'photo', 'aGVsbG8=', '/photo claims.unknown'],
    ['request+jwt', 'htm', 'get', '/htm claims.one-of'],
    ['request+jwt', 'htu', 'https://hub.example/v1/inbox?limit=1', '/htu claims.htu'],
    ['request+jwt', 'htu', 'https://hub.example/v1/inbox#a', '/htu claims.htu'],
    ['request+jwt', 'htu', '/v1/inbox', '/htu claims.htu'],
    ['request+jwt', 'htu', 'javascript:alert(1)', '/htu claims.htu'],
    ['receipt+jwt', 'posAfter', -1, '/posAfter claims.count'],
    ['receipt+jwt', 'posAfter', 1.5, '/posAfter claims.count'],
    ['receipt+jwt', 'origin', 'unknown', '/origin claims.one-of'],
    ['receipt+jwt', 'exchange', 'not-a-uuid', '/exchange claims.uuid'],
    ['receipt+jwt', 'of', 'sha-256:', '/of claims.object'],
    ['refusal+jwt', 'of', { tokenDigest: 'sha-256:short' }, '/of/tokenDigest claims.digest'],
    ['refusal+jwt', 'problem', { code: 'x', status: 200, violations: {} }, '/problem/code claims.error-code'],
    ['answer+jwt', 'asOf', '2026-11-20', '/asOf claims.numeric-date'],
    ['answer+jwt', 'documents', {}, '/documents claims.list'],
  ])('of %s refuse %s = %j', (typ, name, value, fault) => {
    expect(faultsOf(typ, { ...claimsOf(typ), [name]: value })).toContain(fault)
  })

  it.each<[string, Json, string]>([
    ['proof', 'nobody', '/documents/0/proof claims.one-of'],
    ['validTo', '2026-02-30', '/documents/0/validTo claims.date-or-null'],
    ['validTo', '2026-1-1', '/documents/0/validTo claims.date-or-null'],
    ['data', [], '/documents/0/data claims.object'],
    ['idNumber', 'x', '/documents/0/idNumber claims.unknown'],
  ])('of an answer refuse a document with %s = %j', (name, value, fault) => {
    const answer = claimsOf('answer+jwt')
    const [document] = answer['documents'] as readonly JsonObject[]
    expect(faultsOf('answer+jwt', { ...answer, documents: [{ ...document, [name]: value }] })).toContain(fault)
    expect(faultsOf('answer+jwt', { ...answer, documents: [{ ...document, validTo: '2028-02-29' }] })).toEqual([])
  })

  it('take a refusal however it is worded', () => {
    const violations = [{ pointer: '', rule: 'a\nb', message: { zh: '', en: 'x'.repeat(5_000) } }]
    const refusal = { ...claimsOf('refusal+jwt'), problem: { code: 'a.b', status: 422, violations } }
    expect(faultsOf('refusal+jwt', refusal)).toEqual([])
  })

  it('tolerate nbf, which JWT libraries add, in every type', () => {
    for (const typ of ['exchange+jwt', 'query+jwt', 'request+jwt'] as const) {
      expect(faultsOf(typ, { ...claimsOf(typ), nbf: 1 }), typ).toEqual([])
      expect(faultsOf(typ, { ...claimsOf(typ), nbf: 'x' }), typ).toEqual(['/nbf claims.numeric-date'])
    }
  })
})

describe('the audience', () => {
  it('is this hub of this environment and nothing else', () => {
    expect(codeOf(() => checkAudience({ aud: 'hub.test' }, 'hub.test'))).toBe('accepted')
    for (const aud of ['hub.prod', 'hub.test ', 'HUB.TEST', '', 'hub.test,hub.prod']) {
      expect(
        codeOf(() => checkAudience({ aud }, 'hub.test')),
        aud,
      ).toBe('token.audience_wrong')
    }
  })
})

describe('freshness', () => {
  const now = 1_800_000_000
  const judge = (times: { iat: number; exp: number; nbf?: number }, ms = 0, maxAgeSeconds = 600): string =>
    codeOf(() => checkFreshness(times, { nowMs: now * 1000 + ms, maxAgeSeconds }))

  it('gives exp no leeway, to the millisecond', () => {
    expect(judge({ iat: now - 60, exp: now }, -1)).toBe('accepted')
    expect(judge({ iat: now - 60, exp: now }, 0)).toBe('token.expired')
  })

  it('accepts iat and nbf up to 30 s ahead, to the millisecond', () => {
    expect(judge({ iat: now + 30, exp: now + 60 }, 0)).toBe('accepted')
    expect(judge({ iat: now + 30, exp: now + 60 }, -1)).toBe('token.not_yet_valid')
    expect(judge({ iat: now, nbf: now + 30, exp: now + 60 }, 0)).toBe('accepted')
    expect(judge({ iat: now, nbf: now + 30, exp: now + 60 }, -1)).toBe('token.not_yet_valid')
  })

  it("allows a life of exactly the contract's age and at least a second", () => {
    expect(judge({ iat: now, exp: now + 600 })).toBe('accepted')
    expect(judge({ iat: now, exp: now + 601 })).toBe('token.lifetime_too_long')
    expect(judge({ iat: now + 10, exp: now + 10 })).toBe('token.lifetime_too_long')
    expect(judge({ iat: now + 20, exp: now + 10 })).toBe('token.lifetime_too_long')
    expect(judge({ iat: now, exp: now + 604_800 }, 0, 604_800)).toBe('accepted')
  })

  it.each([
    [{ iat: now - 700, exp: now - 100 }, '/exp', 'exp', '-100'],
    [{ iat: now + 45, exp: now + 60 }, '/iat', 'iat', '+45'],
    [{ iat: now, nbf: now + 90, exp: now + 100 }, '/nbf', 'nbf', '+90'],
    [{ iat: now - 5, exp: now + 900 }, '/iat', 'iat', '-5'],
  ])('tells the hub time and the measured offset when it refuses %j', (times, pointer, claim, offset) => {
    expect(() => checkFreshness(times, { nowMs: now * 1000, maxAgeSeconds: 600 })).toThrow(
      expect.objectContaining({
        detail: {
          zh: expect.stringContaining(`枢纽时间 2027-01-15T08:00:00.000Z，${claim} 与之相差 ${offset} 秒`),
          en: expect.stringContaining(`the hub's time is 2027-01-15T08:00:00.000Z, the ${claim} is ${offset} s off`),
        },
        violations: [expect.objectContaining({ pointer })],
      }),
    )
  })
})
