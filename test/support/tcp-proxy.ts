import { once } from 'node:events'
import { connect, createServer, type Server, type Socket } from 'node:net'
import { takePort } from '#sandbox/ports.ts'

/** Where the bytes go: a port on loopback, or a Unix socket. */
export type ProxyTarget = { readonly port: number } | { readonly path: string }

/** A line between two programs that can be disturbed. `heal` ends every disturbance. */
export interface TcpProxy {
  readonly port: number
  /** New connections are refused; open ones live on. */
  readonly refuse: () => Promise<void>
  /** Breaks what is open now. */
  readonly reset: () => void
  /** Takes connections and bytes and lets nothing through, in either direction. What it took in is never delivered. */
  readonly swallow: () => void
  /** What ran through a black hole is broken now: its bytes are gone. */
  readonly heal: () => Promise<void>
  readonly close: () => Promise<void>
}

interface Line {
  readonly client: Socket
  readonly server: Socket | undefined
}

/** Listens on loopback, always on the same port. */
export async function startTcpProxy(target: () => ProxyTarget): Promise<TcpProxy> {
  const lines = new Set<Line>()
  let swallowing = false

  const carry = (from: Socket, to: Socket): void => {
    from.on('data', (chunk: Buffer) => {
      if (swallowing || to.write(chunk)) return
      from.pause()
      to.once('drain', () => from.resume())
    })
    // The end of a connection is a packet too, and is lost in a black hole.
    from.once('end', () => {
      if (!swallowing) to.end()
    })
    from.once('error', () => {
      if (!swallowing) abort(to)
    })
  }

  const join = (client: Socket): void => {
    client.setNoDelay(true)
    client.on('error', () => {})
    if (swallowing) {
      client.resume()
      lines.add({ client, server: undefined })
      return
    }
    const server = connect({ host: '127.0.0.1', ...target(), noDelay: true })
    const line = { client, server }
    lines.add(line)
    server.on('error', () => {
      if (!swallowing) abort(client)
    })
    carry(client, server)
    carry(server, client)
    const forget = (): void => {
      if (client.destroyed && server.destroyed) lines.delete(line)
    }
    client.once('close', forget)
    server.once('close', forget)
  }

  const breakAll = (): void => {
    for (const { client, server } of lines) {
      abort(client)
      if (server !== undefined) abort(server)
    }
    lines.clear()
  }

  let listener: Server | undefined
  const listen = async (port: number): Promise<boolean> => {
    const opened = createServer({ allowHalfOpen: true }, join)
    const heard = await new Promise<boolean>((resolve) => {
      opened.once('error', () => resolve(false))
      opened.listen(port, '127.0.0.1', () => resolve(true))
    })
    if (heard) listener = opened
    return heard
  }
  const silence = async (): Promise<void> => {
    const closing = listener
    listener = undefined
    // `close` also waits for the connections that are open; that the port is free again is enough here.
    closing?.close()
  }

  const { port, release } = await takePort()
  if (!(await listen(port))) throw new Error(`port ${port} was taken as soon as it was found free`)
  return {
    port,
    refuse: silence,
    reset: breakAll,
    swallow: () => {
      swallowing = true
    },
    async heal() {
      if (swallowing) breakAll()
      swallowing = false
      if (listener === undefined && !(await listen(port))) throw new Error(`port ${port} was taken while it was closed`)
    },
    async close() {
      const last = listener
      const closed = last === undefined ? undefined : once(last, 'close')
      await silence()
      breakAll()
      await closed
      await release()
    },
  }
}

/** A reset where there is one: Unix sockets know none. */
function abort(socket: Socket): void {
  if (socket.remoteAddress === undefined) socket.destroy()
  else socket.resetAndDestroy()
}
