import { createHash } from 'node:crypto'
import { type Answer, HUB_URL, readAnswer, type TestHub, type TestParty } from './hub.ts'

export const OFD = 'application/ofd'

export const digestOf = (bytes: Uint8Array, algorithm: 'sha-256' | 'sm3' = 'sha-256'): string =>
  `${algorithm}:${createHash(algorithm === 'sm3' ? 'sm3' : 'sha256')
    .update(bytes)
    .digest('base64url')}`

export const pathOf = (digest: string): string => `/v1/files/${digest}`

/** The Bearer header of a party for one method and file. */
export const bearerOf = (party: TestParty, method: string, digest: string, base = HUB_URL): string =>
  `Bearer ${party.sign('request+jwt', { htm: method, htu: `${base}${pathOf(digest)}` })}`

interface Deviations {
  readonly digest?: string
  readonly mediaType?: string
  /** Which bytes are sent, with Content-Range; all of them without it where absent. */
  readonly range?: readonly [from: number, to: number]
  readonly headers?: Record<string, string>
}

/** Uploads bytes, or a range of them, as the party. */
export function upload(hub: TestHub, party: TestParty, bytes: Buffer, deviations: Deviations = {}): Promise<Answer> {
  const { digest = digestOf(bytes), mediaType = OFD, range, headers = {} } = deviations
  const [from, to] = range ?? [0, bytes.length]
  return hub.request(pathOf(digest), {
    method: 'PUT',
    body: Uint8Array.from(bytes.subarray(from, to)),
    headers: {
      authorization: bearerOf(party, 'PUT', digest),
      'content-type': mediaType,
      'content-length': String(to - from),
      ...(range === undefined ? {} : { 'content-range': `bytes ${from}-${to - 1}/${bytes.length}` }),
      ...headers,
    },
  })
}

/** Asks with HEAD. */
export const head = (hub: TestHub, party: TestParty, digest: string): Promise<Answer> =>
  hub.request(pathOf(digest), { method: 'HEAD', headers: { authorization: bearerOf(party, 'HEAD', digest) } })

export interface Fetched {
  readonly status: number
  readonly headers: Headers
  readonly bytes: Buffer
  readonly code: unknown
}

/** Fetches a file as the party. */
export async function download(
  hub: TestHub,
  party: TestParty,
  digest: string,
  headers: Record<string, string> = {},
): Promise<Fetched> {
  const response = await hub.app.request(`${HUB_URL}${pathOf(digest)}`, {
    headers: { authorization: bearerOf(party, 'GET', digest), ...headers },
  })
  const isProblem = response.headers.get('content-type') === 'application/problem+json'
  if (isProblem) {
    const { status, json } = await readAnswer(response)
    return { status, headers: response.headers, bytes: Buffer.alloc(0), code: json['code'] }
  }
  const bytes = Buffer.from(await response.arrayBuffer())
  return { status: response.status, headers: response.headers, bytes, code: undefined }
}

const HOUR_MS = 3_600_000

/** A file object as a payload names it, its copy for one hour. */
export const fileObject = (bytes: Buffer, change: object = {}) => ({
  digest: digestOf(bytes),
  bytes: bytes.length,
  mediaType: OFD,
  copyExpiresAt: new Date(Date.now() + HOUR_MS).toISOString(),
  ...change,
})

/** A result certificate that names it. */
export const certificate = (file: object) => ({
  resultCertificate: { name: '挖掘城市道路许可证', number: '2026-0117', issuerName: '审批局', file },
})
