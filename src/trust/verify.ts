import { constants, verify } from 'node:crypto'
import { type HubError, violated } from '#kernel/errors.ts'
import type { CompactToken } from './compact.ts'
import type { Algorithm, PublicKey } from './keys.ts'

/** How each key's algorithm is spelt in a header: RFC 9864 names Ed25519, RFC 8037 called it EdDSA. */
const SPELLINGS: Readonly<Record<Algorithm, readonly string[]>> = Object.freeze({
  ES256: ['ES256'],
  Ed25519: ['Ed25519', 'EdDSA'],
  PS256: ['PS256'],
})

/**
 * Verifies the signature over the bytes that arrived, with the algorithm that is pinned to the key; the header only
 * has to agree. Synchronous node:crypto: RFC 7518 §3.4 (r‖s, 64 bytes), §3.5 (salt of 32 bytes), RFC 8037 §3.1.
 * Throws token.algorithm_wrong or token.signature_invalid.
 */
export function verifySignature(token: CompactToken, key: PublicKey): void {
  if (!SPELLINGS[key.alg].includes(token.header.alg)) {
    throw violated(
      'token.algorithm_wrong',
      '/alg',
      'header.alg',
      `登记密钥的算法为 ${key.alg}`,
      `the registered key signs with ${key.alg}`,
    )
  }
  if (!isSignedBy(token, key)) throw invalidSignature(key.alg)
}

function isSignedBy({ signingInput, signature }: CompactToken, { alg, key }: PublicKey): boolean {
  const signed = Buffer.from(signingInput, 'latin1')
  if (alg === 'ES256') {
    return signature.length === 64 && verify('sha256', signed, { key, dsaEncoding: 'ieee-p1363' }, signature)
  }
  if (alg === 'Ed25519') return signature.length === 64 && verify(null, signed, key, signature)
  const padding = { padding: constants.RSA_PKCS1_PSS_PADDING, saltLength: 32 }
  return verify('sha256', signed, { key, ...padding }, signature)
}

const invalidSignature = (alg: Algorithm): HubError =>
  violated(
    'token.signature_invalid',
    '',
    'token.signature',
    `${alg} 签名与 kid 所指的密钥不符`,
    `the ${alg} signature does not verify with the key that kid names`,
  )
