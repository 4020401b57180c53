import http from 'node:http'
import https from 'node:https'
import { type PeerAnswer, parseRetryAfter } from '#delivery/retry-classes.ts'
import type { PeerRequest } from '#delivery/target.ts'
import { violated } from '#kernel/errors.ts'

interface HttpTransportOptions {
  /** Base address; the request's path is appended to its path. */
  readonly url: string
  /** From the first byte sent to the last byte of the answer. */
  readonly timeoutMs: number
  readonly connections: number
  /** So many bytes of an answer are kept, default 64 KiB: no status or number that a connector reads stands further back. */
  readonly maxBody?: number
  /** Sent with every request, authentication among them. */
  readonly headers?: Readonly<Record<string, string>>
}

interface SendLimits {
  readonly signal?: AbortSignal
  readonly sendByMs?: number
}

export interface HttpTransport {
  /**
   * Never rejects: what goes wrong on the way is an answer of kind `failure`. A signal that aborts ends the exchange as
   * the time-out does. What cannot begin by `sendByMs` (on the `performance.now()` clock) is not sent.
   */
  readonly send: (request: PeerRequest, limits?: SendLimits) => Promise<PeerAnswer>
  readonly close: () => void
}

const MAX_BODY = 64 * 1_024

/** HTTP with kept connections, a deadline for the whole exchange and a bounded answer. Redirects are not followed. */
export function createHttpTransport(options: HttpTransportOptions): HttpTransport {
  const { maxBody = MAX_BODY } = options
  const base = parseBase(options.url)
  const secure = base.protocol === 'https:'
  const agentOptions = { keepAlive: true, maxSockets: options.connections }
  const agent = secure ? new https.Agent(agentOptions) : new http.Agent(agentOptions)
  const prefix = base.pathname.replace(/\/$/, '')

  const send = (request: PeerRequest, { signal, sendByMs = Infinity }: SendLimits = {}): Promise<PeerAnswer> =>
    new Promise((resolve) => {
      const body = Buffer.from(request.body)
      const outgoing = (secure ? https : http).request({
        agent,
        protocol: base.protocol,
        hostname: base.hostname.replace(/^\[|\]$/g, ''),
        port: base.port,
        method: request.method,
        path: `${prefix}${request.path}`,
        headers: { ...options.headers, ...request.headers, 'content-length': body.length },
      })
      const settle = (answer: PeerAnswer): void => {
        clearTimeout(timer)
        signal?.removeEventListener('abort', giveUp)
        resolve(answer)
      }
      let sent = false
      const giveUp = (): void => {
        settle({ kind: 'failure', reason: 'timeout', detail: `no answer within ${options.timeoutMs} ms`, sent })
        outgoing.destroy()
      }
      const timer = setTimeout(giveUp, options.timeoutMs)
      if (signal?.aborted === true) queueMicrotask(giveUp)
      else signal?.addEventListener('abort', giveUp, { once: true })
      // Looked at when there is a connection, just before the first byte: a process may be stopped while it waits for one.
      const begin = (): void => {
        if (performance.now() > sendByMs) {
          settle({ kind: 'failure', reason: 'late', detail: 'it could not begin in time', sent })
          outgoing.destroy()
          return
        }
        sent = true
        outgoing.end(body)
      }
      outgoing.on('socket', (socket) => {
        if (socket.connecting) socket.once(secure ? 'secureConnect' : 'connect', begin)
        else begin()
      })
      outgoing.on('error', (error) => settle(networkFailure(error, sent)))
      outgoing.on('response', (response) => {
        collect(response, maxBody)
          .then((text) => settle(asAnswer(response, text)))
          .catch((error: unknown) => settle(networkFailure(error, true)))
      })
    })

  return { send, close: () => agent.destroy() }
}

function parseBase(url: string): URL {
  const base = URL.canParse(url) ? new URL(url) : undefined
  if (base?.protocol === 'http:' || base?.protocol === 'https:') return base
  throw violated('config.invalid', '', 'endpoint-url', '端点地址须为 http(s) URL', 'an endpoint is an http(s) URL')
}

/** The first `max` bytes; the rest is read and dropped, so that the connection can be used again. */
async function collect(response: http.IncomingMessage, max: number): Promise<string> {
  const chunks: Buffer[] = []
  let length = 0
  for await (const chunk of response as AsyncIterable<Buffer>) {
    if (length < max) chunks.push(chunk)
    length += chunk.length
  }
  return Buffer.concat(chunks).subarray(0, max).toString('utf8')
}

const asAnswer = (response: http.IncomingMessage, body: string): PeerAnswer => ({
  kind: 'answer',
  status: response.statusCode ?? 0,
  retryAfterMs: parseRetryAfter(response.headers['retry-after'], Date.now()),
  body,
})

/** The error code only: messages name addresses. */
const networkFailure = (error: unknown, sent: boolean): PeerAnswer => ({
  kind: 'failure',
  reason: 'network',
  detail: typeof error === 'object' && error !== null && 'code' in error ? String(error.code) : 'connection failed',
  sent,
})
