import { execFile } from 'node:child_process'
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { request as httpRequest } from 'node:http'
import { connect, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { pathToFileURL } from 'node:url'
import { promisify } from 'node:util'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { sql } from 'kysely'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { PROJECT_ROOT } from '#compose.ts'
import { composeGateway } from '#compose-gateway.ts'
import { type RunningServer, startServer } from '#gateway/http/server.ts'
import { licenceCopy } from '#sandbox/ofd.ts'
import { CHUNK_BYTES } from '#store/file-queries.ts'
import { withDatabase } from '../support/database.ts'
import { bearerOf, certificate, digestOf, fileObject, OFD, pathOf } from '../support/files.ts'
import { openTestHub, type TestHub, type TestParty } from '../support/hub.ts'
import { newNumber, result } from './messages.ts'

const LOOPBACK = { host: '127.0.0.1', port: 0 }
const MIB = 1_048_576
const run = promisify(execFile)

/** An OFD of nearly 64 MiB: its path is the argument, its digest and size are printed. */
const MAKE_LARGE = `
  import { createHash } from 'node:crypto'
  import { writeFileSync } from 'node:fs'
  import { licenceCopy } from '${pathToFileURL(path.join(PROJECT_ROOT, 'src/sandbox/ofd.ts')).href}'
  const file = licenceCopy('large', ${64 * MIB - 4_096})
  writeFileSync(process.argv[1], file)
  const digest = 'sha-256:' + createHash('sha256').update(file).digest('base64url')
  console.log(JSON.stringify({ digest, bytes: file.length }))`

withDatabase('files over a socket', (databaseUrl) => {
  let hub: TestHub
  let platform: TestParty
  /** Two gateways on one database. */
  let servers: readonly RunningServer[]
  let folder: string
  beforeAll(async () => {
    hub = await openTestHub(databaseUrl)
    platform = hub.party('platform-chifeng')
    const slowness = { bodyMs: 2_000, stallMs: 2_000, stallBytes: 2_000 }
    const one: RunningServer = await startServer(
      composeGateway(hub.core, () => one.url),
      LOOPBACK,
      slowness,
    )
    const two: RunningServer = await startServer(
      composeGateway(hub.core, () => two.url),
      LOOPBACK,
    )
    servers = [one, two]
    folder = mkdtempSync(path.join(tmpdir(), 'dianqiao-files-'))
  })
  afterAll(async () => {
    await Promise.all(servers.map((server) => server.stop(500)))
    await hub.close()
    rmSync(folder, { recursive: true })
  })

  const server = (n = 0): string => servers[n]?.url ?? ''
  const headOf = async (digest: string, n = 0): Promise<Headers> => {
    const authorization = bearerOf(platform, 'HEAD', digest, server(n))
    return (await fetch(server(n) + pathOf(digest), { method: 'HEAD', headers: { authorization } })).headers
  }
  const offsetOf = async (digest: string): Promise<number> => Number((await headOf(digest)).get('upload-offset'))

  async function socketTo(lines: readonly string[]): Promise<Socket> {
    const { hostname, port } = new URL(server())
    const socket = connect(Number(port), hostname)
    socket.on('error', () => undefined)
    await once(socket, 'connect')
    socket.write(`${lines.join('\r\n')}\r\n\r\n`)
    return socket
  }
  const putLines = (digest: string, length: number): string[] => [
    `PUT ${pathOf(digest)} HTTP/1.1`,
    'host: hub',
    `authorization: ${bearerOf(platform, 'PUT', digest, server())}`,
    `content-type: ${OFD}`,
    `content-length: ${length}`,
  ]

  test('a connection killed at 60 % loses less than a chunk; the rest goes to the other gateway, and the digest fits', async () => {
    const file = licenceCopy('killed', 2 * MIB)
    const digest = digestOf(file)
    const sent = Math.floor(file.length * 0.6)
    const socket = await socketTo(putLines(digest, file.length))
    socket.write(file.subarray(0, sent))
    const whole = Math.floor(sent / CHUNK_BYTES) * CHUNK_BYTES
    await expect.poll(() => offsetOf(digest), { timeout: 5_000 }).toBe(whole)
    socket.destroy()
    await sleep(50)

    const offset = Number((await headOf(digest, 1)).get('upload-offset'))
    expect(offset).toBe(whole)
    const rest = await fetch(server(1) + pathOf(digest), {
      method: 'PUT',
      body: Uint8Array.from(file.subarray(offset)),
      headers: {
        authorization: bearerOf(platform, 'PUT', digest, server(1)),
        'content-type': OFD,
        'content-range': `bytes ${offset}-${file.length - 1}/${file.length}`,
      },
    })
    expect([rest.status, (await headOf(digest)).get('upload-complete')]).toEqual([201, '?1'])
    expect(hub.logged.filter(({ level }) => level === 'error')).toEqual([])
  })

  test('curl uploads a file, resumes a download in the middle, and has the same bytes', async () => {
    const file = licenceCopy('with curl', MIB)
    const digest = digestOf(file)
    const [source, target] = [path.join(folder, 'source.ofd'), path.join(folder, 'target.ofd')]
    writeFileSync(source, file)
    const url = server() + pathOf(digest)
    const authorized = (method: string): string[] => [
      '-H',
      `authorization: ${bearerOf(platform, method, digest, server())}`,
    ]
    const put = await run('curl', ['-sS', '-T', source, '-H', `content-type: ${OFD}`, ...authorized('PUT'), url])
    expect(JSON.parse(put.stdout)).toMatchObject({ complete: true, offset: file.length })
    const named = await platform.push(result(newNumber(), certificate(fileObject(file)) as never))
    expect(named.status, named.text).toBe(202)
    writeFileSync(target, file.subarray(0, 300_000))
    await run('curl', ['-sS', '-C', '-', '-o', target, ...authorized('GET'), url])
    expect(digestOf(readFileSync(target))).toBe(digest)
  })

  test('a refusal reaches a client that is still sending', async () => {
    const file = licenceCopy('refused', 3 * MIB)
    const digest = digestOf(file)
    const answer = await fetch(server() + pathOf(digest), {
      method: 'PUT',
      body: Uint8Array.from(file),
      headers: { authorization: 'Bearer a.b.c', 'content-type': OFD },
    })
    expect(answer.status).toBe(401)
  })

  test('a slow upload that moves goes on, one that stalls is cut off and keeps what it had', {
    timeout: 30_000,
  }, async () => {
    const slow = licenceCopy('slow', 20_000)
    const stalled = licenceCopy('stalled', CHUNK_BYTES)
    const moving = await socketTo(putLines(digestOf(slow), slow.length))
    const stalling = await socketTo(putLines(digestOf(stalled), stalled.length))
    const push = await socketTo([
      'POST /v1/exchanges HTTP/1.1',
      'host: hub',
      'content-type: application/jwt',
      'content-length: 5000',
    ])
    const said = new Map<Socket, string>([moving, stalling, push].map((socket) => [socket, '']))
    for (const socket of said.keys()) socket.on('data', (data) => said.set(socket, said.get(socket) + data.toString()))
    stalling.write(stalled.subarray(0, CHUNK_BYTES + 10))
    // In steps that together take longer than a body may, each with enough bytes for its time.
    const step = Math.ceil(slow.length / 12)
    const began = performance.now()
    for (let at = 0; at < slow.length; at += step) {
      moving.write(slow.subarray(at, at + step))
      push.write('ey')
      await sleep(350)
    }
    expect(performance.now() - began).toBeGreaterThan(4_000)
    await expect.poll(() => said.get(moving)).toMatch(/^HTTP\/1.1 201 /)
    await expect.poll(() => said.get(push)).toMatch(/^HTTP\/1.1 408 /)
    await expect.poll(() => said.get(stalling)).toMatch(/^HTTP\/1.1 408 /)
    expect(await offsetOf(digestOf(stalled))).toBe(CHUNK_BYTES)
    for (const socket of said.keys()) socket.destroy()
  })

  test('a download that fails half way breaks its connection, and the log says why', async () => {
    const file = licenceCopy('broken', 4 * MIB)
    const digest = digestOf(file)
    const authorized = (method: string) => ({ authorization: bearerOf(platform, method, digest, server()) })
    const headers = { ...authorized('PUT'), 'content-type': OFD }
    const put = await fetch(server() + pathOf(digest), { method: 'PUT', body: Uint8Array.from(file), headers })
    expect(put.status).toBe(201)
    await platform.push(result(newNumber(), certificate(fileObject(file)) as never))
    await sql`DELETE FROM file_chunk WHERE n = 9 AND file = (SELECT id FROM file WHERE digest = ${digest})`.execute(
      hub.core.db,
    )
    const response = await fetch(server() + pathOf(digest), { headers: authorized('GET') })
    expect(response.status).toBe(200)
    await expect(response.arrayBuffer()).rejects.toThrow()
    await expect.poll(() => hub.logged.map(({ message }) => message)).toContain('a download broke off')
  })

  test('a reader that leaves gives its place back', async () => {
    const file = licenceCopy('left', 4 * MIB)
    const digest = digestOf(file)
    const url = server() + pathOf(digest)
    const authorized = (method: string) => ({ authorization: bearerOf(platform, method, digest, server()) })
    const headers = { ...authorized('PUT'), 'content-type': OFD }
    await fetch(url, { method: 'PUT', body: Uint8Array.from(file), headers })
    await platform.push(result(newNumber(), certificate(fileObject(file)) as never))
    // More than a party may have under way at once, none of them read to its end.
    for (let n = 0; n < 12; n++) {
      const abort = new AbortController()
      let status = 429
      while (status === 429) {
        status = (await fetch(url, { headers: authorized('GET'), signal: abort.signal })).status
        if (status === 429) await sleep(50)
      }
      expect(status).toBe(200)
      abort.abort()
    }
  })

  test('64 MiB pass through both ways in bounded memory', { timeout: 60_000 }, async () => {
    // Another process makes the file: this one must hold no more of it than the hub does.
    const target = path.join(folder, 'large.ofd')
    const { stdout } = await run(process.execPath, ['--input-type=module', '-e', MAKE_LARGE, target])
    const { digest, bytes } = JSON.parse(stdout) as { digest: string; bytes: number }
    expect(bytes).toBeGreaterThan(63 * MIB)
    const url = server(1) + pathOf(digest)
    // On a busy machine the collector comes late: what it would free is not held.
    setFlagsFromString('--expose-gc')
    const collect = runInNewContext('gc') as () => void
    const rss = (): number => {
      collect()
      return process.memoryUsage().rss
    }
    const before = rss()
    let highest = before
    const watch = setInterval(() => {
      if (process.memoryUsage.rss() > highest) highest = Math.max(highest, rss())
    }, 100)
    const authorization = bearerOf(platform, 'PUT', digest, server(1))
    const put = await run('curl', [
      '-sS',
      '-T',
      target,
      '-H',
      `content-type: ${OFD}`,
      '-H',
      `authorization: ${authorization}`,
      url,
    ])
    expect(JSON.parse(put.stdout)).toMatchObject({ complete: true })
    expect(
      (
        await platform.push(
          result(newNumber(), certificate({ ...fileObject(Buffer.alloc(0)), digest, bytes }) as never),
        )
      ).status,
    ).toBe(202)
    const hash = createHash('sha256')
    const headers = { authorization: bearerOf(platform, 'GET', digest, server(1)) }
    const [response] = await once(httpRequest(url, { headers }).end(), 'response')
    for await (const bytes of response) hash.update(bytes)
    clearInterval(watch)
    expect(`sha-256:${hash.digest('base64url')}`).toBe(digest)
    expect((highest - before) / MIB).toBeLessThan(64)
  })
})
