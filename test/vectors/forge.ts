import { constants, createPrivateKey, type KeyObject, sign } from 'node:crypto'
import type { JsonObject } from '#kernel/json.ts'

/** A published test key with the party that holds it. */
export interface TestKey {
  readonly party: string
  readonly kid: string
  readonly alg: string
  readonly privateJwk: JsonObject
  readonly publicJwk: JsonObject
}

export interface Keys {
  readonly es256: TestKey
  readonly ed25519: TestKey
  readonly ps256: TestKey
  readonly stranger: TestKey
  readonly hub: TestKey
  readonly hubEd25519: TestKey
}

export interface Entry {
  readonly name: string
  /** The code of the refusal, or `accepted`. */
  readonly expected: string
  readonly token: string
}

export const HUB_ID = 'hub.vectors'
/** 2026-11-20T02:00:00Z */
export const HUB_TIME = Date.UTC(2026, 10, 20, 2) / 1000

/** What a forged token differs in from a good one. Text and bytes go in as they are. */
export interface Forgery {
  readonly key?: TestKey
  /** Header members to add or replace; undefined removes one. */
  readonly header?: Readonly<Record<string, unknown>>
  readonly headerText?: string | Buffer
  /** Claims to add or replace; undefined removes one. */
  readonly claims?: Readonly<Record<string, unknown>>
  readonly payload?: string | Buffer
  readonly signature?: (signingInput: string, key: KeyObject) => Buffer
}

export const base64url = (value: string | Buffer): string => Buffer.from(value as string).toString('base64url')

/** The claims of a good exchange of this party. Synthetic data. */
export function exchangeClaims(party: string): JsonObject {
  return {
    iss: party,
    aud: HUB_ID,
    iat: HUB_TIME - 5,
    exp: HUB_TIME + 295,
    jti: '0193f3a2-vector-0001',
    contract: 'approval-result@1',
    sub: '150100-2026-000123',
    caseNo: '150100-2026-000123',
    data: { projectNo: '150100-2026-000123', result: '准予许可', decidedOn: '2026-11-20' },
  }
}

export function headerOf({ alg, kid }: TestKey): JsonObject {
  return { alg, kid, typ: 'exchange+jwt' }
}

/** A token that is wrong in exactly what `forgery` says and otherwise good, its signature included. */
export function forge(key: TestKey, forgery: Forgery = {}): string {
  const signer = forgery.key ?? key
  const header = forgery.headerText ?? JSON.stringify({ ...headerOf(signer), ...forgery.header })
  const payload = forgery.payload ?? JSON.stringify({ ...exchangeClaims(signer.party), ...forgery.claims })
  return signParts(signer, base64url(header), base64url(payload), forgery.signature)
}

/** Signs two parts as they are, valid or not. */
export function signParts(key: TestKey, header: string, payload: string, signature = signerOf(key)): string {
  const signingInput = `${header}.${payload}`
  const bytes = signature(signingInput, createPrivateKey({ key: key.privateJwk, format: 'jwk' }))
  return `${signingInput}.${bytes.toString('base64url')}`
}

type Sign = (signingInput: string, key: KeyObject) => Buffer

export const signEs256: Sign = (input, key) => sign('sha256', Buffer.from(input), { key, dsaEncoding: 'ieee-p1363' })
export const signEd25519: Sign = (input, key) => sign(null, Buffer.from(input), key)
export const signPs256: Sign = (input, key) => signPss(input, key, 'sha256', 32)

export function signPss(input: string, key: KeyObject, hash: string, saltLength: number): Buffer {
  return sign(hash, Buffer.from(input), { key, padding: constants.RSA_PKCS1_PSS_PADDING, saltLength })
}

function signerOf(key: TestKey): Sign {
  if (key.alg === 'ES256') return signEs256
  return key.alg === 'PS256' ? signPs256 : signEd25519
}
