import { HubError, type Violation, violated } from '#kernel/errors.ts'
import type { JsonObject } from '#kernel/json.ts'
import { ORIGINS, type Origin } from '#kernel/origin.ts'
import { ANSWER_DOCUMENT, type AnswerDocument, PART_VERDICT, type PartVerdict } from './answer-claims.ts'
import { type AnswerLookUp, lookUpsShape } from './answer-lookup.ts'
import {
  anyText,
  closed,
  contractName,
  count,
  digest,
  errorCode,
  httpMethod,
  httpStatus,
  httpTarget,
  inspect,
  jsonObject,
  jti,
  keyedDigest,
  listOf,
  numericDate,
  oneOf,
  optional,
  partyId,
  required,
  type Shape,
  text,
  uuid,
} from './claim-shapes.ts'
import { staleness } from './freshness.ts'

/** The explicit types (RFC 8725 §3.11), to be compared as they are written. */
export const TOKEN_TYPES = [
  'exchange+jwt',
  'query+jwt',
  'request+jwt',
  'receipt+jwt',
  'refusal+jwt',
  'answer+jwt',
] as const
export type TokenType = (typeof TOKEN_TYPES)[number]

const LEGAL_BASES = ['consent', 'mandate', 'duty', 'contract'] as const
type LegalBasis = (typeof LEGAL_BASES)[number]

/** Claims of every token; times are NumericDates (RFC 7519 §2), whole seconds. */
interface Registered {
  readonly iss: string
  readonly aud: string
  readonly iat: number
  readonly jti: string
  /** Not asked for, but many JWT libraries add it; where it is there it is checked. */
  readonly nbf?: number
}

interface Expiring extends Registered {
  readonly exp: number
}

export interface ExchangeClaims extends Expiring {
  readonly contract: string
  readonly sub: string
  readonly data: JsonObject
  readonly caseNo?: string
  /** The party for whom the issuer acts. */
  readonly obo?: string
  readonly supersedes?: { readonly iss: string; readonly jti: string }
  /** The connector that signed for the party. */
  readonly act?: string
}

export interface QueryClaims extends Expiring {
  readonly contract: string
  readonly sub: string
  readonly purpose: string
  readonly legalBasis: LegalBasis
  /** 实施编码 of the service item. */
  readonly item: string
  /** Pseudonymous staff id. */
  readonly operator: string
  readonly caseNo?: string
  readonly session?: string
  readonly consentRef?: string
  readonly fields?: readonly string[]
  /** What is asked for besides the key: members of the contract's schema. */
  readonly data?: JsonObject
  readonly obo?: string
}

interface RequestClaims extends Expiring {
  /** RFC 9449 §4.2. */
  readonly htm: string
  readonly htu: string
}

export interface ReceiptClaims extends Registered {
  readonly exchange: string
  readonly of: {
    readonly iss: string
    readonly jti: string
    readonly contract: string
    readonly tokenDigest: string
    readonly contentDigest: string
    /** Of the plain door: the body as it arrived. */
    readonly bodyDigest?: string
  }
  /** The log head when the receipt was signed; the exchange's own position is greater. */
  readonly posAfter: number
  readonly acceptedAt: number
  readonly origin: Origin
}

interface RefusalClaims extends Registered {
  readonly of: { readonly tokenDigest: string }
  readonly problem: { readonly code: string; readonly status: number; readonly violations: readonly Violation[] }
}

interface AnswerClaims extends Expiring {
  readonly of: { readonly iss: string; readonly jti: string; readonly tokenDigest: string }
  readonly asOf: number
  readonly documents: readonly AnswerDocument[]
  readonly parts: readonly PartVerdict[]
  /** Absent where nothing was looked up. */
  readonly lookUps?: readonly AnswerLookUp[]
}

interface ClaimsByType {
  'exchange+jwt': ExchangeClaims
  'query+jwt': QueryClaims
  'request+jwt': RequestClaims
  'receipt+jwt': ReceiptClaims
  'refusal+jwt': RefusalClaims
  'answer+jwt': AnswerClaims
}

type ClaimsOf<T extends TokenType> = ClaimsByType[T]

/** The aud is free text here, so that an alien one is answered as token.audience_wrong and not as a format fault. */
const REGISTERED = {
  iss: required(partyId),
  aud: required(text(128)),
  iat: required(numericDate),
  jti: required(jti),
  nbf: optional(numericDate),
}
const EXPIRING = { ...REGISTERED, exp: required(numericDate) }

const CLAIM_SETS: { readonly [T in TokenType]: Shape } = {
  'exchange+jwt': closed<ExchangeClaims>({
    ...EXPIRING,
    contract: required(contractName),
    sub: required(text(128)),
    data: required(jsonObject),
    caseNo: optional(text(128)),
    obo: optional(partyId),
    supersedes: optional(closed<{ iss: string; jti: string }>({ iss: required(partyId), jti: required(jti) })),
    act: optional(partyId),
  }),
  'query+jwt': closed<QueryClaims>({
    ...EXPIRING,
    contract: required(contractName),
    sub: required(text(128)),
    purpose: required(text(128)),
    legalBasis: required(oneOf(LEGAL_BASES)),
    item: required(text(64)),
    operator: required(text(64)),
    caseNo: optional(text(128)),
    session: optional(text(128)),
    consentRef: optional(text(128)),
    fields: optional(listOf(text(128), 256)),
    data: optional(jsonObject),
    obo: optional(partyId),
  }),
  'request+jwt': closed<RequestClaims>({ ...EXPIRING, htm: required(httpMethod), htu: required(httpTarget) }),
  'receipt+jwt': closed<ReceiptClaims>({
    ...REGISTERED,
    exchange: required(uuid),
    of: required(
      closed<ReceiptClaims['of']>({
        iss: required(partyId),
        jti: required(jti),
        contract: required(contractName),
        tokenDigest: required(digest),
        contentDigest: required(keyedDigest),
        bodyDigest: optional(digest),
      }),
    ),
    posAfter: required(count),
    acceptedAt: required(numericDate),
    origin: required(oneOf(ORIGINS)),
  }),
  'refusal+jwt': closed<RefusalClaims>({
    ...REGISTERED,
    of: required(closed<RefusalClaims['of']>({ tokenDigest: required(digest) })),
    problem: required(
      closed<RefusalClaims['problem']>({
        code: required(errorCode),
        status: required(httpStatus),
        violations: required(
          listOf(
            closed<Violation>({
              pointer: required(anyText),
              rule: required(anyText),
              message: required(closed<Violation['message']>({ zh: required(anyText), en: required(anyText) })),
            }),
            1000,
          ),
        ),
      }),
    ),
  }),
  'answer+jwt': closed<AnswerClaims>({
    ...EXPIRING,
    of: required(
      closed<AnswerClaims['of']>({ iss: required(partyId), jti: required(jti), tokenDigest: required(digest) }),
    ),
    asOf: required(numericDate),
    documents: required(listOf(ANSWER_DOCUMENT, 1000)),
    parts: required(listOf(PART_VERDICT, 16)),
    lookUps: optional(lookUpsShape),
  }),
}

/** The claims as their type has them, or token.claims_invalid with one violation per fault. */
export function readClaims<T extends TokenType>(typ: T, claims: JsonObject): ClaimsOf<T> {
  const violations: Violation[] = []
  inspect(CLAIM_SETS[typ], claims, '', violations)
  if (violations.length > 0) throw new HubError('token.claims_invalid', { violations })
  return claims as unknown as ClaimsOf<T>
}

/** Throws token.audience_wrong unless aud is exactly this hub of this environment. */
export function checkAudience(claims: { readonly aud: string }, hubId: string): void {
  if (claims.aud === hubId) return
  throw violated('token.audience_wrong', '/aud', 'claims.aud', `aud 须为 ${hubId}`, `the aud must be ${hubId}`)
}

/** How far ahead of the hub iat and nbf may be (PROTOCOL, Freshness). exp has no leeway. */
const LEEWAY_MS = 30_000

/**
 * Judges the times of a token at its arrival `nowMs`, by the hub's clock or the broker's: exp ≤ now is token.expired;
 * iat or nbf more than 30 s ahead token.not_yet_valid; exp − iat above `maxAgeSeconds` or not positive
 * token.lifetime_too_long. In this order; each states the hub's time and the measured offset.
 */
export function checkFreshness(
  { iat, exp, nbf }: { readonly iat: number; readonly exp: number; readonly nbf?: number },
  { nowMs, maxAgeSeconds }: { readonly nowMs: number; readonly maxAgeSeconds: number },
): void {
  if (exp * 1000 <= nowMs) {
    throw staleness('token.expired', 'exp', exp, nowMs, { zh: '令牌已过期', en: 'the token has expired' })
  }
  for (const [claim, time] of [
    ['iat', iat],
    ['nbf', nbf ?? 0],
  ] as const) {
    if (time * 1000 <= nowMs + LEEWAY_MS) continue
    throw staleness('token.not_yet_valid', claim, time, nowMs, { zh: `${claim} 在未来`, en: `the ${claim} is ahead` })
  }
  const lifetime = exp - iat
  if (lifetime > maxAgeSeconds || lifetime <= 0) {
    throw staleness('token.lifetime_too_long', 'iat', iat, nowMs, {
      zh: `有效期 ${lifetime} 秒，须为 1 至 ${maxAgeSeconds} 秒`,
      en: `the token lives ${lifetime} s; 1 to ${maxAgeSeconds} s are allowed`,
    })
  }
}
