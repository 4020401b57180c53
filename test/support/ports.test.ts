import { once } from 'node:events'
import { connect, createServer } from 'node:net'
import { expect, test } from 'vitest'
import { takePort } from '#sandbox/ports.ts'

test('a port is not given out again before it is released, though nothing listens on it', async () => {
  const taken = await Promise.all(Array.from({ length: 200 }, takePort))
  const held = taken.flatMap(({ port }) => [port, port + 1])
  expect(new Set(held).size).toBe(400)
  for (const { release } of taken) await release()
})

test('a port is free for whoever took it', async () => {
  const { port, release } = await takePort()
  const server = createServer((socket) => socket.end('here'))
  await once(server.listen(port, '127.0.0.1'), 'listening')
  const client = connect({ host: '127.0.0.1', port })
  const [said] = (await once(client.setEncoding('utf8'), 'data')) as string[]
  expect(said).toBe('here')
  server.close()
  await release()
})
