import { compactVerify, importJWK, type JWK } from 'jose'
import { describe, expect, it } from 'vitest'
import type { JsonObject } from '#kernel/json.ts'
import { checkFreshness, readClaims, TOKEN_TYPES, type TokenType } from '#trust/claims.ts'
import { parseCompact } from '#trust/compact.ts'
import { importPublicJwk } from '#trust/keys.ts'
import { createSigner } from '#trust/sign.ts'
import { verifySignature } from '#trust/verify.ts'
import { codeOf, readVector } from './corpus.ts'

interface Vector {
  readonly note: string
  readonly typ: TokenType
  readonly hubTime: number
  readonly key: JsonObject
  readonly publicJwk: JsonObject
  readonly claims: JsonObject
  readonly token: string
}

describe.each(TOKEN_TYPES)('the published vector of %s', (typ) => {
  const vector = readVector<Vector>(typ)
  const token = parseCompact(vector.token, 65_536)

  it('parses, verifies and reads as the claims it publishes', () => {
    verifySignature(token, importPublicJwk(vector.publicJwk))
    expect(readClaims(typ, token.claims)).toEqual(vector.claims)
    expect(token.header).toEqual({ alg: vector.publicJwk['alg'], kid: vector.publicJwk['kid'], typ })
  })

  it('verifies with jose', async () => {
    const key = await importJWK(vector.publicJwk as JWK)
    const { protectedHeader } = await compactVerify(vector.token, key)
    expect(protectedHeader.typ).toBe(typ)
  })

  it('was fresh at its hub time, where it expires at all', () => {
    const { iat, exp } = vector.claims
    if (exp === undefined) {
      expect(['receipt+jwt', 'refusal+jwt']).toContain(typ)
      return
    }
    checkFreshness({ iat: Number(iat), exp: Number(exp) }, { nowMs: vector.hubTime * 1000, maxAgeSeconds: 600 })
  })

  it('is reproduced by our signer: the signed part always, an Ed25519 token whole', () => {
    const signer = createSigner(vector.key)
    const again = signer.sign(typ, vector.claims)
    expect(again.slice(0, again.lastIndexOf('.'))).toBe(token.signingInput)
    if (signer.alg === 'Ed25519') expect(again).toBe(vector.token)
    verifySignature(parseCompact(again, 65_536), importPublicJwk(signer.publicJwk))
  })

  it('says that its key is published', () => {
    expect(vector.note).toMatch(/PUBLISHED TEST KEY/)
  })

  it.each(Object.keys(vector.claims))('is refused without its claim %s, unless that is optional', (name) => {
    const { [name]: _removed, ...rest } = vector.claims
    const optional = ['caseNo', 'fields'].includes(name)
    expect(codeOf(() => readClaims(typ, rest))).toBe(optional ? 'accepted' : 'token.claims_invalid')
  })

  it('is refused with one claim more', () => {
    expect(codeOf(() => readClaims(typ, { ...vector.claims, extra: 1 }))).toBe('token.claims_invalid')
  })

  it('is no token of any other type', () => {
    for (const other of TOKEN_TYPES) {
      if (other !== typ)
        expect(
          codeOf(() => readClaims(other, vector.claims)),
          other,
        ).toBe('token.claims_invalid')
    }
  })
})
