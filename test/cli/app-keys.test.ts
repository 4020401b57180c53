import { spawn } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { sql } from 'kysely'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { boot, prepare, type RunningHub } from '#cli/boot.ts'
import { PROJECT_ROOT } from '#compose.ts'
import { readConfig } from '#config.ts'
import { newNumber, result } from '../gateway/messages.ts'
import { type PlainKey, signedHeaders } from '../gateway/plain-client.ts'
import { withDatabase } from '../support/database.ts'
import { ndjson } from '../support/hub.ts'

withDatabase('dianqiao party appkey', (databaseUrl) => {
  const dataDir = mkdtempSync(join(tmpdir(), 'dianqiao-appkey-'))
  const file = (name: string): string => join(dataDir, name)
  let hub: RunningHub
  beforeAll(async () => {
    const config = readConfig({ DATA_DIR: dataDir, DATABASE_URL: databaseUrl, PORT: '0', ROLES: 'gateway' }, false)
    await prepare(config, databaseUrl)
    hub = await boot(config, () => {})
  })
  afterAll(async () => {
    await hub.stop()
    rmSync(dataDir, { recursive: true, force: true })
  })

  async function run(...args: string[]) {
    const child = spawn(process.execPath, [join(PROJECT_ROOT, 'src/main.ts'), 'party', ...args], {
      env: { ...process.env, DATA_DIR: dataDir, DATABASE_URL: databaseUrl },
    })
    const [stdout, stderr, status] = await Promise.all([
      text(child.stdout),
      text(child.stderr),
      new Promise<number | null>((resolve) => child.on('close', resolve)),
    ])
    return { status, lines: ndjson(stdout), stdout, stderr }
  }
  const push = async (key: PlainKey): Promise<Response> => {
    const body = JSON.stringify(result(newNumber()).data)
    const headers = signedHeaders(key, { contract: 'approval-result@1', body })
    return fetch(`${hub.url}/v1/plain/approval-result@1`, { method: 'POST', headers, body })
  }

  test('an AppKey is issued, works within 5 s, shows its evidence, and ends when it is revoked', async () => {
    const added = await run(
      'appkey-add',
      'platform-ningcheng',
      '--network',
      '127.0.0.0/8',
      '--contract',
      'approval-result@1',
    )
    expect(added.status, added.stderr).toBe(0)
    const [{ appKey, secret } = {}] = added.lines
    const key: PlainKey = { id: String(appKey), secret: String(secret), method: 'HMAC-SHA256' }
    await expect.poll(async () => (await push(key)).status, { timeout: 5_000 }).toBe(202)
    const { exchange } = (await (await push(key)).json()) as { exchange: string }

    const listed = await run('appkey-ls')
    expect(listed.lines).toEqual([
      expect.objectContaining({
        appKey: key.id,
        party: 'platform-ningcheng',
        state: 'active',
        networks: ['127.0.0.0/8'],
      }),
    ])
    expect(listed.stdout).not.toContain(key.secret)
    const { rows } = await sql<{ row: string }>`SELECT app_key::text AS row FROM app_key`.execute(hub.core.db)
    expect(rows.map(({ row }) => row).join()).not.toContain(key.secret)

    const evidence = await run('appkey-evidence', exchange, '--out', file('request.http'))
    expect(evidence.lines, evidence.stderr).toEqual([
      expect.objectContaining({ exchange, appKey: key.id, party: 'platform-ningcheng', macVerifies: true }),
    ])
    expect(readFileSync(file('request.http'), 'utf8')).toMatch(
      /^POST \/v1\/plain\/approval-result@1 HTTP\/1.1\r\nx-app-key: ak-/,
    )
    expect(statSync(file('request.http')).mode & 0o077).toBe(0)
    expect((await run('appkey-evidence', '00000000-0000-0000-0000-000000000000')).stderr).toContain(
      'exchange.not_found',
    )

    expect((await run('appkey-revoke', key.id, '--reason', 'a test')).status).toBe(0)
    await expect.poll(async () => (await push(key)).status, { timeout: 5_000 }).toBe(401)
    expect((await run('appkey-revoke', key.id, '--reason', 'again')).stderr).toContain('key.refused')
    const acts = (await run('acts', 'platform-ningcheng')).lines
    expect(acts.map(({ act, kid, reason }) => [act, kid, reason])).toEqual([
      ['appkey added', key.id, null],
      ['appkey revoked', key.id, 'a test'],
    ])
  }, 60_000)

  test('a secret goes into a file that only its owner can read, and into no file that exists', async () => {
    const options = [
      'platform-chifeng',
      '--network',
      '10.20.0.0/16',
      '--method',
      'HMAC-SM3',
      '--secret-file',
      file('secret'),
    ]
    const added = await run('appkey-add', ...options)
    expect(added.lines).toEqual([expect.not.objectContaining({ secret: expect.anything() })])
    expect(readFileSync(file('secret'), 'utf8')).toMatch(/^[A-Za-z0-9_-]{43}\n$/)
    expect(statSync(file('secret')).mode & 0o077).toBe(0)
    const count = (await run('appkey-ls')).lines.length
    expect((await run('appkey-add', ...options)).status).toBe(2)
    expect((await run('appkey-ls')).lines).toHaveLength(count)
  }, 60_000)

  test.each([
    ['no network', 'platform-chifeng', [], 2],
    ['the whole internet', 'platform-chifeng', ['--network', '0.0.0.0/0'], 1],
    ['an unknown method', 'platform-chifeng', ['--network', '10.0.0.0/8', '--method', 'MD5'], 2],
  ])(
    '%s is refused',
    async (_name, party, options, status) => {
      const answer = await run('appkey-add', party, ...options)
      expect([answer.status, answer.stdout]).toEqual([status, ''])
    },
    30_000,
  )
})
