import { CompactSign, compactVerify, importJWK, type JWK } from 'jose'
import { describe, expect, it } from 'vitest'
import type { JsonObject } from '#kernel/json.ts'
import { TOKEN_TYPES } from '#trust/claims.ts'
import { parseCompact } from '#trust/compact.ts'
import { generateKeyPair, importPublicJwk } from '#trust/keys.ts'
import { createSigner } from '#trust/sign.ts'
import { verifySignature } from '#trust/verify.ts'
import { codeOf, readVector } from './corpus.ts'

interface PublishedKey {
  readonly alg: string
  readonly privateJwk: JsonObject
  readonly publicJwk: JsonObject
}

const { keys } = readVector<{ keys: Record<string, PublishedKey> }>('keys')
const perAlgorithm = ['es256', 'ed25519', 'ps256'].flatMap((name) => keys[name] ?? [])
const claims = { iss: 'a', note: '电桥 ⚡ \u2028', n: [1, 2.5, null] }

describe.each(perAlgorithm)('a signer with $alg', ({ alg, privateJwk, publicJwk }) => {
  const signer = createSigner(privateJwk)

  it('publishes the public half of its key and nothing private', () => {
    expect(signer.publicJwk).toEqual(publicJwk)
    expect(signer).toMatchObject({ alg, kid: publicJwk['kid'] })
    expect(JSON.stringify(signer)).not.toContain(String(privateJwk['d']))
  })

  it.each(TOKEN_TYPES)('makes a %s that we and jose verify alike', async (typ) => {
    const token = signer.sign(typ, claims)
    const parsed = parseCompact(token, 4_096)
    verifySignature(parsed, importPublicJwk(publicJwk))
    expect(parsed.header).toEqual({ alg, kid: signer.kid, typ })
    expect(parsed.claims).toEqual(claims)
    const { payload } = await compactVerify(token, await importJWK(publicJwk as JWK))
    expect(JSON.parse(Buffer.from(payload).toString())).toEqual(claims)
  })

  it('is matched by what jose signs with the same key', async () => {
    const signing = new CompactSign(Buffer.from(JSON.stringify(claims)))
    signing.setProtectedHeader({ alg, kid: signer.kid, typ: 'exchange+jwt' })
    const token = await signing.sign(await importJWK(privateJwk as JWK))
    expect(codeOf(() => verifySignature(parseCompact(token, 4_096), importPublicJwk(publicJwk)))).toBe('accepted')
  })

  it('does not verify with any other key', () => {
    const parsed = parseCompact(signer.sign('exchange+jwt', claims), 4_096)
    for (const other of Object.values(keys)) {
      if (other.publicJwk['kid'] === publicJwk['kid']) continue
      const expected = other.alg === alg ? 'token.signature_invalid' : 'token.algorithm_wrong'
      expect(codeOf(() => verifySignature(parsed, importPublicJwk(other.publicJwk)))).toBe(expected)
    }
  })

  it("refuses a file in which another key's public half stands beside the private one", () => {
    const { publicJwk: other } = generateKeyPair(signer.alg)
    expect(codeOf(() => createSigner({ ...privateJwk, ...other }))).toBe('key.refused')
    expect(codeOf(() => createSigner({ ...privateJwk, kid: String(other['kid']) }))).toBe('key.refused')
  })
})

describe('a signer', () => {
  it.each<[string, JsonObject]>([
    ['a public JWK', perAlgorithm[0]?.publicJwk ?? {}],
    ['an empty object', {}],
    ['P-384', p384()],
  ])('refuses %s', (_name, jwk) => {
    expect(codeOf(() => createSigner(jwk))).toBe('key.refused')
  })
})

/** A sound private JWK of a curve that the wire does not take (RFC 6979 §A.2.6). */
function p384(): JsonObject {
  const b64 = (hex: string): string => Buffer.from(hex, 'hex').toString('base64url')
  return {
    kty: 'EC',
    crv: 'P-384',
    d: b64('6b9d3dad2e1b8c1c05b19875b6659f4de23c3b667bf297ba9aa47740787137d896d5724e4c70a825f872c9ea60d2edf5'),
    x: b64('ec3a4e415b4e19a4568618029f427fa5da9a8bc4ae92e02e06aae5286b300c64def8f0ea9055866064a254515480bc13'),
    y: b64('8015d9b72d7d57244ea8ef9ac0c621896708a59367f9dfb9f54ca84b3f1c9db1288b231c3ae0d4fe7344fd2533264720'),
  }
}
