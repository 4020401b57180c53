import { once } from 'node:events'
import { type AddressInfo, connect, createServer, type NetConnectOpts, type Server, type Socket } from 'node:net'

/** A database behind a line that can be cut: connections break, and new ones are refused until it is mended. */
export interface Line {
  readonly url: string
  cut(): Promise<void>
  mend(): Promise<void>
}

export async function openLine(databaseUrl: string): Promise<Line> {
  const upstream = serverOf(databaseUrl)
  const sockets = new Set<Socket>()
  let server = await listen(0)
  const { port } = server.address() as AddressInfo
  const url = new URL(databaseUrl)
  const account = upstream.user + (url.password === '' ? '' : `:${url.password}`)

  async function listen(on: number): Promise<Server> {
    const listening = createServer((client) => join(client, connect(upstream.address))).listen(on, '127.0.0.1')
    await once(listening, 'listening')
    return listening
  }

  function join(client: Socket, database: Socket): void {
    for (const [one, other] of [
      [client, database],
      [database, client],
    ] as const) {
      sockets.add(one)
      one.pipe(other)
      one.once('error', () => other.destroy())
      one.once('close', () => {
        sockets.delete(one)
        other.destroy()
      })
    }
  }

  return {
    url: `postgresql://${account}@127.0.0.1:${port}${url.pathname}`,
    async cut() {
      const closed = once(server, 'close')
      server.close()
      for (const socket of sockets) socket.destroy()
      await closed
    },
    async mend() {
      server = await listen(port)
    },
  }
}

function serverOf(databaseUrl: string): { readonly address: NetConnectOpts; readonly user: string } {
  const url = new URL(databaseUrl)
  const host = url.searchParams.get('host')
  const port = Number(url.searchParams.get('port') ?? (url.port === '' ? 5432 : url.port))
  const user = url.searchParams.get('user') ?? url.username
  if (host !== null) return { address: { path: `${host}/.s.PGSQL.${port}` }, user }
  return { address: { host: url.hostname, port }, user }
}
