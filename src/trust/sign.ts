import { constants, createPrivateKey, createPublicKey, type KeyObject, sign } from 'node:crypto'
import { violated } from '#kernel/errors.ts'
import type { JsonObject } from '#kernel/json.ts'
import { TOKEN_TYPES, type TokenType } from './claims.ts'
import { type Algorithm, importPublicJwk } from './keys.ts'

/** Signs tokens with one private key. A port: SM2 is to be a second implementation. */
export interface Signer {
  readonly kid: string
  readonly alg: Algorithm
  readonly publicJwk: JsonObject
  /** A compact JWS over the claims as JSON.stringify spells them. */
  sign(typ: TokenType, claims: object): string
}

/** A signer for a private JWK (P-256, Ed25519 or RSA). Throws key.refused as importPublicJwk does, or if d is wrong. */
export function createSigner(privateJwk: JsonObject): Signer {
  const privateKey = openPrivateKey(privateJwk)
  // Derived from d, so that a file whose public half was exchanged cannot make a signer for somebody else's kid.
  const derived = createPublicKey(privateKey).export({ format: 'jwk' }) as JsonObject
  const { kid, alg, jwk } = importPublicJwk(derived)
  for (const name of ['x', 'y', 'n', 'e', 'kid', 'alg']) {
    if (privateJwk[name] !== undefined && privateJwk[name] !== jwk[name]) {
      throw violated('key.refused', `/${name}`, 'jwk.pair', '私钥与公钥不成对', 'the private and public members differ')
    }
  }
  const headers = new Map(TOKEN_TYPES.map((typ) => [typ, encode({ alg, kid, typ })]))
  return Object.freeze({
    kid,
    alg,
    publicJwk: jwk,
    sign(typ: TokenType, claims: object): string {
      const signingInput = `${headers.get(typ)}.${encode(claims)}`
      return `${signingInput}.${signBytes(signingInput, alg, privateKey).toString('base64url')}`
    },
  })
}

const encode = (value: object): string => Buffer.from(JSON.stringify(value)).toString('base64url')

function openPrivateKey(jwk: JsonObject): KeyObject {
  try {
    return createPrivateKey({ key: jwk, format: 'jwk' })
  } catch {
    // Without the cause: what the library says about a private key stays out of logs.
    throw violated('key.refused', '', 'jwk.private', '不是可用的私钥 JWK', 'not a usable private JWK')
  }
}

function signBytes(text: string, alg: Algorithm, key: KeyObject): Buffer {
  const bytes = Buffer.from(text, 'latin1')
  if (alg === 'ES256') return sign('sha256', bytes, { key, dsaEncoding: 'ieee-p1363' })
  if (alg === 'Ed25519') return sign(null, bytes, key)
  return sign('sha256', bytes, { key, padding: constants.RSA_PKCS1_PSS_PADDING, saltLength: 32 })
}
