import type { IncomingMessage, Server, ServerResponse } from 'node:http'

/** How slow a client may be. Milliseconds. */
export interface Slowness {
  /** A request whose body is not whole after so long is cut off. */
  readonly bodyMs: number
  /** Unless it is one that may take long: that one is cut off when it brings less than `stallBytes` in `stallMs`. */
  readonly mayTakeLong: (request: IncomingMessage) => boolean
  readonly stallMs: number
  readonly stallBytes: number
}

const LOOK_MS = 1_000

interface Watched {
  readonly request: IncomingMessage
  readonly response: ServerResponse
  readonly since: number
  /** When the socket had brought so many bytes; renewed with each `stallBytes`. */
  movedAt: number
  bytes: number
}

/**
 * Cuts off clients that send their body too slowly, where Node knows only one time for all requests. Looks each second
 * at what is under way, so that a request that is quickly whole costs no timer.
 */
export function cutSlowBodies(server: Server, slowness: Slowness): void {
  const watched = new Set<Watched>()
  server.prependListener('request', (request: IncomingMessage, response: ServerResponse) => {
    const { 'content-length': length, 'transfer-encoding': coding } = request.headers
    if (coding === undefined && (length === undefined || length === '0')) return
    const since = performance.now()
    const bytes = request.socket.bytesRead
    // A body that came along with its headers is whole by now; held until the next look, thousands a second would age.
    setImmediate(() => {
      if (!request.complete) watched.add({ request, response, since, movedAt: since, bytes })
    })
  })
  const timer = setInterval(() => {
    const now = performance.now()
    for (const one of watched) {
      if (one.request.complete || one.request.destroyed) watched.delete(one)
      else if (isTooSlow(one, now, slowness)) cutOff(one)
    }
  }, LOOK_MS)
  timer.unref()
  server.once('close', () => clearInterval(timer))
}

function isTooSlow(one: Watched, now: number, { bodyMs, mayTakeLong, stallMs, stallBytes }: Slowness): boolean {
  if (!mayTakeLong(one.request)) return now - one.since > bodyMs
  const { bytesRead } = one.request.socket
  if (bytesRead - one.bytes >= stallBytes) {
    one.bytes = bytesRead
    one.movedAt = now
  }
  return now - one.movedAt > stallMs
}

/** As Node does it: 408 where nothing was answered yet, and the connection closes. */
function cutOff({ request, response }: Watched): void {
  if (!response.headersSent && request.socket.writable) {
    request.socket.write('HTTP/1.1 408 Request Timeout\r\nConnection: close\r\n\r\n')
  }
  request.socket.destroySoon()
}
