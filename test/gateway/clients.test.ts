import { execFile } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { PROJECT_ROOT } from '#compose.ts'
import { composeGateway } from '#compose-gateway.ts'
import { type RunningServer, startServer } from '#gateway/http/server.ts'
import type { JsonObject } from '#kernel/json.ts'
import { addKey } from '#parties/keys.ts'
import { setKeyState } from '#store/register-act-queries.ts'
import { generateKeyPair } from '#trust/keys.ts'
import { withDatabase } from '../support/database.ts'
import { openTestHub, type TestHub } from '../support/hub.ts'
import { withProgram } from '../support/toolchains.ts'
import { FORGERIES, LIES, type LyingHub, openLyingHub } from './lying-hub.ts'
import { newNumber, result } from './messages.ts'
import { issue, type PlainKey } from './plain-client.ts'

const PARTY = 'platform-chifeng'
const CONTRACT = 'approval-result@1'
const SOURCES = join(PROJECT_ROOT, 'src/gateway/clients')
/** Go compiles its standard library once; the next run finds it here. */
const GO_CACHE = join(PROJECT_ROOT, '.cache/go')
const BUILD_MS = 300_000
const run = promisify(execFile)

interface Client {
  readonly name: string
  readonly program: readonly [string, ...string[]]
  /** Makes it ready in a folder; the command that runs it. */
  readonly build: (folder: string) => Promise<readonly [string, ...string[]]>
  readonly signsEd25519: boolean
}

const CLIENTS: readonly Client[] = [
  {
    name: 'java',
    program: ['javac', '-version'],
    build: async (folder) => {
      const source = join(SOURCES, 'DianqiaoClient.java')
      await run('javac', ['-encoding', 'UTF-8', '--release', '8', '-Xlint:-options', '-Werror', '-d', folder, source])
      return ['java', '-Xshare:auto', '-XX:TieredStopAtLevel=1', '-cp', folder, 'DianqiaoClient']
    },
    signsEd25519: false,
  },
  {
    name: 'python',
    program: ['python3', '--version'],
    build: async () => ['python3', join(SOURCES, 'dianqiao_client.py')],
    signsEd25519: false,
  },
  {
    name: 'go',
    program: ['go', 'version'],
    build: async (folder) => {
      const binary = join(folder, 'dianqiao-go')
      const env = { ...process.env, GOCACHE: GO_CACHE, GOFLAGS: '-mod=mod', GOTOOLCHAIN: 'local', GOPROXY: 'off' }
      await run('go', ['build', '-o', binary, join(SOURCES, 'dianqiao.go')], { cwd: folder, env })
      return [binary]
    },
    signsEd25519: true,
  },
  {
    name: 'node',
    program: [process.execPath, '--version'],
    build: async () => [process.execPath, join(SOURCES, 'dianqiao-client.ts')],
    signsEd25519: true,
  },
]

interface Outcome {
  readonly code: number
  readonly stdout: string
  readonly stderr: string
}

withDatabase('one-file clients', (databaseUrl) => {
  const folder = mkdtempSync(join(tmpdir(), 'dianqiao-clients-'))
  let hub: TestHub
  let server: RunningServer
  let liar: LyingHub
  let plainKey: PlainKey
  const file = (name: string, text: string): string => {
    const path = join(folder, name)
    writeFileSync(path, text, { mode: 0o600 })
    return path
  }
  beforeAll(async () => {
    hub = await openTestHub(databaseUrl)
    server = await startServer(
      composeGateway(hub.core, () => server.url),
      { host: '127.0.0.1', port: 0 },
    )
    liar = await openLyingHub()
    plainKey = await issue(hub, PARTY)
    file('secret', `${plainKey.secret}\n`)
  })
  afterAll(async () => {
    liar.close()
    await server.stop(1_000)
    await hub.close()
    rmSync(folder, { recursive: true, force: true })
  })

  test('the index names each, each is served as it stands in the sources, and nothing else is', async () => {
    const index = await hub.request('/docs/clients')
    const files = [...index.text.matchAll(/href="clients\/([^"]+)"/g)].map(([, name = '']) => name)
    expect(files).toHaveLength(CLIENTS.length)
    for (const name of files) {
      const served = await hub.request(`/docs/clients/${name}`)
      expect([served.status, served.headers.get('content-type')]).toEqual([200, 'text/plain; charset=utf-8'])
      expect(served.text).toMatch(/电桥单文件客户端/)
    }
    for (const name of ['README.md', '..%2fapp.ts', '../app.ts', 'constructor', 'DianqiaoClient.java%00']) {
      expect((await hub.request(`/docs/clients/${name}`)).status, name).toBe(404)
    }
  })

  withProgram('python', ['python3', '--version'], 'elliptic curves in pure Python', () => {
    test('sign as RFC 6979 A.2.5 has it, and take no signature or key outside the curve', async () => {
      const script = `
import sys
sys.path.insert(0, ${JSON.stringify(SOURCES)})
sys.dont_write_bytecode = True
from dianqiao_client import N, P, es256_sign, es256_verify
d = 0xC9AFA9D845BA75166B5C215767B1D6934E50C3DB36E89B127B8A622B120F6721
q = (0x60FED4BA255A9D31C961EB74C6356D68C049B8923B61FA6CE669622E60F29FB6,
     0x7903FE1008B8BC99A41AE9E95628BC64F2F1B20C2D7E9F5177A3C294D4462299)
made = es256_sign(d, b"sample")
r, s = made[:32], made[32:]
zero, order = bytes(32), N.to_bytes(32, "big")
print(made.hex().upper())
print([es256_verify(*one) for one in [
    (q, b"sample", made), (q, b"other", made), (q, b"sample", s + r), (q, b"sample", made[:63]), (q, b"sample", b""),
    (q, b"sample", zero + s), (q, b"sample", r + zero), (q, b"sample", order + s), (q, b"sample", r + order),
    ((q[0], q[1] ^ 1), b"sample", made), ((0, 0), b"sample", made), ((q[0] + P, q[1]), b"sample", made)]])
`
      const { stdout } = await run('python3', ['-c', script])
      const [signature, verdicts] = stdout.trim().split('\n')
      expect(signature).toBe(
        'EFD48B2AACB6A8FD1140DD9CD45E81D69D2C877B56AAF991C34D0EA84EAF3716' +
          'F7CB1C942D657C41D436C7A1B6E29F65F3E900DBB9AFF4064DC4AB2F843ACDA8',
      )
      expect(verdicts).toBe(`[True, ${Array.from({ length: 11 }, () => 'False').join(', ')}]`)
    }, 30_000)
  })

  describe.each(CLIENTS)('$name', ({ name, program, build, signsEd25519 }) => {
    withProgram(name, program, `the client in ${name}`, () => {
      let command: readonly [string, ...string[]]
      beforeAll(async () => {
        command = await build(folder)
      }, BUILD_MS)

      async function client(verb: string, options: Record<string, string>, target: string): Promise<Outcome> {
        const [path, ...args] = command
        const words = Object.entries(options).flatMap(([option, value]) => [`--${option}`, value])
        try {
          const { stdout, stderr } = await run(path, [...args, verb, ...words, target], { timeout: 60_000 })
          return { code: 0, stdout, stderr }
        } catch (error) {
          const { code, stdout, stderr } = error as { code: number; stdout: string; stderr: string }
          return { code, stdout, stderr }
        }
      }
      const at = (url: string) => ({ url, party: PARTY, contract: CONTRACT })
      const keyFile = (): string => join(hub.core.config.partyKeysDir, `${PARTY}.json`)
      const dataFile = (number: string, change: JsonObject = {}): string =>
        file(`${number}.json`, `${JSON.stringify(result(number, change).data, null, 1)}\n`)
      const push = (number: string, change: Record<string, string> = {}, data = dataFile(number)): Promise<Outcome> =>
        client('push', { ...at(server.url), key: keyFile(), sub: number, ...change }, data)
      const plain = (number: string, change: Record<string, string> = {}): Promise<Outcome> => {
        const key = { 'app-key': plainKey.id, 'secret-file': join(folder, 'secret') }
        return client('plain', { ...at(server.url), ...key, ...change }, dataFile(number))
      }
      const told = ({ code, stdout, stderr }: Outcome): JsonObject => {
        expect(code, stderr).toBe(0)
        return JSON.parse(stdout) as JsonObject
      }

      test('pushes an exchange and verifies its receipt; the same jti gets the original one', async () => {
        const number = newNumber()
        const jti = randomUUID()
        const data = dataFile(number, { remarks: '备注 “引号” \\ < & \u{20000}' })
        const first = told(await push(number, { jti }, data))
        expect(first).toMatchObject({ replayed: false, origin: 'party-signed' })
        expect(await hub.verified(first['receipt'])).toMatchObject({ exchange: first['exchange'], of: { jti } })
        const again = told(await push(number, { jti }, data))
        expect(again).toEqual({ ...first, replayed: true })
      }, 60_000)

      test('sends plain JSON with an AppKey and verifies its receipt', async () => {
        const number = newNumber()
        const jti = randomUUID()
        const first = told(await plain(number, { jti }))
        expect(first).toMatchObject({ replayed: false, origin: 'mac-attested' })
        expect(told(await plain(number, { jti }))).toEqual({ ...first, replayed: true })
      }, 60_000)

      test('asks for the status of its exchange', async () => {
        const { exchange } = told(await push(newNumber()))
        const status = told(await client('status', { ...at(server.url), key: keyFile() }, String(exchange)))
        expect(status).toMatchObject({ exchange, origin: 'party-signed' })
      }, 60_000)

      test('tells a refusal by its code and ends with 1', async () => {
        const wrong = newNumber()
        const answers = await Promise.all([
          push(wrong, {}, dataFile(wrong, { resultState: 'yes' })),
          push(newNumber(), { contract: 'business-licence@1' }),
          push(newNumber(), { party: 'platform-hohhot' }),
          plain(newNumber(), { 'app-key': `ak-${'0'.repeat(24)}` }),
        ])
        expect(answers.map(({ code, stdout }) => [code, stdout])).toEqual(answers.map(() => [1, '']))
        const codes = ['contract.schema_violated', 'right.missing', 'token.key_foreign', 'appkey.unknown']
        for (const [index, code] of codes.entries()) expect(answers[index]?.stderr).toContain(code)
      }, 60_000)

      test('a pinned set of keys is what counts', async () => {
        const jwks = file('jwks.json', JSON.stringify(hub.core.keyRing.jwks()))
        expect(told(await push(newNumber(), { jwks }))).toMatchObject({ origin: 'party-signed' })
        const others = file('others.json', JSON.stringify({ keys: [generateKeyPair('ES256').publicJwk] }))
        expect(await push(newNumber(), { jwks: others })).toMatchObject({ code: 1, stdout: '' })
      }, 60_000)

      if (signsEd25519)
        test('signs with an Ed25519 key', async () => {
          const { privateJwk, publicJwk, kid } = generateKeyPair('Ed25519')
          await addKey(hub.core.db, { party: PARTY, jwk: publicJwk }, { by: 'a test' })
          await hub.core.db.transaction().execute((tx) => setKeyState(tx, kid, 'active', ['pending']))
          await hub.core.register.refresh()
          const key = file(`ed25519-${name}.json`, JSON.stringify(privateJwk))
          expect(told(await push(newNumber(), { key }))).toMatchObject({ origin: 'party-signed' })
        }, 60_000)

      test('trusts no receipt that lies, by either door, and ends with 1', async () => {
        const expectOf = async (mode: string, asked: Promise<Outcome>): Promise<void> => {
          const { code, stdout, stderr } = await asked
          const told = [mode, code, stdout === '', stderr.slice(0, 17)]
          expect(told).toEqual(mode === 'honest' ? [mode, 0, false, ''] : [mode, 1, true, 'receipt.untrusted'])
        }
        const url = (mode: string) => ({ url: `${liar.url}/${mode}` })
        const pushes = ['honest', ...Object.keys(LIES), ...FORGERIES]
        const plains = ['honest', 'other-bytes', 'no-digest', 'other-sender']
        await Promise.all([
          ...pushes.map((mode) => expectOf(mode, push(newNumber(), url(mode)))),
          ...plains.map((mode) => expectOf(mode, plain(newNumber(), url(mode)))),
        ])
      }, 120_000)

      test('after a broken connection and a 503 it sends the same message again', async () => {
        const [pushed, sent] = await Promise.all([
          push(newNumber(), { url: `${liar.url}/slow-${name}` }),
          plain(newNumber(), { url: `${liar.url}/slow-plain-${name}` }),
        ])
        told(pushed)
        told(sent)
        const tokens = liar.attempts(`slow-${name}`).map(({ body }) => body)
        expect([tokens.length, new Set(tokens).size]).toEqual([3, 1])
        const attempts = liar.attempts(`slow-plain-${name}`)
        const distinct = (header: string): number => new Set(attempts.map(({ headers }) => headers[header])).size
        expect([attempts.length, distinct('x-request-id'), distinct('x-nonce'), distinct('x-sign')]).toEqual([
          3, 1, 3, 3,
        ])
      }, 60_000)

      test('is used wrongly with exit code 2', async () => {
        expect((await client('push', {}, 'data.json')).code).toBe(2)
      }, 30_000)
    })
  })
})
