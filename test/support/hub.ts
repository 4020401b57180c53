import { randomUUID } from 'node:crypto'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { OpenAPIHono } from '@hono/zod-openapi'
import { compactVerify, createLocalJWKSet, type JSONWebKeySet } from 'jose'
import { CASES_CURSOR, foldStep } from '#cases/fold.ts'
import { prepare } from '#cli/boot.ts'
import { type Core, type LogEntry, openCore } from '#compose.ts'
import { consentsStep } from '#compose-consents.ts'
import { composeGateway } from '#compose-gateway.ts'
import { foldSources } from '#compose-loops.ts'
import { busValue, logReader } from '#compose-vault.ts'
import { readConfig } from '#config.ts'
import { outcomeStep } from '#delivery/outcomes.ts'
import { createRelay, RELAY_LANES, type Relay } from '#delivery/relay.ts'
import { routeStep } from '#delivery/routing.ts'
import type { Looking } from '#documents/live.ts'
import type { FaultPoint } from '#kernel/fault-point.ts'
import type { Json, JsonObject } from '#kernel/json.ts'
import { readPartySigner } from '#parties/key-files.ts'
import { wrapFor } from '#sandbox/party-client.ts'
import { aliasesIntroduced, divisionsByAlias } from '#store/case-queries.ts'
import { cursorPosition } from '#store/cursor.ts'
import { takeLeases } from '#store/lease-queries.ts'
import type { TokenType } from '#trust/claims.ts'
import type { Signer } from '#trust/sign.ts'

export const HUB_URL = 'http://hub.test'
const HUB_ID = 'dianqiao'

/** An answer of the gateway, read once. */
export interface Answer {
  readonly status: number
  readonly headers: Headers
  readonly text: string
  /** The body where it is JSON, else an empty object. */
  readonly json: JsonObject
}

export interface Message {
  readonly contract: string
  readonly sub: string
  readonly data: JsonObject
  readonly obo?: string | undefined
  readonly caseNo?: string
}

/** A seeded party in front of the gateway: its key, and requests in-process. */
export interface TestParty {
  readonly id: string
  readonly signer: Signer
  /** A token of this party; `claims` add to or replace iss, aud, iat, exp and jti, and undefined removes one. */
  sign(typ: TokenType, claims: object): string
  exchange(message: Message, claims?: object): string
  push(message: Message, claims?: object): Promise<Answer>
  ask(claims: object): Promise<Answer>
  get(path: string, claims?: object): Promise<Answer>
  /** POST with a request token, and a JSON body where one is given. */
  command(path: string, claims?: object, body?: unknown): Promise<Answer>
}

export interface TestHub {
  readonly core: Core
  readonly app: OpenAPIHono
  readonly logged: LogEntry[]
  /** `signer`: another key than the one it was seeded with. */
  party(id: string, signer?: Signer): TestParty
  post(path: string, body: NonNullable<RequestInit['body']>, headers?: Record<string, string>): Promise<Answer>
  request(path: string, init?: RequestInit): Promise<Answer>
  /** The claims of a token that a published key of the hub signed; throws for any other. */
  verified(token: unknown): Promise<JsonObject>
  /** A token as a party puts it on the broker: in a JWE to the key that the JWK Set publishes for it. */
  wrapped(token: string): Promise<string>
  /** A sealed column as text. */
  opened(sealed: Buffer | undefined): string
  /** Runs cases, routing, relay and outcomes until none of them moves: what the loops do in time. */
  settle(): Promise<void>
  close(): Promise<void>
}

/** What a test of something else sends is not slowed down. */
const UNLIMITED = {
  UNPROVEN_BURST: '100000',
  PARTY_PER_SECOND: '1000000',
  PARTY_BYTES_PER_SECOND: '1000000000',
  PARTY_IN_FLIGHT: '100000',
}

const keystores = mkdtempSync(join(tmpdir(), 'dianqiao-keystores-'))
process.once('exit', () => rmSync(keystores, { recursive: true, force: true }))

/** All hubs on one database have one keystore. */
const keystoreOf = (databaseUrl: string): string => join(keystores, `${new URL(databaseUrl).pathname.slice(1)}.json`)

/** Core and gateway in this process, seeded, on a migrated database; no port is opened and no loop runs. */
export async function openTestHub(
  databaseUrl: string,
  env: Record<string, string> = {},
  openLooking?: (core: Core) => Promise<Looking>,
): Promise<TestHub> {
  const dataDir = mkdtempSync(join(tmpdir(), 'dianqiao-hub-'))
  const config = readConfig(
    { DATA_DIR: dataDir, HUB_ID, PUBLIC_URL: HUB_URL, KEYSTORE_FILE: keystoreOf(databaseUrl), ...UNLIMITED, ...env },
    false,
  )
  await prepare(config, databaseUrl)
  const logged: LogEntry[] = []
  const core = await openCore(config, databaseUrl, (entry) => logged.push(entry))
  const app = composeGateway(core, () => HUB_URL, await openLooking?.(core))
  core.life.begin()
  let relay: Relay | undefined
  const keys = createLocalJWKSet(core.keyRing.jwks() as unknown as JSONWebKeySet)

  const request = async (path: string, init: RequestInit = {}): Promise<Answer> =>
    readAnswer(await app.request(`${HUB_URL}${path}`, init))
  const post = (
    path: string,
    body: NonNullable<RequestInit['body']>,
    headers: Record<string, string> = {},
  ): Promise<Answer> =>
    request(path, { method: 'POST', body, headers: { 'content-type': 'application/jwt', ...headers } })

  return {
    core,
    app,
    logged,
    request,
    post,
    party(id, signer = readPartySigner(config.partyKeysDir, id)) {
      if (signer === undefined) throw new Error(`no seeded key of ${id}`)
      return partyOf(id, signer, request, post)
    },
    async verified(token) {
      const { payload } = await compactVerify(String(token), keys)
      return JSON.parse(new TextDecoder().decode(payload)) as JsonObject
    },
    async wrapped(token) {
      return wrapFor((await request('/.well-known/jwks.json')).json as unknown as JSONWebKeySet, token)
    },
    opened: (sealed) => (sealed === undefined ? '' : core.vault.open(sealed).toString('utf8')),
    async settle() {
      relay ??= await openTestRelay(core)
      while ((await turn(core, relay)) > 0);
    },
    async close() {
      await core.close()
      rmSync(dataDir, { recursive: true, force: true })
    },
  }
}

export async function readAnswer(response: Response): Promise<Answer> {
  const text = await response.text()
  const isJson = /[/+]json$/.test(response.headers.get('content-type') ?? '') && text !== ''
  const json = (isJson ? JSON.parse(text) : {}) as JsonObject
  return { status: response.status, headers: response.headers, text, json }
}

const nowSeconds = (): number => Math.floor(Date.now() / 1000)

function partyOf(id: string, signer: Signer, request: TestHub['request'], post: TestHub['post']): TestParty {
  const sign = (typ: TokenType, claims: object): string =>
    signer.sign(typ, {
      iss: id,
      aud: HUB_ID,
      iat: nowSeconds(),
      exp: nowSeconds() + (typ === 'request+jwt' ? 60 : 300),
      jti: randomUUID(),
      ...claims,
    })
  const exchange = (message: Message, claims: object = {}): string => sign('exchange+jwt', { ...message, ...claims })
  const bearer = (method: string, path: string, claims: object = {}, body?: unknown): Promise<Answer> => {
    const htu = `${HUB_URL}${new URL(path, HUB_URL).pathname}`
    const token = sign('request+jwt', { htm: method, htu, ...claims })
    const authorization = `Bearer ${token}`
    if (body === undefined) return request(path, { method, headers: { authorization } })
    const headers = { authorization, 'content-type': 'application/json' }
    return request(path, { method, headers, body: JSON.stringify(body) })
  }
  return {
    id,
    signer,
    sign,
    exchange,
    push: (message, claims) => post('/v1/exchanges', exchange(message, claims)),
    ask: (claims) => post('/v1/queries', sign('query+jwt', claims)),
    get: (path, claims) => bearer('GET', path, claims),
    command: (path, claims, body) => bearer('POST', path, claims, body),
  }
}

/** One turn of the roles cases and relay; the number of positions and rows they moved. */
async function turn({ db, register, ...rest }: Core, relay: Relay): Promise<number> {
  const folded = await foldStep(db, foldSources({ register, ...rest }))
  const routed = await routeStep(db, {
    casesPosition: (tx) => cursorPosition(tx, CASES_CURSOR),
    aliasesIntroduced,
    divisionsByAlias,
    utilityOf: register.utilityOf,
  })
  const settled = await outcomeStep(db, logReader(rest.vault, rest.log))
  const consented = await consentsStep({ db, ...rest })
  return folded + routed + consented + settled + (await relay.step())
}

const RELAY_OWNER = '00000000-0000-4000-8000-000000000001'

interface RelayHooks {
  readonly fault?: FaultPoint
  readonly onError?: (error: unknown) => void
}

/** A relay under leases that all test relays share and never have to give up. */
export async function openTestRelay(core: Core, { fault, onError = throwLater }: RelayHooks = {}): Promise<Relay> {
  const { db, bus, config, register, digests } = core
  const taken = await takeLeases(db, RELAY_LANES, RELAY_OWNER, 3_600_000)
  return createRelay({
    db,
    bus,
    hubId: config.hubId,
    recipients: () => register.parties().map((party) => party.id),
    held: (lane) => taken.find(({ name }) => name === lane),
    lose: () => {},
    valueOf: busValue(core),
    outboundKey: digests.outboundKey,
    onError,
    onFree: () => {},
    ...(fault === undefined ? {} : { fault }),
  })
}

/** What nobody expects fails the run. */
const throwLater = (error: unknown): void =>
  queueMicrotask(() => {
    throw error
  })

/** The lines of an NDJSON answer. */
export const ndjson = (text: string): JsonObject[] =>
  text
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as JsonObject)

/** What stands in a JSON value at a path of members. */
export function at(value: Json | undefined, ...path: (string | number)[]): Json | undefined {
  return path.reduce<Json | undefined>(
    (found, name) =>
      typeof found === 'object' && found !== null ? (found as { readonly [member: string]: Json })[name] : undefined,
    value,
  )
}
