import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { chmod, chown, lstat, mkdir, mkdtemp, readdir, readFile, rm, stat, symlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { setTimeout as sleep } from 'node:timers/promises'
import pg from 'pg'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { type EmbeddedPostgres, startEmbeddedPostgres } from '#store/embedded.ts'
import { postgresBinaries } from '#store/embedded-binaries.ts'
import { root } from '../house/sources.ts'

const asRoot = process.getuid?.() === 0
const NOBODY = { uid: 65_534, gid: 65_534 }

/** Data after a first start and a clean stop, to copy: initdb takes longer than all the rest. */
let pristine = ''
let base = ''
let dataDir = ''
const started: EmbeddedPostgres[] = []
const hubs: ChildProcess[] = []

beforeAll(async () => {
  pristine = await mkdtemp('/tmp/dq-pristine-')
  await (await startEmbeddedPostgres({ dataDir: pristine })).stop()
})

afterAll(() => rm(pristine, { recursive: true, force: true }))

function prepare(directory = dataDir): void {
  execFileSync('cp', ['-a', pristine, directory])
}

beforeEach(async () => {
  base = await mkdtemp('/tmp/dq-')
  await chmod(base, 0o755)
  dataDir = join(base, 'pg')
})

afterEach(async () => {
  for (const server of started.splice(0)) await server.stop()
  for (const hub of hubs.splice(0)) {
    const ended = hub.exitCode === null && hub.signalCode === null ? once(hub, 'exit') : undefined
    hub.stdin?.end()
    await ended
  }
  await rm(base, { recursive: true, force: true })
})

async function start(directory = dataDir): Promise<EmbeddedPostgres> {
  const server = await startEmbeddedPostgres({ dataDir: directory })
  started.push(server)
  return server
}

interface Hub {
  readonly process: ChildProcess
  readonly said: { url: string; pid: number; firstStart: boolean; code: string; message: string }
}

/** A hub in a process of its own, under another user when asked. */
async function startHub(account: { uid?: number; gid?: number } = {}): Promise<Hub> {
  const child = spawn(process.execPath, [join(root, 'test/support/embedded-hub.ts'), dataDir], {
    stdio: ['pipe', 'pipe', 'inherit'],
    cwd: root,
    ...account,
  })
  hubs.push(child)
  const [line] = await once(createInterface({ input: child.stdout }), 'line')
  return { process: child, said: JSON.parse(String(line)) as Hub['said'] }
}

async function ask(url: string, statement: string): Promise<string> {
  const client = new pg.Client(url)
  await client.connect()
  try {
    const { rows } = await client.query<Record<string, unknown>>(statement)
    return String(Object.values(rows[0] ?? {})[0])
  } finally {
    await client.end()
  }
}

const write = (url: string): Promise<string> =>
  ask(url, "CREATE TABLE IF NOT EXISTS kept AS SELECT 'safe' AS word").then(() => ask(url, 'SELECT word FROM kept'))

async function kill(child: ChildProcess): Promise<void> {
  const ended = once(child, 'exit')
  child.kill('SIGKILL')
  await ended
}

const alive = (pid: number): boolean => existsSync(`/proc/${pid}/cwd`)

async function until(holds: () => boolean): Promise<void> {
  for (let waited = 0; !holds() && waited < 5_000; waited += 20) await sleep(20)
}

test('the first start creates the data, the next one finds it again', async () => {
  const first = await start()
  expect(first.firstStart).toBe(true)
  expect(await write(first.url)).toBe('safe')
  await first.stop()
  const second = await start()
  expect(second.firstStart).toBe(false)
  expect(await ask(second.url, 'SELECT word FROM kept')).toBe('safe')
})

test('stop leaves no process, may be called twice, and frees the directory', async () => {
  prepare()
  const server = await start()
  await Promise.all([server.stop(), server.stop()])
  expect(() => process.kill(server.pid, 0)).toThrow(/ESRCH/)
  expect((await readdir(dataDir)).sort()).not.toContain('owner.json')
})

test('the server is durable, has no TCP port, and its directory is closed to others', async () => {
  prepare()
  const { url } = await start()
  expect(await ask(url, 'SHOW listen_addresses')).toBe('')
  for (const setting of ['fsync', 'synchronous_commit', 'full_page_writes']) {
    expect(await ask(url, `SHOW ${setting}`)).toBe('on')
  }
  expect(await ask(url, 'SHOW server_encoding')).toBe('UTF8')
  expect((await stat(dataDir)).mode & 0o777).toBe(0o700)
  if (asRoot) expect((await stat(dataDir)).uid).not.toBe(0)
})

test('what a rejected statement said stays out of the log', async () => {
  prepare()
  const lines: string[] = []
  const server = await startEmbeddedPostgres({ dataDir, log: (line) => lines.push(line) })
  started.push(server)
  await expect(ask(server.url, "SELECT '150402199001011234'::date")).rejects.toThrow()
  await server.stop()
  expect(lines.join('\n')).toContain('ready to accept connections')
  expect(lines.join('\n')).not.toContain('150402199001011234')
})

test('a second start on the same directory is refused in the same process', async () => {
  prepare()
  await start()
  await expect(start()).rejects.toMatchObject({
    code: 'store.directory_in_use',
    detail: { en: `process ${process.pid} uses the data directory ${dataDir}` },
  })
})

test('a second start in another process is refused with a sentence that names pid and directory', async () => {
  prepare()
  const first = await start()
  const second = await startHub()
  expect(second.said).toMatchObject({ code: 'store.directory_in_use' })
  expect(second.said.message).toContain(`process ${process.pid} uses the data directory ${dataDir}`)
  expect(await ask(first.url, 'SELECT 1')).toBe('1')
})

test('of two first starts at once one wins and the other is refused', async () => {
  const outcomes = await Promise.allSettled([start(), start()])
  expect(outcomes.map(({ status }) => status).sort()).toEqual(['fulfilled', 'rejected'])
  expect(outcomes.find(({ status }) => status === 'rejected')).toMatchObject({
    reason: { code: 'store.directory_in_use' },
  })
})

test('a directory that holds something else is refused and left as it is', async () => {
  await mkdir(dataDir, { mode: 0o755 })
  await writeFile(join(dataDir, 'thesis.doc'), 'mine')
  await expect(start()).rejects.toMatchObject({ code: 'config.invalid' })
  expect((await stat(dataDir)).mode & 0o777).toBe(0o755)
  expect(await readdir(dataDir)).toEqual(['thesis.doc'])
})

test('what an interrupted first start left behind does not hinder the next', async () => {
  await mkdir(join(dataDir, 'cluster.4711', 'base'), { recursive: true })
  await writeFile(join(dataDir, 'owner.json'), '{"pid":4711,"since":"long ago"}')
  const server = await start()
  expect(server.firstStart).toBe(true)
  expect(await readdir(dataDir)).not.toContain('cluster.4711')
})

test("data of another PostgreSQL version is refused in the server's own words", async () => {
  prepare()
  await (await start()).stop()
  await writeFile(join(dataDir, 'cluster', 'PG_VERSION'), '17\n')
  await expect(start()).rejects.toMatchObject({
    code: 'store.unavailable',
    detail: { en: expect.stringContaining('database files are incompatible with server') },
  })
  expect(await readdir(dataDir)).not.toContain('owner.json')
})

test('a path too long for a socket gets a short one, which goes when the server stops', async () => {
  prepare(join(base, 'long'.repeat(30)))
  const server = await start(join(base, 'long'.repeat(30)))
  const host = new URL(server.url).searchParams.get('host') ?? ''
  expect(Buffer.byteLength(`${host}/.s.PGSQL.5432`)).toBeLessThan(103)
  expect((await stat(host)).mode & 0o777).toBe(0o700)
  expect(await ask(server.url, 'SELECT current_database()')).toBe('dianqiao')
  await server.stop()
  expect(existsSync(host)).toBe(false)
})

test('a path with a comma and Chinese characters works', async () => {
  prepare(join(base, '数据, 一'))
  const server = await start(join(base, '数据, 一'))
  expect(await ask(server.url, 'SELECT 1')).toBe('1')
})

describe.runIf(process.platform === 'linux')('after kill -9', () => {
  test('of the hub: the server ends, the next hub starts its own, what was committed is there', async () => {
    prepare()
    const hub = await startHub()
    await write(hub.said.url)
    await kill(hub.process)
    const next = await start()
    expect(next.pid).not.toBe(hub.said.pid)
    expect(alive(hub.said.pid)).toBe(false)
    expect(await ask(next.url, 'SELECT word FROM kept')).toBe('safe')
  })

  test('of the hub, without a next start: the server does not outlive it', async () => {
    prepare()
    const hub = await startHub()
    await kill(hub.process)
    await until(() => !alive(hub.said.pid))
    expect(alive(hub.said.pid)).toBe(false)
  })

  test('of the hub: a server that is slow to end is waited for', async () => {
    prepare()
    const hub = await startHub()
    await write(hub.said.url)
    process.kill(hub.said.pid, 'SIGSTOP')
    await kill(hub.process)
    setTimeout(() => process.kill(hub.said.pid, 'SIGCONT'), 700)
    const before = performance.now()
    const next = await start()
    expect(performance.now() - before).toBeGreaterThan(500)
    expect(next.pid).not.toBe(hub.said.pid)
    expect(await ask(next.url, 'SELECT word FROM kept')).toBe('safe')
  })

  test('of hub and server together: recovery, and what was committed is there', async () => {
    prepare()
    const hub = await startHub()
    await write(hub.said.url)
    process.kill(hub.said.pid, 'SIGKILL')
    await kill(hub.process)
    const next = await start()
    expect(next.firstStart).toBe(false)
    expect(await ask(next.url, 'SELECT word FROM kept')).toBe('safe')
  })
})

describe.runIf(asRoot)('as root', () => {
  test('the server does not run as root', async () => {
    prepare()
    const { pid } = await start()
    expect((await stat(`/proc/${pid}`)).uid).not.toBe(0)
  })

  test('data of an ordinary user is served under that user, and remains usable for them', async () => {
    await chown(base, NOBODY.uid, NOBODY.gid)
    const hub = await startHub(NOBODY)
    expect(hub.said).toMatchObject({ firstStart: true })
    await write(hub.said.url)
    hub.process.stdin?.end()
    await once(hub.process, 'exit')
    const server = await start()
    expect(await ask(server.url, 'SELECT word FROM kept')).toBe('safe')
    await server.stop()
    expect((await startHub(NOBODY)).said).toMatchObject({ firstStart: false })
  })

  test('a place that the server cannot enter is refused by name', async () => {
    await chmod(base, 0o700)
    await expect(start()).rejects.toMatchObject({
      code: 'store.unavailable',
      detail: { en: expect.stringContaining(`cannot enter ${base};`) },
    })
  })

  test('binaries in a closed checkout are copied to the cache once, links made', async () => {
    const checkout = await fakePackage(join(base, 'closed'))
    await chmod(join(base, 'closed'), 0o700)
    const cache = join(base, 'cache')
    const copies = await Promise.all([
      postgresBinaries(NOBODY, cache, checkout),
      postgresBinaries(NOBODY, cache, checkout),
    ])
    expect(copies[0]).toBe(copies[1])
    expect(await readdir(cache)).toHaveLength(1)
    expect((await stat(join(copies[0], 'bin/postgres'))).mode & 0o777).toBe(0o755)
    expect(await readFile(join(copies[0], 'lib/libpq.so.5'), 'utf8')).toBe('library')
  })
})

test('links that the package manager left out are made in place, broken ones anew', async () => {
  const checkout = await fakePackage(base)
  await symlink('nowhere', join(checkout, 'native/lib/libpq.so.5'))
  expect(await postgresBinaries(undefined, join(base, 'cache'), checkout)).toBe(join(checkout, 'native'))
  expect(await readFile(join(checkout, 'native/lib/libpq.so.5'), 'utf8')).toBe('library')
  expect((await lstat(join(checkout, 'native/lib/libpq.so.5'))).isSymbolicLink()).toBe(true)
  expect(existsSync(join(base, 'cache'))).toBe(false)
})

/** The shape of the npm package, small. */
async function fakePackage(parent: string): Promise<string> {
  const directory = join(parent, 'linux-x64')
  for (const name of ['bin', 'lib', 'share']) await mkdir(join(directory, 'native', name), { recursive: true })
  await writeFile(join(directory, 'package.json'), '{"version":"18.4.0"}')
  await writeFile(join(directory, 'native/bin/postgres'), 'server', { mode: 0o700 })
  await writeFile(join(directory, 'native/lib/libpq.so.5.18'), 'library', { mode: 0o600 })
  const links = [{ source: 'native/lib/libpq.so.5.18', target: 'native/lib/libpq.so.5' }]
  await writeFile(join(directory, 'native/pg-symlinks.json'), JSON.stringify(links))
  return directory
}
