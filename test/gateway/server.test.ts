import { once } from 'node:events'
import { Agent, request as httpRequest } from 'node:http'
import { connect, type Socket } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { composeGateway } from '#compose-gateway.ts'
import { createGateway } from '#gateway/http/app.ts'
import { type RunningServer, startServer } from '#gateway/http/server.ts'
import { withDatabase } from '../support/database.ts'
import { ndjson, openTestHub, readAnswer, type TestHub, type TestParty } from '../support/hub.ts'
import { newNumber, result } from './messages.ts'

const LOOPBACK = { host: '127.0.0.1', port: 0 }

withDatabase('the server on a port', (databaseUrl) => {
  let hub: TestHub
  let chifeng: TestParty
  let server: RunningServer
  const sockets = new Set<Socket>()
  beforeAll(async () => {
    hub = await openTestHub(databaseUrl)
    chifeng = hub.party('platform-chifeng')
    server = await startServer(
      composeGateway(hub.core, () => server.url),
      LOOPBACK,
    )
  })
  afterAll(async () => {
    for (const socket of sockets) socket.destroy()
    await server.stop(1_000)
    await hub.close()
  })

  async function open(text = ''): Promise<Socket> {
    const { hostname, port } = new URL(server.url)
    const socket = connect(Number(port), hostname)
    sockets.add(socket)
    socket.on('error', () => undefined)
    socket.once('close', () => sockets.delete(socket))
    await once(socket, 'connect')
    if (text !== '') socket.write(text)
    return socket
  }

  const head = (path: string, type: string, length: number): string =>
    `POST ${path} HTTP/1.1\r\nhost: hub\r\ncontent-type: ${type}\r\ncontent-length: ${length}\r\n\r\n`

  async function push(body: string | Uint8Array<ArrayBuffer> = chifeng.exchange(result(newNumber()))) {
    const headers = { 'content-type': 'application/jwt' }
    return readAnswer(await fetch(`${server.url}/v1/exchanges`, { method: 'POST', headers, body }))
  }

  /** An honest push is served within this many ms, whatever else goes on. */
  async function servedWithin(ms: number): Promise<void> {
    const began = performance.now()
    const answer = await push()
    expect(answer.status).toBe(202)
    expect(performance.now() - began).toBeLessThan(ms)
  }

  /** What a raw socket receives until it closes or `ms` have passed. */
  async function received(socket: Socket, ms: number): Promise<string> {
    let text = ''
    socket.on('data', (chunk) => {
      text += chunk.toString('latin1')
    })
    await Promise.race([once(socket, 'close'), sleep(ms)])
    return text
  }

  test('answers over a socket are those of the app', async () => {
    const token = chifeng.exchange(result(newNumber()))
    const first = await push(token)
    expect([first.status, first.headers.get('content-type')]).toEqual([202, 'application/jwt'])
    await hub.verified(first.text)
    const again = await push(token)
    expect([again.status, again.text, again.headers.get('idempotency-replayed')]).toEqual([200, first.text, 'true'])
    const marked = await push(`\ufeff${chifeng.exchange(result(newNumber()))}`)
    expect([marked.status, marked.json['code']]).toEqual([401, 'token.malformed'])
    const url = `${server.url}/v1/exchanges/00000000-0000-0000-0000-000000000000`
    const authorization = `Bearer ${chifeng.sign('request+jwt', { htm: 'GET', htu: url })}`
    expect((await fetch(url, { headers: { authorization } })).status).toBe(404)
    const lines = [chifeng.exchange(result(newNumber())), 'x'].map((one) => JSON.stringify({ token: one })).join('\n')
    const headers = { 'content-type': 'application/x-ndjson' }
    const batch = await fetch(`${server.url}/v1/exchanges/batch`, { method: 'POST', headers, body: lines })
    expect(ndjson(await batch.text()).at(-1)).toEqual({ end: 2 })
  })

  test('too large is 413 over a socket: declared, and counted where nothing was declared', async () => {
    const declared = await open(head('/v1/exchanges', 'application/jwt', 2_000_000))
    expect(await received(declared, 1_000)).toMatch(/^HTTP\/1.1 413 /)
    const chunked = await open(
      'POST /v1/exchanges HTTP/1.1\r\nhost: hub\r\ncontent-type: application/jwt\r\ntransfer-encoding: chunked\r\n\r\n',
    )
    for (let index = 0; index < 20; index++) chunked.write(`10000\r\n${'a'.repeat(65_536)}\r\n`)
    expect(await received(chunked, 1_000)).toMatch(/^HTTP\/1.1 413 /)
    await servedWithin(1_000)
  })

  test('what is no HTTP, or two lengths at once, is refused and closed', async () => {
    for (const text of [
      'hello\r\n\r\n',
      `GET / HTTP/1.1\r\nhost: hub\r\nx: ${'y'.repeat(20_000)}\r\n\r\n`,
      'POST /v1/exchanges HTTP/1.1\r\nhost: hub\r\ncontent-length: 5\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n',
      'POST /v1/exchanges HTTP/1.1\r\nhost: hub\r\ncontent-length: -1\r\n\r\n',
    ]) {
      const socket = await open(text)
      expect(await received(socket, 2_000)).toMatch(/^HTTP\/1.1 4\d\d /)
    }
    await servedWithin(1_000)
  })

  test('slow headers are cut off after 10 s, a slow body holds nobody up', { timeout: 20_000 }, async () => {
    const slow: Socket[] = []
    for (let index = 0; index < 100; index++) slow.push(await open('POST /v1/exchanges HTTP/1.1\r\nhost: hub\r\n'))
    const bodies: Socket[] = []
    for (let index = 0; index < 100; index++)
      bodies.push(await open(`${head('/v1/exchanges', 'application/jwt', 500)}ey`))
    const began = performance.now()
    while (slow.some((socket) => !socket.destroyed) && performance.now() - began < 14_000) {
      for (const socket of slow) socket.write('x-a: b\r\n')
      for (const socket of bodies) socket.write('J')
      await servedWithin(1_000)
      await sleep(500)
    }
    expect(slow.filter((socket) => !socket.destroyed)).toEqual([])
    for (const socket of bodies) socket.destroy()
  })

  test('a client that never reads its batch answer holds up only itself', async () => {
    const tokens = Array.from({ length: 3_000 }, () => chifeng.exchange(result(newNumber())))
    const body = tokens.map((token) => JSON.stringify({ token })).join('\n')
    const deaf = await open(head('/v1/exchanges/batch', 'application/x-ndjson', Buffer.byteLength(body)))
    deaf.pause()
    deaf.write(body)
    for (let index = 0; index < 10; index++) {
      await servedWithin(2_000)
      await sleep(50)
    }
    deaf.destroy()
    await servedWithin(1_000)
  })

  test('a client that leaves in the middle of its batch leaves nothing half committed', async () => {
    const tokens = Array.from({ length: 1_000 }, () => chifeng.exchange(result(newNumber())))
    const body = tokens.map((token) => JSON.stringify({ token })).join('\n')
    const socket = await open(head('/v1/exchanges/batch', 'application/x-ndjson', Buffer.byteLength(body)))
    socket.write(body)
    await once(socket, 'data')
    socket.resetAndDestroy()
    const headers = { 'content-type': 'application/x-ndjson' }
    const again = await fetch(`${server.url}/v1/exchanges/batch`, { method: 'POST', headers, body })
    const answers = ndjson(await again.text())
    expect(answers.at(-1)).toEqual({ end: 1_000 })
    for (const told of answers.slice(0, -1)) expect(told['receipt']).toBeTypeOf('string')
    expect(answers.filter(({ replayed }) => replayed === true).length).toBeGreaterThan(0)
    expect(hub.logged).toEqual([])
  })

  test('1,000 idle connections and abrupt resets hold nobody up', async () => {
    const idle = await Promise.all(Array.from({ length: 1_000 }, () => open()))
    await servedWithin(2_000)
    for (let index = 0; index < 200; index++) {
      const socket = await open(head('/v1/exchanges', 'application/jwt', 500))
      socket.write('eyJ')
      socket.resetAndDestroy()
    }
    await servedWithin(2_000)
    for (const socket of idle) socket.resetAndDestroy()
    await servedWithin(2_000)
    expect(hub.logged).toEqual([])
  })

  test('a stop finishes the requests under way, on connections that would be kept, and takes no new one', async () => {
    let release = (): void => undefined
    let begun = (): void => undefined
    const released = new Promise<void>((resolve) => {
      release = resolve
    })
    const underWay = new Promise<void>((resolve) => {
      begun = resolve
    })
    const { core } = hub
    const unused = (): never => {
      throw new Error('not asked for here')
    }
    const app = createGateway({
      hubId: 'dianqiao',
      publicUrl: () => '',
      clock: core.clock,
      contracts: core.contracts,
      accept: async (token) => {
        begun()
        await released
        return core.accept(token)
      },
      acceptPlain: unused,
      query: unused,
      authenticate: unused,
      refuse: unused,
      activateKey: unused,
      status: unused,
      pull: unused,
      files: { upload: unused, uploadState: unused, fetchable: unused, open: unused },
      caseProgress: unused,
      examplesOf: () => [],
      contractParties: unused,
      compareSchemas: unused,
      jwks: unused,
      ledgerTasks: [],
      notReady: unused,
      sourceAddress: (remote) => remote,
      unproven: { take: () => true },
      log: unused,
    })
    const stopping = await startServer(app, LOOPBACK)
    const agent = new Agent({ keepAlive: true })
    const answered = statusOf(agent, `${stopping.url}/v1/exchanges`, chifeng.exchange(result(newNumber())))
    await underWay
    const began = performance.now()
    const stopped = stopping.stop(10_000)
    await expect(fetch(`${stopping.url}/v1/time`)).rejects.toThrow('fetch failed')
    release()
    expect(await answered).toBe(202)
    await stopped
    expect(performance.now() - began).toBeLessThan(2_000)
    agent.destroy()
  })

  test('a stop does not wait longer than it is given', async () => {
    const stopping = await startServer(
      composeGateway(hub.core, () => ''),
      LOOPBACK,
    )
    const { hostname, port } = new URL(stopping.url)
    const hanging = connect(Number(port), hostname)
    hanging.on('error', () => undefined)
    await once(hanging, 'connect')
    hanging.write(head('/v1/exchanges', 'application/jwt', 500))
    await sleep(50)
    const began = performance.now()
    await stopping.stop(300)
    expect(performance.now() - began).toBeLessThan(1_500)
    hanging.destroy()
  })

  test('a port that is taken is an error, not a hanging start', async () => {
    const { port } = new URL(server.url)
    const start = startServer(
      composeGateway(hub.core, () => ''),
      { host: '127.0.0.1', port: Number(port) },
    )
    await expect(start).rejects.toMatchObject({ code: 'EADDRINUSE' })
  })
})

/** The status of a push over an agent that keeps its connections. */
function statusOf(agent: Agent, url: string, body: string): Promise<number | undefined> {
  return new Promise((resolve, reject) => {
    const headers = { 'content-type': 'application/jwt', 'content-length': Buffer.byteLength(body) }
    const request = httpRequest(url, { method: 'POST', agent, headers }, (response) => {
      response.resume().once('end', () => resolve(response.statusCode))
    })
    request.once('error', reject)
    request.end(body)
  })
}
