import { createHash, randomUUID } from 'node:crypto'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { buffer } from 'node:stream/consumers'
import { decodeJwt } from 'jose'
import { generateKeyPair } from '#trust/keys.ts'
import { createSigner } from '#trust/sign.ts'

export interface Attempt {
  readonly body: string
  readonly headers: IncomingMessage['headers']
}

/** A hub that lies: the first part of a path says how. */
export interface LyingHub {
  readonly url: string
  /** What was posted under a path's first part. */
  attempts(mode: string): readonly Attempt[]
  close(): void
}

const PARTY = 'platform-chifeng'
const digest = (bytes: string): string => `sha-256:${createHash('sha256').update(bytes).digest('base64url')}`

/** The claims of an honest receipt, and what each lie changes of them. */
export const LIES: Readonly<Record<string, (claims: Claims) => object>> = {
  'other-bytes': ({ of, ...claims }) => ({
    ...claims,
    of: { ...of, tokenDigest: digest('x'), bodyDigest: digest('x') },
  }),
  'no-digest': ({ of, ...claims }) => ({ ...claims, of: { iss: of['iss'], jti: of['jti'], contract: of['contract'] } }),
  'other-jti': ({ of, ...claims }) => ({ ...claims, of: { ...of, jti: randomUUID() } }),
  'other-sender': ({ of, ...claims }) => ({ ...claims, of: { ...of, iss: 'platform-hohhot' } }),
  'other-hub': (claims) => ({ ...claims, iss: 'another' }),
  'other-audience': (claims) => ({ ...claims, aud: 'platform-hohhot' }),
  'other-exchange': (claims) => ({ ...claims, exchange: randomUUID() }),
}

/** Lies that are not in the claims. */
export const FORGERIES = ['bad-signature', 'foreign-key', 'wrong-type', 'no-receipt'] as const

interface Claims {
  readonly of: Readonly<Record<string, unknown>>
}

/** `honest…` answers as a hub does, `slow…` after a broken connection and a 503, anything else lies. */
export async function openLyingHub(): Promise<LyingHub> {
  const [own, stranger] = [generateKeyPair('ES256'), generateKeyPair('ES256')]
  const [signer, foreign] = [createSigner(own.privateJwk), createSigner(stranger.privateJwk)]
  const seen = new Map<string, Attempt[]>()

  function receiptOf(mode: string, honest: Claims): unknown {
    if (mode === 'no-receipt') return undefined
    if (mode === 'foreign-key') return foreign.sign('receipt+jwt', honest)
    const token = signer.sign(mode === 'wrong-type' ? 'refusal+jwt' : 'receipt+jwt', LIES[mode]?.(honest) ?? honest)
    if (mode !== 'bad-signature') return token
    // Of another message of the same key: a signature that is sound and does not belong.
    return `${token.slice(0, token.lastIndexOf('.'))}.${signer.sign('receipt+jwt', {}).split('.')[2]}`
  }

  async function answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const [, mode = '', ...rest] = (request.url ?? '').split('/')
    if (rest.join('/') === '.well-known/jwks.json') {
      response.end(JSON.stringify({ keys: [own.publicJwk] }))
      return
    }
    const attempt = { body: (await buffer(request)).toString('utf8'), headers: request.headers }
    const attempts = [...(seen.get(mode) ?? []), attempt]
    seen.set(mode, attempts)
    if (mode.startsWith('slow') && attempts.length === 1) {
      request.socket.destroy()
      return
    }
    if (mode.startsWith('slow') && attempts.length === 2) {
      response.writeHead(503, { 'content-type': 'application/problem+json', 'retry-after': '1' })
      response.end(JSON.stringify({ code: 'hub.store_unavailable' }))
      return
    }
    const isPlain = rest[1] === 'plain'
    const jti = isPlain ? request.headers['x-request-id'] : decodeJwt(attempt.body).jti
    const exchange = randomUUID()
    const of = {
      iss: PARTY,
      jti,
      contract: 'approval-result@1',
      tokenDigest: digest(isPlain ? 'a token' : attempt.body),
      ...(isPlain ? { bodyDigest: digest(attempt.body) } : {}),
    }
    const honest = { iss: 'dianqiao', aud: PARTY, exchange, of, origin: isPlain ? 'mac-attested' : 'party-signed' }
    response.writeHead(202, { 'content-type': 'application/json' })
    response.end(JSON.stringify({ exchange, receipt: receiptOf(mode, honest) }))
  }

  const server = createServer((request, response) => void answer(request, response))
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  return {
    url: `http://127.0.0.1:${port}`,
    attempts: (mode) => seen.get(mode) ?? [],
    close() {
      server.closeAllConnections()
      server.close()
    },
  }
}
