import { once } from 'node:events'
import http from 'node:http'
import type { AddressInfo } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { isJsonObject, type Json, type JsonObject } from '#kernel/json.ts'
import { parseJson } from './dialects.ts'
import { createFaultQueue, type Fault, type FaultInput, type FaultQueue, faultScript } from './fault-script.ts'

/** How a system that is only asked answers. */
export interface LookUpDialect {
  readonly answer: (path: string, body: JsonObject, fault: Fault['kind'] | undefined) => LookUpReply
  /** Its own words for what goes wrong. */
  readonly refuse: (why: 'busy' | 'cap-used-up' | 'invalid' | 'unauthorized') => LookUpReply
}

export interface LookUpReply {
  readonly status: number
  readonly body: JsonObject
}

interface LookUpPeerOptions {
  readonly dialect: LookUpDialect
  /** Default 127.0.0.1. */
  readonly host?: string
  /** 0 or absent: any free port. */
  readonly port?: number
}

/** One question as it arrived: its whole URL and what stood in the body. */
interface Asked {
  readonly url: string
  readonly body: Json | undefined
  readonly fault: Fault['kind'] | undefined
}

export interface LookUpPeer {
  readonly url: string
  readonly asked: () => readonly Asked[]
  /** Faults strike whatever is asked; `on` need not say so. */
  readonly faults: { readonly next: (script: readonly FaultInput[]) => void; readonly clear: () => void }
  readonly stop: () => Promise<void>
}

interface Peer {
  readonly dialect: LookUpDialect
  readonly queue: FaultQueue
  readonly asked: Asked[]
  readonly stopped: AbortSignal
}

const MAX_BODY = 1_048_576
/** Whoever asks shows a key in this header; a sandbox does not mind which. */
const KEY_HEADER = 'x-app-key'

/** A system that is only asked, and misbehaves on demand: `POST /__faults` takes a script as the other peers do. */
export async function startLookUpPeer(options: LookUpPeerOptions): Promise<LookUpPeer> {
  const stop = new AbortController()
  const peer: Peer = { dialect: options.dialect, queue: createFaultQueue(), asked: [], stopped: stop.signal }
  const server = http.createServer((request, response) => {
    handle(peer, request, response).catch(() => response.destroy())
  })
  const { host = '127.0.0.1' } = options
  server.listen(options.port ?? 0, host)
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  return {
    url: `http://${host}:${port}`,
    asked: () => peer.asked,
    faults: { next: (script) => peer.queue.add(onLookUps(script)), clear: peer.queue.clear },
    stop: async () => {
      stop.abort()
      server.close()
      server.closeAllConnections()
      if (server.listening) await once(server, 'close')
    },
  }
}

const onLookUps = (script: readonly FaultInput[]): FaultInput[] => script.map((fault) => ({ ...fault, on: 'look-up' }))

async function handle(peer: Peer, request: http.IncomingMessage, response: http.ServerResponse): Promise<void> {
  const url = request.url ?? '/'
  const body = parseJson(await readText(request))
  if (url === '/__faults') return takeScript(peer, body, response)
  const fault = peer.queue.take('look-up', undefined)
  peer.asked.push({ url, body, fault: fault?.kind })
  if (fault !== undefined && (await misbehave(peer, fault, response)) === 'done') return
  send(response, replyOf(peer, request, body, fault?.kind))
}

function replyOf(
  { dialect }: Peer,
  { url = '/', method, headers }: http.IncomingMessage,
  body: Json | undefined,
  fault: Fault['kind'] | undefined,
): LookUpReply {
  if (!headers[KEY_HEADER]) return dialect.refuse('unauthorized')
  return method === 'POST' && isJsonObject(body) ? dialect.answer(url, body, fault) : dialect.refuse('invalid')
}

async function misbehave(peer: Peer, fault: Fault, response: http.ServerResponse): Promise<'done' | 'go-on'> {
  switch (fault.kind) {
    case 'slow':
    case 'slow-after':
      await sleep(fault.ms, undefined, { signal: peer.stopped }).catch(() => undefined)
      return 'go-on'
    case 'timeout':
    case 'timeout-after':
      return 'done'
    case 'reset':
    case 'reset-after':
      response.socket?.resetAndDestroy()
      return 'done'
    case 'status':
      if (fault.retryAfterSeconds !== undefined) response.setHeader('retry-after', String(fault.retryAfterSeconds))
      send(response, { status: fault.status, body: { message: `scripted ${fault.status}` } })
      return 'done'
    case 'malformed':
      response.writeHead(200, { 'content-type': 'application/json' }).end('<html>{"head": ')
      return 'done'
    case 'busy':
    case 'cap-used-up':
      send(response, peer.dialect.refuse(fault.kind))
      return 'done'
    case 'reject':
      send(response, peer.dialect.refuse('invalid'))
      return 'done'
    case 'odd-status':
    case 'unclear':
      return 'go-on'
  }
}

function takeScript(peer: Peer, body: Json | undefined, response: http.ServerResponse): void {
  const script = faultScript.safeParse(body)
  if (script.success) peer.queue.add(onLookUps(script.data))
  const reply = script.success
    ? { status: 200, body: { added: script.data.length } }
    : { status: 400, body: { message: script.error.message } }
  send(response, reply)
}

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

const send = (response: http.ServerResponse, { status, body }: LookUpReply): void =>
  void response.writeHead(status, { 'content-type': 'application/json; charset=utf-8' }).end(JSON.stringify(body))
