import { calculateJwkThumbprint, type JWK } from 'jose'
import { describe, expect, it } from 'vitest'
import { HubError } from '#kernel/errors.ts'
import type { Json, JsonObject } from '#kernel/json.ts'
import { type Algorithm, generateKeyPair, importPublicJwk } from '#trust/keys.ts'
import { readVector } from './corpus.ts'

interface PublishedKey {
  readonly privateJwk: JsonObject
  readonly publicJwk: JsonObject
}

const { keys } = readVector<{ keys: Record<'es256' | 'ed25519' | 'ps256', PublishedKey> }>('keys')

/** The public members alone, as a party would send them. */
function bare({ publicJwk }: PublishedKey): JsonObject {
  const { alg: _alg, kid: _kid, use: _use, ...members } = publicJwk
  return members
}

const ec = bare(keys.es256)
const ed = bare(keys.ed25519)
const rsa = bare(keys.ps256)

const uint = (value: bigint): string => {
  const hex = value.toString(16)
  return Buffer.from(hex.padStart(hex.length + (hex.length % 2), '0'), 'hex').toString('base64url')
}
const point = (hex: string): string => Buffer.from(hex, 'hex').toString('base64url')
const zeros = (length: number): string => Buffer.alloc(length).toString('base64url')

function ruleOf(jwk: Json): string {
  try {
    importPublicJwk(jwk)
  } catch (error) {
    if (error instanceof HubError && error.code === 'key.refused') return error.violations[0]?.rule ?? ''
    throw error
  }
  return 'accepted'
}

/** n = k·M + (65537^a mod M) over the primes up to 701, as the faulty library made moduli of 3072 bits. */
function rocaModulus(): bigint {
  const primes = Array.from({ length: 700 }, (_, i) => i + 2).filter((n) => !hasDivisor(n))
  const primorial = primes.reduce((product, prime) => product * BigInt(prime), 1n)
  let residue = 1n
  for (let i = 0; i < 12_345; i++) residue = (residue * 65537n) % primorial
  return ((1n << 3071n) / primorial + 2n) * primorial + residue
}

const hasDivisor = (n: number): boolean => {
  for (let d = 2; d * d <= n; d++) if (n % d === 0) return true
  return false
}

describe('key registration', () => {
  it.each([
    ['P-256', ec, 'ES256'],
    ['Ed25519', ed, 'Ed25519'],
    ['RSA of 3072 bits', rsa, 'PS256'],
  ] as const)('takes %s and pins its algorithm', (_name, jwk, alg) => {
    expect(importPublicJwk(jwk).alg).toBe(alg)
    expect(importPublicJwk({ ...jwk, alg, use: 'sig', key_ops: ['verify'] }).alg).toBe(alg)
  })

  it.each([ec, ed, rsa])('names the key by its RFC 7638 thumbprint, as jose does', async (jwk) => {
    const { kid, jwk: published } = importPublicJwk(jwk)
    expect(kid).toBe(await calculateJwkThumbprint(jwk as JWK))
    expect(published).toEqual({ ...jwk, alg: published['alg'], kid, use: 'sig' })
  })

  it('gives the thumbprint of the example in RFC 8037 appendix A.3', () => {
    const x = '11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo'
    expect(importPublicJwk({ kty: 'OKP', crv: 'Ed25519', x }).kid).toBe('kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k')
  })

  it('takes Ed25519 under its older name EdDSA', () => {
    expect(ruleOf({ ...ed, alg: 'EdDSA' })).toBe('accepted')
  })

  it('refuses every private JWK', () => {
    for (const { privateJwk } of Object.values(keys)) expect(ruleOf(privateJwk)).toBe('jwk.private')
    for (const name of ['d', 'p', 'q', 'dp', 'dq', 'qi', 'oth', 'k']) {
      expect(ruleOf({ ...rsa, [name]: 'AQAB' }), name).toBe('jwk.private')
    }
  })

  it.each<[string, Json, string]>([
    ['no object', 'key', 'jwk.object'],
    ['a list', [ec], 'jwk.object'],
    ['no kty', { crv: 'P-256' }, 'jwk.type'],
    ['a symmetric key type', { kty: 'oct' }, 'jwk.type'],
    ['P-384', { ...ec, crv: 'P-384' }, 'jwk.type'],
    ['secp256k1', { ...ec, crv: 'secp256k1' }, 'jwk.type'],
    ['X25519', { ...ed, crv: 'X25519' }, 'jwk.type'],
    ['Ed448', { ...ed, crv: 'Ed448' }, 'jwk.type'],
    ['EC without y', { kty: 'EC', crv: 'P-256', x: ec['x'] ?? '' }, 'jwk.member'],
    ['EC with x a number', { ...ec, x: 1 }, 'jwk.member'],
    ['EC with a short x', { ...ec, x: zeros(31) }, 'jwk.length'],
    ['EC with a long x', { ...ec, x: zeros(33) }, 'jwk.length'],
    ['EC with padding', { ...ec, x: `${ec['x']}=` }, 'jwk.base64url'],
    ['EC with y = x', { ...ec, y: ec['x'] ?? '' }, 'jwk.point'],
    ['EC at (0, 0)', { ...ec, x: zeros(32), y: zeros(32) }, 'jwk.point'],
    ['EC with x ≥ p', { ...ec, x: Buffer.alloc(32, 0xff).toString('base64url') }, 'jwk.point'],
    ['Ed25519 of 31 bytes', { ...ed, x: zeros(31) }, 'jwk.length'],
    ['RSA without n', { kty: 'RSA', e: 'AQAB' }, 'jwk.member'],
    [
      'RSA with a leading zero',
      { ...rsa, n: Buffer.concat([Buffer.alloc(1), Buffer.alloc(384, 0xff)]).toString('base64url') },
      'jwk.leading_zero',
    ],
    ['RSA of 3071 bits', { ...rsa, n: uint((1n << 3071n) - 1n) }, 'rsa.size'],
    ['RSA of 2048 bits', { ...rsa, n: uint((1n << 2048n) - 1n) }, 'rsa.size'],
    ['RSA of 8193 bits', { ...rsa, n: uint((1n << 8193n) - 1n) }, 'rsa.size'],
    ['RSA of a hundred thousand bits', { ...rsa, n: 'w'.repeat(16_668) }, 'jwk.length'],
    ['RSA with an even modulus', { ...rsa, n: uint((1n << 3072n) - 2n) }, 'rsa.even'],
    ['RSA with e = 1', { ...rsa, e: uint(1n) }, 'rsa.exponent'],
    ['RSA with even e', { ...rsa, e: uint(65538n) }, 'rsa.exponent'],
    ['RSA with a huge e', { ...rsa, e: uint((1n << 40n) + 1n) }, 'rsa.exponent'],
    ['RSA with e = 0', { ...rsa, e: 'AA' }, 'jwk.leading_zero'],
    ['RSA with the ROCA flaw', { ...rsa, n: uint(rocaModulus()) }, 'rsa.roca'],
    ['another alg', { ...ec, alg: 'ES384' }, 'jwk.alg'],
    ['RSA as RS256', { ...rsa, alg: 'RS256' }, 'jwk.alg'],
    ['alg none', { ...ed, alg: 'none' }, 'jwk.alg'],
    ['an encryption key', { ...ec, use: 'enc' }, 'jwk.use'],
    ['a key for signing', { ...ec, key_ops: ['sign', 'verify'] }, 'jwk.key_ops'],
    ['a kid of its own', { ...ec, kid: 'my-key' }, 'jwk.kid'],
  ])('refuses %s', (_name, jwk, rule) => {
    expect(ruleOf(jwk)).toBe(rule)
  })

  it.each([
    ['neutral, y = 1', `01${'00'.repeat(31)}`],
    ['order 2, y = −1', `ec${'ff'.repeat(30)}7f`],
    ['order 4, y = 0', '00'.repeat(32)],
    ['order 4 with the sign bit', `${'00'.repeat(31)}80`],
    ['order 8', '26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05'],
    ['order 8, other y', 'c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a'],
    ['off the curve, y = 2', `02${'00'.repeat(31)}`],
    ['not canonical, y = p', `ed${'ff'.repeat(30)}7f`],
    ['not canonical, y = p + 1', `ee${'ff'.repeat(30)}7f`],
  ])('refuses the Ed25519 point that is %s', (_name, hex) => {
    expect(ruleOf({ ...ed, x: point(hex) })).toBe('jwk.point')
  })

  it.each(['ES256', 'Ed25519', 'PS256'] as const)('makes %s pairs that it takes itself', (alg: Algorithm) => {
    const { privateJwk, publicJwk, kid } = generateKeyPair(alg)
    expect(importPublicJwk(publicJwk)).toMatchObject({ alg, kid })
    expect(privateJwk).toMatchObject({ alg, kid })
    expect(publicJwk).not.toHaveProperty('d')
  })

  it('takes every one of two hundred fresh Ed25519 keys', () => {
    for (let i = 0; i < 200; i++) expect(generateKeyPair('Ed25519').kid).toMatch(/^[A-Za-z0-9_-]{43}$/)
  })
})
