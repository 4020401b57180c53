import { once } from 'node:events'
import http from 'node:http'
import type { AddressInfo } from 'node:net'
import { expect, it, onTestFinished } from 'vitest'
import { createHttpTransport, type HttpTransport } from '#connect/http-transport.ts'

const request = { method: 'POST', path: '/in', headers: { 'x-key': 'k' }, body: '{"名":1}' }

async function against(
  handler: http.RequestListener,
  timeoutMs = 2_000,
  maxBody?: number,
): Promise<HttpTransport & { base: string }> {
  const server = http.createServer(handler).listen(0, '127.0.0.1')
  await once(server, 'listening')
  const base = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  const transport = createHttpTransport({
    url: `${base}/prefix/`,
    timeoutMs,
    connections: 2,
    headers: { 'x-app': 'a' },
    ...(maxBody === undefined ? {} : { maxBody }),
  })
  onTestFinished(() => {
    transport.close()
    server.closeAllConnections()
    server.close()
  })
  return { ...transport, base }
}

it('sends the body as it stands, under the base path, with its own and the common headers', async () => {
  let seen: unknown
  const { send } = await against((incoming, response) => {
    const chunks: Buffer[] = []
    incoming.on('data', (chunk: Buffer) => chunks.push(chunk))
    incoming.on('end', () => {
      const { 'x-key': key, 'x-app': app } = incoming.headers
      seen = { url: incoming.url, key, app, body: Buffer.concat(chunks).toString() }
      response.writeHead(201, { 'retry-after': '7' }).end('好')
    })
  })
  expect(await send(request)).toEqual({ kind: 'answer', status: 201, retryAfterMs: 7_000, body: '好' })
  expect(seen).toEqual({ url: '/prefix/in', key: 'k', app: 'a', body: '{"名":1}' })
})

it('keeps its connection from one request to the next', async () => {
  const sockets = new Set<unknown>()
  const { send } = await against((incoming, response) => {
    sockets.add(incoming.socket)
    response.end('ok')
  })
  for (let n = 0; n < 3; n++) await send(request)
  expect(sockets.size).toBe(1)
})

it('follows no redirect', async () => {
  let calls = 0
  const { send } = await against((_, response) => {
    calls++
    response.writeHead(307, { location: '/elsewhere' }).end()
  })
  expect(await send(request)).toMatchObject({ kind: 'answer', status: 307 })
  expect(calls).toBe(1)
})

it.each([
  [undefined, 65_536],
  [1_048_576, 1_000_000],
])('of an answer of 1 MB and with a limit of %s it keeps %i bytes', async (maxBody, kept) => {
  const { send } = await against((_, response) => void response.end('x'.repeat(1_000_000)), 2_000, maxBody)
  const answer = await send(request)
  expect(answer.kind === 'answer' && answer.body.length).toBe(kept)
})

it('says time-out when the answer, or its end, does not come', async () => {
  const { send } = await against((incoming, response) => {
    if (incoming.headers['x-key'] === 'half') response.writeHead(200).write('{')
  }, 100)
  expect(await send(request)).toMatchObject({ kind: 'failure', reason: 'timeout', sent: true })
  expect(await send({ ...request, headers: { 'x-key': 'half' } })).toMatchObject({ kind: 'failure', reason: 'timeout' })
})

it('says network for a connection that is refused or cut, without naming the address', async () => {
  const { send, base } = await against((incoming) => void incoming.socket.resetAndDestroy())
  expect(await send(request)).toEqual({ kind: 'failure', reason: 'network', detail: 'ECONNRESET', sent: true })
  const nobody = createHttpTransport({ url: base.replace(/\d+$/, '1'), timeoutMs: 500, connections: 1 })
  expect(await nobody.send(request)).toEqual({
    kind: 'failure',
    reason: 'network',
    detail: 'ECONNREFUSED',
    sent: false,
  })
})

it('sends nothing that could not begin in time, while it waited for a connection', async () => {
  let arrived = 0
  const { send } = await against((_, response) => {
    arrived++
    setTimeout(() => response.end(), 100)
  })
  // Both connections are taken: the third request waits for one of them, longer than it may.
  const taken = [send(request), send(request)]
  const late = await send(request, { sendByMs: performance.now() + 20 })
  expect(await Promise.all(taken)).toMatchObject([{ kind: 'answer' }, { kind: 'answer' }])
  expect(late).toMatchObject({ kind: 'failure', reason: 'late', sent: false })
  expect(await send(request, { sendByMs: performance.now() + 1_000 })).toMatchObject({ kind: 'answer' })
  expect(arrived).toBe(3)
})

it('takes http and https addresses and no others', () => {
  for (const url of ['ftp://127.0.0.1', 'no address', '']) {
    expect(() => createHttpTransport({ url, timeoutMs: 1, connections: 1 })).toThrow('config.invalid')
  }
})
