import { createHmac, hash, hkdfSync, timingSafeEqual } from 'node:crypto'

/** How a request of the plain door is authenticated. GB/T 32905 (SM3) where a party may use nothing else. */
export const SIGN_METHODS = ['HMAC-SHA256', 'HMAC-SM3'] as const
export type SignMethod = (typeof SIGN_METHODS)[number]

const HASH = { 'HMAC-SHA256': 'sha256', 'HMAC-SM3': 'sm3' } as const satisfies Record<SignMethod, string>

/** What the MAC of a request covers; every part has a form without line ends. */
export interface SignedParts {
  readonly method: SignMethod
  /** Path of PUBLIC_URL and of the call, not percent-encoded, without a query. */
  readonly path: string
  readonly appKey: string
  /** Unix milliseconds, as they were sent. */
  readonly timestamp: string
  readonly nonce: string
  readonly requestId: string
  readonly body: Buffer
}

/**
 * The text under the MAC: sign method, `POST`, path, AppKey, timestamp, nonce, request id and the digest of the body
 * (lower-case hex, by the hash of the sign method), joined by line feeds. The method stands in it, so that a MAC of one
 * can never pass for one of the other.
 */
export const stringToSign = ({ method, path, appKey, timestamp, nonce, requestId, body }: SignedParts): string =>
  [method, 'POST', path, appKey, timestamp, nonce, requestId, hash(HASH[method], body, 'hex')].join('\n')

/** The MAC in lower-case hex. The key is the secret's text as its party was given it. */
export const macOf = (secret: string, parts: SignedParts): string =>
  createHmac(HASH[parts.method], secret).update(stringToSign(parts)).digest('hex')

/** Compares in constant time; only 64 lower-case hex digits can be right. */
export function isMacOf(given: string, secret: string, parts: SignedParts): boolean {
  const expected = Buffer.from(macOf(secret, parts), 'latin1')
  const bytes = Buffer.from(given, 'latin1')
  return bytes.length === expected.length && timingSafeEqual(bytes, expected)
}

/**
 * The secret of an AppKey, derived (HKDF, RFC 5869) from the hub's digest key and the AppKey's id, which is never given
 * twice: nothing secret stands in the database, and every gateway knows a new AppKey as soon as its register does.
 */
export const appKeySecret = (digestKey: Buffer, id: string): string =>
  Buffer.from(hkdfSync('sha256', digestKey, '', `dianqiao appkey@1\n${id}`, 32)).toString('base64url')
