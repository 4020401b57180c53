import { once } from 'node:events'
import http from 'node:http'
import type { AddressInfo } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { sha256Digest } from '#kernel/canonical.ts'
import { type Clock, isoTime, systemClock } from '#kernel/clock.ts'
import type { Json, JsonObject } from '#kernel/json.ts'
import {
  DIALECTS,
  type Dialect,
  type DialectName,
  type PeerMessage,
  type PeerOutcome,
  type PeerReply,
  parseJson,
} from './dialects.ts'
import { type Effect, type EffectBook, openEffectBook } from './effects.ts'
import { createFaultQueue, type Fault, type FaultInput, type FaultQueue, faultScript } from './fault-script.ts'

interface MarketingPeerOptions {
  readonly dialect: DialectName
  /** Default 127.0.0.1. */
  readonly host?: string
  /** 0 or absent: any free port. */
  readonly port?: number
  /** Whether it recognises an effect key that it has seen; a dialect that cannot never does. */
  readonly dedupe: boolean
  readonly historyFile?: string
  readonly clock?: Clock
}

/** One request as it arrived, whatever became of it. */
interface PeerRequestSeen {
  readonly path: string
  readonly effectKey: string
  readonly reference: string | undefined
  readonly body: Json | undefined
  readonly fault: Fault['kind'] | undefined
  readonly at: string
}

export interface MarketingPeer {
  readonly url: string
  /** Requests with an effect, or meant to have one. */
  readonly requests: () => readonly PeerRequestSeen[]
  readonly lookUps: () => readonly PeerRequestSeen[]
  readonly effects: () => readonly Effect[]
  readonly faults: { readonly next: (script: readonly FaultInput[]) => void; readonly clear: () => void }
  readonly stop: () => Promise<void>
}

interface Peer {
  readonly dialect: Dialect
  readonly dedupe: boolean
  readonly book: EffectBook
  readonly queue: FaultQueue
  readonly seen: PeerRequestSeen[]
  readonly asked: PeerRequestSeen[]
  readonly clock: Clock
  readonly stopped: AbortSignal
}

const MAX_BODY = 1_048_576

/**
 * A utility's marketing system that misbehaves on demand. `POST /__faults` takes a script (an array of
 * faults), `GET /__effects[/key]` and `GET /__requests` show what it did and saw.
 */
export async function startMarketingPeer(options: MarketingPeerOptions): Promise<MarketingPeer> {
  const stop = new AbortController()
  const dialect = DIALECTS[options.dialect]
  const peer: Peer = {
    dialect,
    dedupe: options.dedupe && dialect.deduplicates,
    book: openEffectBook(dialect.receiptPrefix, options.historyFile),
    queue: createFaultQueue(),
    seen: [],
    asked: [],
    clock: options.clock ?? systemClock,
    stopped: stop.signal,
  }
  const server = http.createServer((request, response) => {
    handle(peer, request, response).catch(() => response.destroy())
  })
  const { host = '127.0.0.1' } = options
  server.listen(options.port ?? 0, host)
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  return {
    url: `http://${host}:${port}`,
    requests: () => peer.seen,
    lookUps: () => peer.asked,
    effects: peer.book.all,
    faults: { next: peer.queue.add, clear: peer.queue.clear },
    stop: async () => {
      stop.abort()
      server.close()
      server.closeAllConnections()
      if (server.listening) await once(server, 'close')
    },
  }
}

async function handle(peer: Peer, request: http.IncomingMessage, response: http.ServerResponse): Promise<void> {
  const url = request.url ?? '/'
  if (url.startsWith('/__')) return control(peer, request, response, url)
  const message = peer.dialect.read({ url, headers: request.headers, text: await readText(request) })
  const { kind, effectKey, reference, body } = message
  const fault = peer.queue.take(kind ?? 'submission', reference)
  const seen = { path: url, effectKey, reference, body, fault: fault?.kind, at: isoTime(peer.clock()) }
  if (kind === 'look-up') peer.asked.push(seen)
  else peer.seen.push(seen)
  if (request.method !== 'POST' || kind === undefined) return answerJson(response, 404, { message: 'not found' })

  if (fault !== undefined && (await misbehaveBefore(peer, message, fault, response)) === 'done') return
  const reply = kind === 'look-up' ? lookUp(peer, message, fault) : takeEffect(peer, url, message)
  if (fault !== undefined && (await misbehaveAfter(peer, fault, response)) === 'done') return
  answerText(response, reply)
}

type Handled = 'done' | 'go-on'

async function misbehaveBefore(
  peer: Peer,
  message: PeerMessage,
  fault: Fault,
  response: http.ServerResponse,
): Promise<Handled> {
  if (fault.kind === 'slow') {
    await pause(peer, fault.ms)
    return 'go-on'
  }
  if (fault.kind === 'timeout') return 'done'
  if (fault.kind === 'reset') {
    response.socket?.resetAndDestroy()
    return 'done'
  }
  if (fault.kind === 'status') {
    if (fault.retryAfterSeconds !== undefined) response.setHeader('retry-after', String(fault.retryAfterSeconds))
    answerJson(response, fault.status, { message: `scripted ${fault.status}` })
    return 'done'
  }
  if (fault.kind === 'busy' || fault.kind === 'reject') {
    answerText(response, peer.dialect.answer(message, fault.kind === 'busy' ? 'busy' : 'invalid', undefined))
    return 'done'
  }
  return 'go-on'
}

async function misbehaveAfter(peer: Peer, fault: Fault, response: http.ServerResponse): Promise<Handled> {
  if (fault.kind === 'slow-after') await pause(peer, fault.ms)
  if (fault.kind === 'reset-after') response.socket?.resetAndDestroy()
  return fault.kind === 'reset-after' || fault.kind === 'timeout-after' ? 'done' : 'go-on'
}

function takeEffect(peer: Peer, path: string, message: PeerMessage): PeerReply {
  const { effectKey, reference, body } = message
  const answer = (outcome: PeerOutcome, receiptNo?: string): PeerReply =>
    peer.dialect.answer(message, outcome, receiptNo)
  if (effectKey === '' || reference === undefined || body === undefined) return answer('invalid')
  const before = peer.dedupe ? peer.book.find(effectKey) : undefined
  if (before !== undefined) return answer('duplicate', before.receiptNo)
  const at = isoTime(peer.clock())
  const { receiptNo } = peer.book.add({
    effectKey,
    path,
    reference,
    bodyDigest: sha256Digest(JSON.stringify(body)),
    at,
  })
  return answer('applied', receiptNo)
}

function lookUp(peer: Peer, message: PeerMessage, fault: Fault | undefined): PeerReply {
  const found = peer.book.find(message.effectKey)
  const outcome = fault?.kind === 'unclear' ? 'unclear' : found === undefined ? 'absent' : 'applied'
  return peer.dialect.answerLookUp(message, outcome, found?.receiptNo)
}

async function control(
  peer: Peer,
  request: http.IncomingMessage,
  response: http.ServerResponse,
  url: string,
): Promise<void> {
  if (request.method === 'POST' && url === '/__faults') {
    const script = faultScript.safeParse(parseJson(await readText(request)))
    if (!script.success) return answerJson(response, 400, { message: script.error.message })
    peer.queue.add(script.data)
    return answerJson(response, 200, { added: script.data.length })
  }
  if (url === '/__effects') return answerJson(response, 200, peer.book.all())
  if (url === '/__requests') return answerJson(response, 200, peer.seen)
  const effect = url.startsWith('/__effects/') ? peer.book.find(url.slice('/__effects/'.length)) : undefined
  return effect === undefined ? answerJson(response, 404, { message: 'not found' }) : answerJson(response, 200, effect)
}

/** Waits, but not beyond the peer's own end. */
const pause = (peer: Peer, ms: number): Promise<void> =>
  sleep(ms, undefined, { signal: peer.stopped }).catch(() => undefined)

/** What is too long is read as nothing. */
async function readText(request: http.IncomingMessage): Promise<string> {
  const chunks: Buffer[] = []
  let length = 0
  for await (const chunk of request as AsyncIterable<Buffer>) {
    length += chunk.length
    if (length > MAX_BODY) return ''
    chunks.push(chunk)
  }
  return Buffer.concat(chunks).toString('utf8')
}

const answerText = (response: http.ServerResponse, { status, mediaType, body }: PeerReply): void =>
  void response.writeHead(status, { 'content-type': mediaType }).end(body)

function answerJson(
  response: http.ServerResponse,
  status: number,
  body: JsonObject | readonly unknown[] | Effect,
): void {
  response.writeHead(status, { 'content-type': 'application/json; charset=utf-8' }).end(JSON.stringify(body))
}
