import { createHash, createHmac, randomUUID } from 'node:crypto'
import { addAppKey, type NewAppKey } from '#parties/app-keys.ts'
import { appKeySecret } from '#trust/mac.ts'
import { type Answer, HUB_URL, readAnswer, type TestHub } from '../support/hub.ts'

export interface PlainKey {
  readonly id: string
  readonly secret: string
  readonly method: 'HMAC-SHA256' | 'HMAC-SM3'
}

/** What a request of the plain door consists of; `sign` is made from the rest unless it is given. */
export interface PlainParts {
  readonly contract: string
  readonly body: string | Buffer
  readonly path?: string
  readonly timestamp?: string
  readonly nonce?: string
  readonly requestId?: string
  readonly method?: string
  readonly sign?: string
}

const LOOPBACK: readonly string[] = ['127.0.0.0/8']

/** Issues an AppKey that every gateway of this process knows at once. */
export async function issue(hub: TestHub, party: string, change: Partial<NewAppKey> = {}): Promise<PlainKey> {
  const { method = 'HMAC-SHA256' } = change
  const key = { party, method, networks: LOOPBACK, contracts: undefined, ...change }
  const id = await addAppKey(hub.core.db, key, { by: 'a test' })
  await hub.core.register.refresh()
  return { id, secret: appKeySecret(hub.core.keyRing.digestKey, id), method }
}

const HASH: Readonly<Record<string, string>> = { 'HMAC-SHA256': 'sha256', 'HMAC-SM3': 'sm3' }

/** The headers of a request, signed as the documentation says and not by the hub's own code. */
export function signedHeaders(key: PlainKey, parts: PlainParts): Record<string, string> {
  const {
    contract,
    body,
    path = `/v1/plain/${contract}`,
    timestamp = String(Date.now()),
    nonce = randomUUID(),
    requestId = randomUUID(),
    method = key.method,
  } = parts
  const hash = HASH[key.method] ?? ''
  const digest = createHash(hash).update(body).digest('hex')
  const text = [method, 'POST', path, key.id, timestamp, nonce, requestId, digest].join('\n')
  return {
    'content-type': 'application/json',
    'x-app-key': key.id,
    'x-timestamp': timestamp,
    'x-nonce': nonce,
    'x-request-id': requestId,
    'x-sign-method': method,
    'x-sign': parts.sign ?? createHmac(hash, key.secret).update(text).digest('hex'),
  }
}

/** Sends in-process, as if it came through a socket from this address. */
export async function sendPlain(
  app: TestHub['app'],
  path: string,
  headers: Record<string, string>,
  body: string | Buffer,
  source = '127.0.0.1',
): Promise<Answer> {
  const init = { method: 'POST', headers, body: new Uint8Array(Buffer.from(body)) }
  const incoming = { headers, socket: { remoteAddress: source } }
  return readAnswer(await app.request(`${HUB_URL}${path}`, init, { incoming }))
}
