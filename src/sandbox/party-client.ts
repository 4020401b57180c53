import { randomUUID } from 'node:crypto'
import { CompactEncrypt, compactVerify, createLocalJWKSet, decodeJwt, type JSONWebKeySet, type JWTPayload } from 'jose'
import { sha256Digest } from '#kernel/canonical.ts'
import { HubError } from '#kernel/errors.ts'
import type { JsonObject } from '#kernel/json.ts'
import type { Signer } from '#trust/sign.ts'

/** An answer of the hub as a party sees it; `verified` says what public keys alone could prove of it. */
export interface HubAnswer {
  readonly status: number
  /** The signed part: receipt, refusal or answer. */
  readonly token: string | undefined
  readonly claims: JWTPayload | undefined
  readonly code: string | undefined
  readonly replayed: boolean
  /** Undefined where nothing signed came back. */
  readonly verified: boolean | undefined
  readonly body: JsonObject | undefined
}

export interface MessageInput {
  readonly contract: string
  readonly sub: string
  readonly data: JsonObject
  readonly obo?: string
  readonly caseNo?: string
  readonly jti?: string
  /** Deviations on purpose: other times, an audience, anything a wrong client would send. */
  readonly claims?: JsonObject
}

interface QueryInput {
  readonly contract: string
  readonly sub: string
  /** A case, or before there is one a session. */
  readonly caseNo?: string
  readonly session?: string
  readonly legalBasis?: string
  readonly consentRef?: string
  readonly fields?: readonly string[]
  readonly purpose?: string
  /** What is asked for besides the key. */
  readonly data?: JsonObject
}

/** A party outside the hub: its own key, HTTP, and the hub's JWK Set. It trusts nothing that it has not verified. */
export interface PartyClient {
  readonly id: string
  exchangeToken(input: MessageInput): string
  /** A token as it goes to a broker: wrapped for the hub (PROTOCOL, Kafka). */
  wrapped(token: string): Promise<string>
  push(input: MessageInput): Promise<HubAnswer>
  /** Sends a token as it is. */
  pushToken(token: string): Promise<HubAnswer>
  ask(input: QueryInput): Promise<HubAnswer>
  /** GET with a fresh request token. */
  get(path: string): Promise<{ status: number; body: JsonObject }>
  /** Whether a key of the hub signed this token. */
  verifies(token: string): Promise<boolean>
  /** Any request with a fresh request token, as it is answered. */
  request(method: Method, path: string, init?: { body?: Uint8Array<ArrayBuffer>; headers?: object }): Promise<Response>
  /** Proves to the hub that this party has the private half of its key. */
  prove(): Promise<{ status: number; body: JsonObject }>
}

type Method = 'GET' | 'HEAD' | 'POST' | 'PUT'

const LIFE_SECONDS = 300

export async function openPartyClient(hubUrl: string, hubId: string, id: string, signer: Signer): Promise<PartyClient> {
  const jwks = (await (await fetch(`${hubUrl}/.well-known/jwks.json`)).json()) as JSONWebKeySet
  const hub: HubIdentity = { id: hubId, keys: createLocalJWKSet(jwks) }
  const registered = (seconds: number): JsonObject => {
    const now = Math.floor(Date.now() / 1000)
    return { iss: id, aud: hubId, iat: now, exp: now + seconds, jti: randomUUID() }
  }
  const exchangeToken = ({ claims, ...input }: MessageInput): string =>
    signer.sign('exchange+jwt', { ...registered(LIFE_SECONDS), ...present(input), ...claims })

  async function post(path: string, token: string): Promise<HubAnswer> {
    const headers = { 'content-type': 'application/jwt' }
    return readAnswer(hub, token, await fetch(`${hubUrl}${path}`, { method: 'POST', headers, body: token }))
  }

  const request: PartyClient['request'] = (method, path, { body, headers } = {}) => {
    const url = new URL(path, hubUrl)
    const claims = { ...registered(60), htm: method, htu: `${hubUrl}${url.pathname}` }
    const authorization = `Bearer ${signer.sign('request+jwt', claims)}`
    return fetch(url, { method, headers: { authorization, ...headers }, ...(body === undefined ? {} : { body }) })
  }

  async function requestJson(method: Method, path: string): Promise<{ status: number; body: JsonObject }> {
    const response = await request(method, path)
    return { status: response.status, body: (await response.json()) as JsonObject }
  }

  return {
    id,
    exchangeToken,
    wrapped: (token) => wrapFor(jwks, token),
    push: (input) => post('/v1/exchanges', exchangeToken(input)),
    pushToken: (token) => post('/v1/exchanges', token),
    ask: (input) =>
      post('/v1/queries', signer.sign('query+jwt', { ...registered(LIFE_SECONDS), ...PURPOSE, ...present(input) })),
    verifies: (token) =>
      compactVerify(token, hub.keys).then(
        () => true,
        () => false,
      ),
    get: (path) => requestJson('GET', path),
    request,
    prove: () => requestJson('POST', '/v1/keys/proof'),
  }
}

/** What the broker stores only the hub can read: a JWE to the key with use `enc` in its JWK Set. */
export async function wrapFor(jwks: JSONWebKeySet, token: string): Promise<string> {
  const jwk = jwks.keys.find(({ use }) => use === 'enc')
  if (jwk?.kid === undefined) throw new HubError('token.encryption_invalid')
  return new CompactEncrypt(Buffer.from(token))
    .setProtectedHeader({ alg: 'ECDH-ES', enc: 'A256GCM', typ: 'JWE', cty: 'JWT', kid: jwk.kid })
    .encrypt(jwk)
}

/** What every synthetic query states; 实施编码 of the item 用电报装. */
const PURPOSE = {
  purpose: 'power-connection',
  legalBasis: 'duty',
  item: '11150000MB0000000X2000199001000',
  operator: 'staff-0042',
}

/** Without the members that are absent: a claim set is closed, and null is not absent. */
const present = (input: object): object =>
  Object.fromEntries(Object.entries(input).filter(([, value]) => value !== undefined))

interface HubIdentity {
  readonly id: string
  readonly keys: ReturnType<typeof createLocalJWKSet>
}

async function readAnswer(hub: HubIdentity, sent: string, response: Response): Promise<HubAnswer> {
  const text = await response.text()
  const problem = response.headers.get('content-type')?.startsWith('application/problem+json') === true
  const body = problem ? (JSON.parse(text) as JsonObject) : undefined
  const token = problem ? (body?.['refusal'] as string | undefined) : text
  const claims = token === undefined ? undefined : await verify(hub, token, sent)
  return {
    status: response.status,
    token,
    claims,
    code: body?.['code'] as string | undefined,
    replayed: response.headers.get('idempotency-replayed') === 'true',
    verified: token === undefined ? undefined : claims !== undefined,
    body,
  }
}

/**
 * The claims, when a key of the hub signed them for the name the token claims and they speak of exactly what was sent. An original receipt names
 * the digest of the first token, so it fits by (iss, jti) where it does not fit by digest.
 */
async function verify(hub: HubIdentity, token: string, sent: string): Promise<JWTPayload | undefined> {
  try {
    const { payload } = await compactVerify(token, hub.keys)
    const claims = JSON.parse(new TextDecoder().decode(payload)) as JWTPayload & { of?: JsonObject }
    const of = claims.of ?? {}
    const sentClaims = decodeJwt(sent)
    const speaksOfIt =
      of['tokenDigest'] === sha256Digest(sent) || (of['jti'] === sentClaims.jti && of['iss'] === sentClaims.iss)
    return claims.iss === hub.id && claims.aud === sentClaims.iss && speaksOfIt ? claims : undefined
  } catch {
    return undefined
  }
}
