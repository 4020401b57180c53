import { createHash } from 'node:crypto'
import { macOf, SIGN_METHODS, type SignedParts, stringToSign } from '#trust/mac.ts'
import { HUB_TIME } from './forge.ts'

const SECRET = 'PUBLISHED-TEST-SECRET-0123456789-abcdefghij'
const BODY = '{"affairNo":"150429-20260911-00002","resultState":"11","remarks":"宁城县"}'

/** What the plain door's MAC is of a published secret, by both methods, with every step on the way. */
export function plainVectors(): object {
  const vectors = SIGN_METHODS.map((method) => {
    const parts: SignedParts = {
      method,
      path: '/v1/plain/approval-result@1',
      appKey: 'ak-0123456789abcdef01234567',
      timestamp: String(HUB_TIME * 1_000),
      nonce: 'b2f7c1d0-5a3e-4c6b-8d9f-0a1b2c3d4e5f',
      requestId: 'NC-20260911-000002',
      body: Buffer.from(BODY),
    }
    const { body: _bytes, ...rest } = parts
    return {
      ...rest,
      secret: SECRET,
      body: BODY,
      bodyDigest: createHash(method === 'HMAC-SM3' ? 'sm3' : 'sha256').update(BODY).digest('hex'),
      stringToSign: stringToSign(parts),
      sign: macOf(SECRET, parts),
    }
  })
  return { note: 'PUBLISHED TEST SECRET. Everybody has it: no hub issues it.', vectors }
}
