import { Agent, request } from 'node:http'
import { setTimeout as sleep } from 'node:timers/promises'
import { compactVerify, createLocalJWKSet, decodeJwt, type JSONWebKeySet } from 'jose'
import { sha256Digest } from '#kernel/canonical.ts'
import { answerRequests } from './child.ts'
import { type Asked, queryMaker, signerOf, UTILITY } from './licences.ts'
import { HUB, type MessageKind, messageMaker, SENDER, senderSigner } from './message.ts'
import { percentile } from './report.ts'

/** The load generator: never the process under test. All tokens are signed before a window begins. */
export interface LoadResult {
  readonly sent: number
  readonly seconds: number
  readonly p50Ms: number
  readonly p99Ms: number
  readonly verified: number
  /** Of what was sent at a steady pace: each exchange, and when it was due (ms since the epoch). */
  readonly due: readonly (readonly [exchange: string, atMs: number])[]
  /** ms since the epoch. */
  readonly begunAtMs: number
}

interface Answer {
  readonly token: string
  readonly receipt: string
}

/** Where to push, in turn, and the public keys that the receipts must verify with. */
export interface Target {
  readonly urls: readonly string[]
  readonly jwks: JSONWebKeySet
  /** The floor instead of a hub. */
  readonly bare: boolean
  /** Where queries are asked, which are answered instead of receipted. */
  readonly asks?: boolean
}

const KEEP_EVERY = 37
const SAMPLE = 40

let next: (() => string) | undefined
let tokens: string[] = []
const agent = new Agent({ keepAlive: true, maxSockets: 1_024, scheduling: 'lifo' })

answerRequests({
  /** Sends messages of a kind, or queries about these. */
  open({ keysDir, what }: { keysDir: string; what: MessageKind | readonly Asked[] }): void {
    next = typeof what === 'string' ? messages(keysDir, what) : queryMaker(signerOf(keysDir, UTILITY), what)
  },
  sign({ count }: { count: number }): number {
    tokens = Array.from({ length: count }, () => next?.() ?? '')
    return tokens.reduce((sum, token) => sum + token.length, 0) / count
  },
  /** So many requests under way at any time, until all tokens are sent. */
  async closed({ concurrency, ...target }: Target & { concurrency: number }): Promise<LoadResult> {
    const work = tokens.values()
    const run = openRun(target)
    const lane = async (): Promise<void> => {
      for (const token of work) await run.send(token, performance.now())
    }
    await Promise.all(Array.from({ length: concurrency }, lane))
    return run.end()
  },
  /** So many requests a second whatever the answers take; latency counts from when a request was due. */
  async steady({ perSecond, ...target }: Target & { perSecond: number }): Promise<LoadResult> {
    const run = openRun(target, true)
    const begun = performance.now()
    const under: Promise<void>[] = []
    for (const [index, token] of tokens.entries()) {
      const due = begun + (index / perSecond) * 1000
      while (performance.now() < due) await sleep(1)
      under.push(run.send(token, due))
    }
    await Promise.all(under)
    return run.end()
  },
})

function messages(keysDir: string, kind: MessageKind): () => string {
  const make = messageMaker(senderSigner(keysDir), { kind })
  return () => make().token
}

interface Run {
  send(token: string, dueAt: number): Promise<void>
  end(): Promise<LoadResult>
}

function openRun(target: Target, tellsDue = false): Run {
  const latencies: number[] = []
  const due: [string, number][] = []
  const begunAtMs = Date.now()
  let sent = 0
  const kept: Answer[] = []
  const begun = performance.now()
  return {
    async send(token, dueAt) {
      const receipt = await post(
        target.urls[sent++ % target.urls.length] ?? '',
        token,
        target.asks === true ? 200 : 202,
      )
      latencies.push(performance.now() - dueAt)
      if (tellsDue && !target.bare && target.asks !== true)
        due.push([String(decodeJwt(receipt)['exchange']), performance.timeOrigin + dueAt])
      if (latencies.length % KEEP_EVERY === 1) kept.push({ token, receipt })
    },
    async end() {
      const seconds = (performance.now() - begun) / 1000
      const sample = kept.slice(0, SAMPLE)
      for (const answer of sample) await (target.asks === true ? verifyAnswer : verifyReceipt)(target, answer)
      return {
        sent: latencies.length,
        seconds,
        p50Ms: percentile(latencies, 0.5),
        p99Ms: percentile(latencies, 0.99),
        verified: sample.length,
        due,
        begunAtMs,
      }
    },
  }
}

/**
 * The receipt or answer; any other status than its own ends the bench. A connection that was idle between two windows
 * may be closed by the server in the moment of its next use: such a request was never read and is sent again.
 */
function post(url: string, token: string, expected: number): Promise<string> {
  return new Promise((resolve, reject) => {
    const headers = { 'content-type': 'application/jwt', 'content-length': token.length }
    const call = request(url, { method: 'POST', agent, headers }, (response) => {
      let body = ''
      response.setEncoding('latin1')
      response.on('data', (chunk: string) => {
        body += chunk
      })
      response.on('error', reject)
      response.on('end', () => {
        if (response.statusCode === expected) resolve(body)
        else reject(new Error(`expected ${expected}, got ${response.statusCode}: ${body.slice(0, 500)}`))
      })
    })
    call.on('error', (error: NodeJS.ErrnoException) => {
      if (call.reusedSocket && error.code === 'ECONNRESET') post(url, token, expected).then(resolve, reject)
      else reject(error)
    })
    call.end(token)
  })
}

/** By public keys alone: signed by the hub, for the sender, about exactly these bytes. */
async function verifyReceipt({ jwks, bare }: Target, { token, receipt }: Answer): Promise<void> {
  const { payload, protectedHeader } = await compactVerify(receipt, createLocalJWKSet(jwks))
  const claims = JSON.parse(new TextDecoder().decode(payload)) as Record<string, unknown>
  const of = claims['of'] as { jti: string; tokenDigest?: string }
  // The bare process gives no digest of the token.
  const digestFits = bare ? of.tokenDigest === undefined : of.tokenDigest === sha256Digest(token)
  const speaksOfIt = digestFits && of.jti === decodeJwt(token).jti
  const fromHub = protectedHeader.typ === 'receipt+jwt' && claims['iss'] === HUB && claims['aud'] === SENDER
  if (!fromHub || !speaksOfIt) throw new Error(`a receipt for something else: ${receipt}`)
}

/** By public keys alone: signed by the hub, for this very query, with the one document that was asked for. */
async function verifyAnswer({ jwks, bare }: Target, { token, receipt: answer }: Answer): Promise<void> {
  const { payload, protectedHeader } = await compactVerify(answer, createLocalJWKSet(jwks))
  const claims = JSON.parse(new TextDecoder().decode(payload)) as Record<string, unknown>
  const asked = decodeJwt(token)
  const of = claims['of'] as { jti: string; tokenDigest?: string }
  const documents = claims['documents'] as readonly { readonly data: { readonly certificateNumber?: string } }[]
  const digestFits = bare ? of.tokenDigest === undefined : of.tokenDigest === sha256Digest(token)
  const found = documents.length === 1 && documents[0]?.data.certificateNumber === asked.sub
  const fromHub = protectedHeader.typ === 'answer+jwt' && claims['iss'] === HUB && claims['aud'] === UTILITY
  if (!fromHub || !digestFits || of.jti !== asked.jti || !found) throw new Error(`another answer: ${answer}`)
}
