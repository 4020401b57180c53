import { sha256Digest } from '#kernel/canonical.ts'
import { HubError, violated } from '#kernel/errors.ts'
import type { JsonObject } from '#kernel/json.ts'
import { type ExchangeClaims, type ReceiptClaims, readClaims } from '#trust/claims.ts'
import { type CompactToken, parseCompact } from '#trust/compact.ts'
import type { PublicKey } from '#trust/keys.ts'
import { verifySignature } from '#trust/verify.ts'
import { MAX_TOKEN_BYTES } from './accept.ts'

export interface DeliveryVerifier {
  readonly hubId: string
  /** The hub's published key of this kid. */
  readonly hubKey: (kid: string) => PublicKey | undefined
  /** The registered key of the issuer: revoked ones are not handed out. */
  readonly issuerKey: (iss: string, kid: string) => PublicKey | undefined
}

/**
 * What a recipient checks before it uses a delivery: the hub's receipt is genuine, it is the receipt of exactly these
 * token bytes, the issuer signed them, and they were fresh when the hub accepted them (not by the recipient's clock).
 * What came with a MAC the hub has signed, with its own published key, for the sender that obo names: only a receipt
 * that says `mac-attested` may speak of such a token, and it names that sender. Throws `delivery.receipt_invalid`.
 */
export function verifyDelivery(
  verifier: DeliveryVerifier,
  delivery: { readonly token: string; readonly receipt: string },
): { readonly claims: JsonObject; readonly data: JsonObject } {
  let receipt: ReceiptClaims
  let exchange: ExchangeClaims
  try {
    receipt = readReceipt(verifier, delivery.receipt)
    exchange = readExchange(verifier, delivery.token)
  } catch (cause) {
    if (cause instanceof HubError && cause.retriable) throw cause
    throw new HubError('delivery.receipt_invalid', { cause })
  }
  const { of, acceptedAt } = receipt
  const isAttested = receipt.origin === 'mac-attested' && exchange.iss === verifier.hubId
  const fits =
    of.tokenDigest === sha256Digest(delivery.token) &&
    of.iss === (isAttested ? exchange.obo : exchange.iss) &&
    of.jti === exchange.jti &&
    of.contract === exchange.contract
  if (!fits) throw mismatch('of', '回执不是这份报文的', 'the receipt is not of this token')
  if (exchange.iat > acceptedAt + SKEW_SECONDS || acceptedAt > exchange.exp) {
    throw mismatch('acceptedAt', '受理时报文不在有效期内', 'the token was not fresh when it was accepted')
  }
  const { data, ...claims } = exchange
  return { claims: claims as unknown as JsonObject, data }
}

/** The hub accepts an iat this far ahead of its own time (PROTOCOL, freshness). */
const SKEW_SECONDS = 30

function readReceipt(verifier: DeliveryVerifier, text: string): ReceiptClaims {
  const token = parse(text, 'receipt+jwt')
  const key = verifier.hubKey(token.header.kid)
  const claims = readClaims('receipt+jwt', token.claims)
  if (key === undefined || claims.iss !== verifier.hubId) throw new HubError('token.key_unknown')
  verifySignature(token, key)
  return claims
}

function readExchange(verifier: DeliveryVerifier, text: string): ExchangeClaims {
  const token = parse(text, 'exchange+jwt')
  const claims = readClaims('exchange+jwt', token.claims)
  const { kid } = token.header
  const key = claims.iss === verifier.hubId ? verifier.hubKey(kid) : verifier.issuerKey(claims.iss, kid)
  if (key === undefined) throw new HubError('token.key_unknown')
  verifySignature(token, key)
  return claims
}

function parse(text: string, typ: string): CompactToken {
  const token = parseCompact(text, MAX_TOKEN_BYTES)
  if (token.header.typ !== typ) throw new HubError('token.type_wrong')
  return token
}

const mismatch = (pointer: string, zh: string, en: string): HubError =>
  violated('delivery.receipt_invalid', `/${pointer}`, 'receipt', zh, en)
