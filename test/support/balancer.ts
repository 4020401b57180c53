import { Agent, createServer, request } from 'node:http'
import type { AddressInfo } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'

export interface Balancer {
  readonly url: string
  /** What went wrong at a backend; a request is sent once, and never to a second backend. */
  readonly failures: readonly string[]
  readonly requests: () => number
  /** Whether it sends requests to this backend by now; a restart goes on to the next one only then. */
  readonly takes: (backend: string) => boolean
  readonly close: () => Promise<void>
}

const CHECK_EVERY_MS = 100

/** A plain balancer: in turn over the backends whose readiness answered 200 last, on kept connections, no retries. */
export async function startBalancer(backends: readonly string[]): Promise<Balancer> {
  const agent = new Agent({ keepAlive: true })
  const ready = new Set<string>()
  const failures: string[] = []
  let count = 0
  let closed = false

  const watch = async (backend: string): Promise<void> => {
    while (!closed) {
      const ok = await fetch(`${backend}/health/ready`, { signal: AbortSignal.timeout(2_000) }).then(
        (response) => response.ok,
        () => false,
      )
      if (ok) ready.add(backend)
      else ready.delete(backend)
      await sleep(CHECK_EVERY_MS)
    }
  }
  const watching = backends.map(watch)

  const server = createServer((incoming, outgoing) => {
    const candidates = backends.filter((one) => ready.has(one))
    const backend = candidates[count++ % candidates.length]
    const what = `${incoming.method} ${incoming.url}`
    if (backend === undefined) {
      failures.push(`${what}: no backend is ready`)
      outgoing.writeHead(502).end()
      return
    }
    const { method, headers } = incoming
    const onward = request(`${backend}${incoming.url}`, { agent, method, headers }, (answer) => {
      if ((answer.statusCode ?? 500) >= 500) failures.push(`${what} at ${backend}: ${answer.statusCode}`)
      outgoing.writeHead(answer.statusCode ?? 502, answer.headers)
      answer.pipe(outgoing)
    })
    onward.on('error', (error) => {
      failures.push(`${what} at ${backend}: ${error.message}`)
      if (!outgoing.headersSent) outgoing.writeHead(502)
      outgoing.end()
    })
    incoming.pipe(onward)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    failures,
    requests: () => count,
    takes: (backend) => ready.has(backend),
    async close() {
      closed = true
      await Promise.all(watching)
      agent.destroy()
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}
