import { createServer, type Server } from 'node:net'

export interface TakenPort {
  readonly port: number
  readonly release: () => Promise<void>
}

/**
 * A port of loopback that stays ours while nothing listens on it: a server that is killed finds it again. It is below
 * the range that the system gives to outgoing connections, and all who take one here leave it alone while the port
 * above it is held; that one is given back by `release`.
 */
export async function takePort(): Promise<TakenPort> {
  for (;;) {
    const port = 20_000 + 2 * Math.floor(Math.random() * 5_000)
    const guard = (await listen(port + 1))?.unref()
    const probe = guard && (await listen(port))
    if (probe !== undefined) await close(probe)
    if (guard !== undefined && probe !== undefined) return { port, release: () => close(guard) }
    if (guard !== undefined) await close(guard)
  }
}

function listen(port: number): Promise<Server | undefined> {
  const server = createServer()
  return new Promise((resolve) => {
    server.once('error', () => resolve(undefined))
    server.listen(port, '127.0.0.1', () => resolve(server))
  })
}

const close = (server: Server): Promise<void> => new Promise((resolve) => server.close(() => resolve()))
