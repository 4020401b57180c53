import { hash } from 'node:crypto'
import { type Clock, isoTime } from '#kernel/clock.ts'
import { HubError, type Violation, violated } from '#kernel/errors.ts'
import { isMacOf, SIGN_METHODS, type SignedParts, type SignMethod } from '#trust/mac.ts'
import type { PartyLimits } from './party-limits.ts'
import type { Party, PartyRegister, RegisteredAppKey } from './party-register.ts'
import type { Progress } from './prove.ts'

/** A request of the plain door as it arrived. */
export interface PlainRequest {
  /** Path of PUBLIC_URL and `/v1/plain/<contract>`, not percent-encoded. */
  readonly path: string
  readonly contract: string
  /** Their values by lower-case name; undefined where a header is missing. */
  readonly headers: Readonly<Record<PlainHeader, string | undefined>>
  readonly body: Buffer
  /** The IP address that it came from. */
  readonly source: string | undefined
}

export interface ProvePlainDeps {
  readonly clock: Clock
  readonly register: PartyRegister
  readonly limits: PartyLimits
  readonly appKeySecret: (id: string) => string
  /** False when this AppKey used the nonce before. Throws `hub.store_unavailable`. */
  readonly useNonce: (appKey: string, nonce: string) => Promise<boolean>
}

export interface ProvenPlain {
  readonly party: Party
  readonly appKey: RegisteredAppKey
  readonly signed: SignedParts
  /** `sha-256:…` of the body as it arrived. */
  readonly bodyDigest: string
}

interface HeaderForm {
  readonly pattern: RegExp
  readonly zh: string
  readonly en: string
}

/** Repeated headers arrive as one value with a comma, which none of these forms has. */
const HEADERS = {
  'x-app-key': { pattern: /^ak-[0-9a-f]{24}$/, zh: '枢纽签发的 AppKey', en: 'an AppKey of the hub' },
  'x-timestamp': { pattern: /^\d{13}$/, zh: '13 位 Unix 毫秒', en: 'Unix milliseconds, 13 digits' },
  'x-nonce': {
    pattern: /^[A-Za-z0-9._~-]{8,64}$/,
    zh: '8 至 64 个 [A-Za-z0-9._~-] 字符',
    en: '8 to 64 characters of [A-Za-z0-9._~-]',
  },
  'x-request-id': {
    pattern: /^[A-Za-z0-9._~-]{8,64}$/,
    zh: '8 至 64 个 [A-Za-z0-9._~-] 字符',
    en: '8 to 64 characters of [A-Za-z0-9._~-]',
  },
  'x-sign-method': { pattern: /^HMAC-(?:SHA256|SM3)$/, zh: 'HMAC-SHA256 或 HMAC-SM3', en: 'HMAC-SHA256 or HMAC-SM3' },
  'x-sign': { pattern: /^[0-9a-f]{64}$/, zh: '64 位小写十六进制', en: '64 lower-case hex digits' },
} as const satisfies Record<string, HeaderForm>

export type PlainHeader = keyof typeof HEADERS
export const PLAIN_HEADERS = Object.keys(HEADERS) as readonly PlainHeader[]

/** How far a timestamp may be off the hub's clock, either way (PROTOCOL, four doors). */
const WINDOW_MS = 300_000
/** Nonces are kept so long: a timestamp 5 min ahead can be used for 10, and database and node may differ. */
export const KEEP_NONCES_SECONDS = 900

/**
 * Who sends a plain request: headers → AppKey → time → MAC over the bytes that arrived → nonce → network → standing.
 * What could be somebody else's recording – too old, or a nonce twice – proves nobody, spends nothing of the party's
 * allowance and leaves no record. Throws `appkey.*`, `limit.exceeded`, `party.suspended`, `right.missing`.
 */
export async function provePlain(
  deps: ProvePlainDeps,
  request: PlainRequest,
  progress: Progress,
): Promise<ProvenPlain> {
  const { register, limits } = deps
  const headers = readHeaders(request.headers)
  const appKey = register.appKey(headers['x-app-key'])
  const party = appKey && register.party(appKey.party)
  if (appKey === undefined || party === undefined) throw new HubError('appkey.unknown')
  limits.requireAllowance(party.id)
  if (appKey.state === 'revoked') throw new HubError('appkey.revoked')
  checkTimestamp(Number(headers['x-timestamp']), deps.clock())
  const signed = signedParts(request, headers, appKey.method)
  if (!isMacOf(headers['x-sign'], deps.appKeySecret(appKey.id), signed)) throw new HubError('appkey.sign_invalid')
  if (!(await deps.useNonce(appKey.id, signed.nonce))) throw new HubError('appkey.nonce_used')
  const bodyDigest = `sha-256:${hash('sha256', request.body, 'base64url')}`
  progress.token = {
    digest: bodyDigest,
    claims: { iss: party.id, jti: signed.requestId, contract: request.contract },
  }
  progress.party = party
  limits.spend(party, request.body.length)
  if (request.source === undefined || !appKey.isFrom(request.source)) throw new HubError('appkey.network_foreign')
  if (party.status === 'suspended') throw new HubError('party.suspended')
  checkContract(appKey, request.contract)
  return { party, appKey, signed, bodyDigest }
}

function readHeaders(given: PlainRequest['headers']): Readonly<Record<PlainHeader, string>> {
  const violations: Violation[] = PLAIN_HEADERS.filter((name) => !HEADERS[name].pattern.test(given[name] ?? '')).map(
    (name) => ({
      pointer: `/${name}`,
      rule: 'header',
      message: { zh: `${name} 须为${HEADERS[name].zh}`, en: `${name} must be ${HEADERS[name].en}` },
    }),
  )
  if (violations.length > 0) throw new HubError('appkey.headers_invalid', { violations })
  return given as Readonly<Record<PlainHeader, string>>
}

/** Judged at arrival by the hub's clock, and told with it, so that the sender sees whether its own is to blame. */
function checkTimestamp(sentMs: number, nowMs: number): void {
  const offMs = sentMs - nowMs
  if (Math.abs(offMs) <= WINDOW_MS) return
  const offset = `${offMs > 0 ? '+' : ''}${offMs / 1_000}`
  throw violated(
    'appkey.timestamp_off',
    '/x-timestamp',
    'timestamp',
    `枢纽时间 ${isoTime(nowMs)}，X-Timestamp 与之相差 ${offset} 秒`,
    `the hub's time is ${isoTime(nowMs)}, the X-Timestamp is ${offset} s off`,
  )
}

/** Throws `appkey.sign_invalid` unless the request is signed with the one method its AppKey was given. */
function signedParts(
  request: PlainRequest,
  headers: Readonly<Record<PlainHeader, string>>,
  registered: SignMethod,
): SignedParts {
  const method = SIGN_METHODS.find((one) => one === headers['x-sign-method'])
  if (method !== registered) {
    throw violated(
      'appkey.sign_invalid',
      '/x-sign-method',
      'method',
      `该 AppKey 登记的方法是 ${registered}`,
      `this AppKey signs with ${registered}`,
    )
  }
  return {
    method,
    path: request.path,
    appKey: headers['x-app-key'],
    timestamp: headers['x-timestamp'],
    nonce: headers['x-nonce'],
    requestId: headers['x-request-id'],
    body: request.body,
  }
}

function checkContract({ contracts }: RegisteredAppKey, contract: string): void {
  if (contracts === undefined || contracts.includes(contract)) return
  throw violated(
    'right.missing',
    '/contract',
    `appkey:${contract}`,
    `该 AppKey 不能用于 ${contract}`,
    `this AppKey is not for ${contract}`,
  )
}
