import { type IncomingMessage, Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { serve } from '@hono/node-server'
import type { OpenAPIHono } from '@hono/zod-openapi'
import { cutSlowBodies, type Slowness } from './slow-bodies.ts'

export interface RunningServer {
  /** Where it listens, `http://host:port`. */
  readonly url: string
  /** From now on each answer closes its connection, so that a balancer opens its next one elsewhere. */
  drain(): void
  /** Takes no new connections, lets requests under way finish within `graceMs`, then closes. */
  stop(graceMs: number): Promise<void>
}

const IDLE_CHECK_MS = 50

/** An upload may take as long as it moves: 1 KiB a second at least. What was stored of it stays when it is cut off. */
const SLOWNESS: Slowness = {
  bodyMs: 60_000,
  mayTakeLong: ({ method, url }) => method === 'PUT' && url?.startsWith('/v1/files/') === true,
  stallMs: 30_000,
  stallBytes: 30_720,
}

/**
 * Serves the gateway. Slow clients are cut off by time: 10 s for headers, 60 s for a body, looked at each second
 * (Node's default looks every 30 s); uploads of files by how slowly they move.
 */
export function startServer(
  app: OpenAPIHono,
  listen: { readonly host: string; readonly port: number },
  slowness: Partial<Slowness> = {},
): Promise<RunningServer> {
  return new Promise((resolve, reject) => {
    const server = serve(
      {
        fetch: app.fetch,
        hostname: listen.host,
        port: listen.port,
        // The library's Response writes a string straight to the socket; the global one makes a stream of it first.
        overrideGlobalObjects: true,
        serverOptions: {
          headersTimeout: 10_000,
          // One time for all: ours knows which request may take longer.
          requestTimeout: 0,
          connectionsCheckingInterval: 1_000,
          keepAliveTimeout: 65_000,
          maxHeaderSize: 16_384,
        },
      },
      (info: AddressInfo) => {
        server.off('error', reject)
        const host = info.family === 'IPv6' ? `[${info.address}]` : info.address
        resolve({ url: `http://${host}:${info.port}`, drain, stop })
      },
    )
    server.once('error', reject)
    if (server instanceof Server) cutSlowBodies(server, { ...SLOWNESS, ...slowness })

    function drain(): void {
      server.prependListener('request', (_request: IncomingMessage, response: ServerResponse) => {
        response.shouldKeepAlive = false
      })
    }

    function stop(graceMs: number): Promise<void> {
      return new Promise((done) => {
        const closeIdle = (): void => {
          if ('closeIdleConnections' in server) server.closeIdleConnections()
        }
        const cut = setTimeout(() => 'closeAllConnections' in server && server.closeAllConnections(), graceMs)
        // A kept connection whose request was under way becomes idle only once it is answered.
        const idle = setInterval(closeIdle, IDLE_CHECK_MS)
        server.close(() => {
          clearTimeout(cut)
          clearInterval(idle)
          done()
        })
        closeIdle()
      })
    }
  })
}
