/**
 * 电桥单文件客户端（Node ≥ 22.18，无依赖）/ One-file client of Dianqiao (Node ≥ 22.18, no dependencies).
 *
 *   node dianqiao-client.ts push   --url https://hub --party ID --key private.jwk --contract approval-result@1 --sub NO data.json
 *   node dianqiao-client.ts plain  --url https://hub --party ID --app-key AK --secret-file F --contract approval-result@1 data.json
 *   node dianqiao-client.ts status --url https://hub --party ID --key private.jwk EXCHANGE
 *
 * 可选 / optional: --hub-id dianqiao · --jti ID（重发时不变 / the same when sent again）· --case-no NO · --obo PARTY ·
 * --jwks FILE（固定的枢纽公钥 / pinned keys of the hub）
 * 退出码 / exit code: 0 受理 accepted · 1 拒绝或回执不可信 refused, or a receipt that proves nothing · 2 用法 usage ·
 * 5 不可达 unreachable
 */
import { createHash, createHmac, createPrivateKey, createPublicKey, randomUUID, sign, verify } from 'node:crypto'
import { readFileSync, realpathSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

/** What the hub answered instead of a receipt, or why its receipt is not to be trusted. */
export class DianqiaoError extends Error {
  readonly code: string
  readonly exitCode: number
  constructor(code: string, message: string, exitCode = 1) {
    super(message)
    this.code = code
    this.exitCode = exitCode
  }
}

export interface Receipt {
  readonly exchange: string
  readonly replayed: boolean
  readonly origin: string
  readonly receipt: string
}

export interface Hub {
  /** Without a slash at its end. */
  readonly url: string
  readonly id: string
  readonly party: string
  /** The hub's published keys; fetched where it is absent. */
  readonly jwks?: Jwks
}

type Members = Readonly<Record<string, unknown>>
interface Jwks {
  readonly keys: readonly Members[]
}

const base64url = (value: string | Buffer): string => Buffer.from(value).toString('base64url')
const sha256 = (bytes: string | Buffer): string => `sha-256:${createHash('sha256').update(bytes).digest('base64url')}`

/** RFC 7638: the members of the key that count, in alphabetic order. */
function thumbprint({ crv, kty, x, y }: Members): string {
  return createHash('sha256')
    .update(JSON.stringify(y === undefined ? { crv, kty, x } : { crv, kty, x, y }))
    .digest('base64url')
}

/** A compact JWS (RFC 7515). `payload` is JSON text: what is signed is what stands in it. ES256 is r‖s, not DER. */
export function signToken(jwk: Members, typ: string, payload: string): string {
  const alg = jwk['kty'] === 'OKP' ? 'Ed25519' : 'ES256'
  const input = `${base64url(JSON.stringify({ alg, kid: thumbprint(jwk), typ }))}.${base64url(payload)}`
  const key = createPrivateKey({ key: jwk, format: 'jwk' })
  const bytes = Buffer.from(input)
  const signature = sign(alg === 'ES256' ? 'sha256' : null, bytes, { key, dsaEncoding: 'ieee-p1363' })
  return `${input}.${base64url(signature)}`
}

/** The claims of a token that one of these keys signed. */
export function verifyToken(jwks: Jwks, typ: string, token: string): Members {
  const parts = token.split('.')
  const [header = '', payload = '', signature = ''] = parts
  const { alg, kid, typ: given } = parsed(Buffer.from(header, 'base64url').toString())
  const jwk = jwks.keys.find((one) => thumbprint(one) === kid)
  if (parts.length !== 3 || given !== typ || jwk === undefined) throw distrust('not signed by a key of the hub')
  const isEd25519 = jwk['kty'] === 'OKP'
  if (alg !== (isEd25519 ? 'Ed25519' : 'ES256')) throw distrust('the algorithm is not that of the key')
  const key = createPublicKey({ key: jwk, format: 'jwk' })
  const bytes = Buffer.from(`${header}.${payload}`)
  const options = { key, dsaEncoding: 'ieee-p1363' } as const
  if (!verify(isEd25519 ? null : 'sha256', bytes, options, Buffer.from(signature, 'base64url'))) {
    throw distrust('the signature does not verify')
  }
  return parsed(Buffer.from(payload, 'base64url').toString())
}

const distrust = (why: string): DianqiaoError => new DianqiaoError('receipt.untrusted', `receipt.untrusted: ${why}`)

function parsed(text: string): Members {
  try {
    const value: unknown = JSON.parse(text)
    if (typeof value === 'object' && value !== null) return value as Members
  } catch {}
  throw distrust('an answer that is no JSON object')
}

export interface Message {
  readonly contract: string
  readonly sub: string
  /** JSON text: sent as it is. */
  readonly data: string
  readonly jti?: string | undefined
  readonly caseNo?: string | undefined
  readonly obo?: string | undefined
}

/** Door 4: signed by the party itself. Sent again with the same bytes until the hub answers. */
export async function push(hub: Hub, jwk: Members, message: Message): Promise<Receipt> {
  const { data, contract, sub, jti = randomUUID(), caseNo, obo } = message
  const iat = Math.floor(Date.now() / 1_000)
  const claims = { iss: hub.party, aud: hub.id, iat, exp: iat + 300, jti, contract, sub, caseNo, obo }
  const token = signToken(jwk, 'exchange+jwt', `${JSON.stringify(claims).slice(0, -1)},"data":${data}}`)
  const headers = { 'content-type': 'application/jwt', accept: 'application/json' }
  const answer = await insistently(() => post(`${hub.url}/v1/exchanges`, headers, token))
  return checked(hub, answer, { iss: hub.party, jti, contract }, ['tokenDigest', sha256(token)])
}

/** Door 2: plain JSON with an AppKey. A new timestamp, nonce and MAC for every attempt, the same request id. */
export async function pushPlain(
  hub: Hub,
  appKey: { readonly id: string; readonly secret: string },
  message: { readonly contract: string; readonly data: string; readonly requestId?: string | undefined },
): Promise<Receipt> {
  const { contract, data, requestId = randomUUID() } = message
  const url = new URL(`${hub.url}/v1/plain/${contract}`)
  const answer = await insistently(() => {
    const timestamp = String(Date.now())
    const nonce = randomUUID()
    const digest = createHash('sha256').update(data).digest('hex')
    const text = ['HMAC-SHA256', 'POST', url.pathname, appKey.id, timestamp, nonce, requestId, digest].join('\n')
    const headers = {
      'content-type': 'application/json',
      'x-app-key': appKey.id,
      'x-timestamp': timestamp,
      'x-nonce': nonce,
      'x-request-id': requestId,
      'x-sign-method': 'HMAC-SHA256',
      'x-sign': createHmac('sha256', appKey.secret).update(text).digest('hex'),
    }
    return post(url.href, headers, data)
  })
  return checked(hub, answer, { iss: hub.party, jti: requestId, contract }, ['bodyDigest', sha256(data)])
}

/** Status of an own exchange and of its deliveries, as JSON text. */
export async function status(hub: Hub, jwk: Members, exchange: string): Promise<string> {
  const htu = `${hub.url}/v1/exchanges/${exchange}`
  const iat = Math.floor(Date.now() / 1_000)
  const claims = { iss: hub.party, aud: hub.id, iat, exp: iat + 60, jti: randomUUID(), htm: 'GET', htu }
  const authorization = `Bearer ${signToken(jwk, 'request+jwt', JSON.stringify(claims))}`
  const { code, text } = await insistently(async () => read(await fetch(htu, { headers: { authorization } })))
  if (code !== 200) throw problem(code, text)
  return text
}

interface Answer {
  readonly code: number
  readonly text: string
  readonly retryAfter: number
}

async function read(response: Response): Promise<Answer> {
  const retryAfter = Number(response.headers.get('retry-after') ?? 0)
  return { code: response.status, text: await response.text(), retryAfter }
}

const post = async (url: string, headers: Record<string, string>, body: string): Promise<Answer> =>
  read(await fetch(url, { method: 'POST', headers, body, signal: AbortSignal.timeout(60_000) }))

const ATTEMPTS = 6

/** 429, 503 and a lost answer are no refusals: the same jti is safe until the hub has answered. */
async function insistently(ask: () => Promise<Answer>): Promise<Answer> {
  for (let attempt = 1; ; attempt++) {
    let waitSeconds = Math.min(2 ** (attempt - 1) / 2, 8)
    try {
      const answer = await ask()
      if ((answer.code !== 429 && answer.code !== 503) || attempt === ATTEMPTS) return answer
      waitSeconds = Math.max(waitSeconds, Math.min(answer.retryAfter, 60))
    } catch (error) {
      if (attempt === ATTEMPTS) throw new DianqiaoError('unreachable', `unreachable: ${String(error)}`, 5)
    }
    await new Promise((resolve) => setTimeout(resolve, waitSeconds * 1_000))
  }
}

/** RFC 9457 with a stable code. */
function problem(status: number, text: string): DianqiaoError {
  let body: Members = {}
  try {
    body = parsed(text)
  } catch {}
  const exitCode = status === 429 || status === 503 ? 5 : 1
  return new DianqiaoError(String(body['code'] ?? status), text, exitCode)
}

/**
 * A receipt counts when a published key of this hub signed it for this party and it speaks of exactly what was sent. An
 * original receipt (200) speaks of the bytes that were sent first.
 */
async function checked(hub: Hub, answer: Answer, sent: Members, [name, digest]: [string, string]): Promise<Receipt> {
  if (answer.code !== 200 && answer.code !== 202) throw problem(answer.code, answer.text)
  const { exchange, receipt } = parsed(answer.text)
  const claims = verifyToken(await keysOf(hub), 'receipt+jwt', String(receipt))
  const of = (claims['of'] ?? {}) as Members
  if (claims['iss'] !== hub.id || claims['aud'] !== hub.party) throw distrust('it is of another hub or party')
  if (Object.entries(sent).some(([member, value]) => of[member] !== value)) throw distrust('it is of another message')
  if (answer.code === 202 && of[name] !== digest) throw distrust('it is of other bytes')
  if (claims['exchange'] !== exchange) throw distrust('it is of another exchange')
  const origin = String(claims['origin'])
  return { exchange: String(exchange), replayed: answer.code === 200, origin, receipt: String(receipt) }
}

async function keysOf(hub: Hub): Promise<Jwks> {
  if (hub.jwks !== undefined) return hub.jwks
  const { code, text } = await insistently(async () => read(await fetch(`${hub.url}/.well-known/jwks.json`)))
  if (code !== 200) throw problem(code, text)
  return parsed(text) as unknown as Jwks
}

/** `--name value` pairs, and what stands alone. */
function readArguments(words: readonly string[]): { options: Map<string, string>; rest: string[] } {
  const options = new Map<string, string>()
  const rest: string[] = []
  for (let at = 0; at < words.length; at++) {
    const word = words[at] ?? ''
    if (word.startsWith('--')) options.set(word.slice(2), words[++at] ?? '')
    else rest.push(word)
  }
  return { options, rest }
}

async function main(words: readonly string[]): Promise<void> {
  const { options, rest } = readArguments(words)
  const [command, target = ''] = rest
  const need = (name: string): string => {
    const value = options.get(name)
    if (value === undefined || target === '') throw new DianqiaoError('usage', `usage: --${name} and a file`, 2)
    return value
  }
  const jwks = options.get('jwks')
  const pinned = jwks === undefined ? {} : { jwks: parsed(readFileSync(jwks, 'utf8')) as unknown as Jwks }
  const url = need('url').replace(/\/+$/, '')
  const hub: Hub = { url, id: options.get('hub-id') ?? 'dianqiao', party: need('party'), ...pinned }
  const jwk = (): Members => parsed(readFileSync(need('key'), 'utf8'))
  const data = (): string => readFileSync(target, 'utf8').trim()
  const jti = options.get('jti')
  if (command === 'push') {
    const more = { jti, caseNo: options.get('case-no'), obo: options.get('obo') }
    const message = { contract: need('contract'), sub: need('sub'), data: data(), ...more }
    console.log(JSON.stringify(await push(hub, jwk(), message)))
  } else if (command === 'plain') {
    const secret = readFileSync(need('secret-file'), 'utf8').trim()
    const message = { contract: need('contract'), data: data(), requestId: jti }
    console.log(JSON.stringify(await pushPlain(hub, { id: need('app-key'), secret }, message)))
  } else if (command === 'status') console.log(await status(hub, jwk(), target))
  else throw new DianqiaoError('usage', 'usage: push, plain or status', 2)
}

if (process.argv[1] !== undefined && realpathSync(process.argv[1]) === fileURLToPath(import.meta.url)) {
  main(process.argv.slice(2)).catch((error: unknown) => {
    console.error(error instanceof DianqiaoError ? error.message : String(error))
    process.exitCode = error instanceof DianqiaoError ? error.exitCode : 1
  })
}
