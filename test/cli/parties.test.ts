import { spawn } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { boot, prepare, type RunningHub } from '#cli/boot.ts'
import { PROJECT_ROOT } from '#compose.ts'
import { readConfig } from '#config.ts'
import type { JsonObject } from '#kernel/json.ts'
import { generateKeyPair } from '#trust/keys.ts'
import { withDatabase } from '../support/database.ts'
import { ndjson } from '../support/hub.ts'

withDatabase('dianqiao party', (databaseUrl) => {
  const dataDir = mkdtempSync(join(tmpdir(), 'dianqiao-party-'))
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
    return { status, lines: ndjson(stdout), stderr }
  }

  test('a party is added, gets a key, proves it in a conformance run, is suspended and resumed', async () => {
    const { privateJwk, publicJwk, kid } = generateKeyPair('Ed25519')
    writeFileSync(file('private.jwk'), JSON.stringify(privateJwk))
    writeFileSync(file('public.jwk'), JSON.stringify(publicJwk))
    writeFileSync(
      file('party.yaml'),
      `id: platform-new
name: {zh: 新平台, en: New platform}
aliases: [新平台（测试）]
level: league
divisions: ["150100"]
roles: [approval-platform]
channel: inbox
`,
    )
    expect((await run('add', file('party.yaml'))).status).toBe(0)
    expect(await run('add', file('party.yaml'))).toMatchObject({
      status: 1,
      stderr: expect.stringContaining('party.exists'),
    })
    expect((await run('key-add', 'platform-new', file('public.jwk'))).lines).toEqual([
      { party: 'platform-new', kid, state: 'pending' },
    ])
    const conform = ['conform', '--hub', String(hub.url), '--hub-id', 'dianqiao', '--party', 'platform-new']
    await expect.poll(() => hub.core.register.key(kid)?.state, { timeout: 10_000 }).toBe('pending')
    const conformance = await run(...conform, '--key', file('private.jwk'))
    expect([conformance.status, conformance.lines.filter(({ ok }) => ok !== true)]).toEqual([0, []])
    expect(conformance.lines).toHaveLength(8)

    expect((await run('suspend', 'platform-new', '--reason', 'agreement ended')).status).toBe(0)
    await expect.poll(() => hub.core.register.party('platform-new')?.status, { timeout: 5_000 }).toBe('suspended')
    expect((await run(...conform, '--key', file('private.jwk'))).status).toBe(1)
    expect((await run('resume', 'platform-new', '--reason', 'renewed')).status).toBe(0)
    expect((await run('acts', 'platform-new')).lines.map(({ act, reason }) => [act, reason])).toEqual([
      ['added', null],
      ['key added', null],
      ['key active', null],
      ['suspended', 'agreement ended'],
      ['active', 'renewed'],
    ])
    const listed = (await run('ls')).lines.find(({ party }) => party === 'platform-new')
    expect(listed).toMatchObject({ status: 'active', keys: [{ kid, state: 'active' }] })
  }, 60_000)

  test('a party is found by its id and by any of its names, however they are spaced, and nobody else by none', async () => {
    for (const name of ['platform-nmg', '内蒙古自治区政务服务平台', ' 蒙速 办 ']) {
      const found = await run('find', name)
      expect([found.status, found.lines]).toMatchObject([0, [{ party: 'platform-nmg', level: 'region' }]])
    }
    expect(await run('find', '无此单位')).toMatchObject({ status: 3, lines: [] })
  }, 30_000)

  test.each([
    ['a name that another party has', 'aliases: [蒙速办]', 'level: county', 'divisions: ["150429"]', 'party.exists'],
    ['a division wider than its level', 'aliases: []', 'level: county', 'divisions: ["150400"]', 'seed.invalid'],
    ['the region for a league', 'aliases: []', 'level: league', 'divisions: ["150000"]', 'seed.invalid'],
    ['a level that does not exist', 'aliases: []', 'level: town', 'divisions: ["150429"]', 'seed.invalid'],
  ])(
    '%s is refused',
    async (_name, ...lines) => {
      const code = lines.pop()
      const text = `id: platform-odd\nname: {zh: 奇, en: Odd}\nroles: [approval-platform]\nchannel: inbox\n${lines.join('\n')}\n`
      writeFileSync(file('odd.yaml'), text)
      expect(await run('add', file('odd.yaml'))).toMatchObject({
        status: 1,
        stderr: expect.stringContaining(String(code)),
      })
    },
    30_000,
  )

  test('limits are set and taken back', async () => {
    expect((await run('limit', 'platform-nmg', '--per-second', '2000')).status).toBe(0)
    await expect.poll(() => hub.core.register.party('platform-nmg')?.limits.perSecond, { timeout: 5_000 }).toBe(2_000)
    expect((await run('limit', 'platform-nmg')).status).toBe(0)
    await expect
      .poll(() => hub.core.register.party('platform-nmg')?.limits.perSecond, { timeout: 5_000 })
      .toBeUndefined()
  }, 30_000)

  test('a revoked key is told with what its party sent since then; a wrong word is usage, exit code 2', async () => {
    const { publicJwk, kid } = generateKeyPair('ES256')
    writeFileSync(file('other.jwk'), JSON.stringify(publicJwk))
    await run('key-add', 'platform-nmg', file('other.jwk'))
    const revoked = await run('key-revoke', kid, '--reason', 'lost', '--from', '2026-01-01T00:00:00Z')
    expect([revoked.status, revoked.lines]).toEqual([0, []])
    const { lines: parties } = await run('ls')
    expect(
      parties.flatMap(({ keys }) => keys as unknown as JsonObject[]).find((key) => key['kid'] === kid),
    ).toMatchObject({
      state: 'revoked',
      revoked_from: '2026-01-01T00:00:00.000Z',
    })
    expect((await run('key-retire', kid, '--reason', 'x')).stderr).toContain('key.refused')
    expect((await run('key-revoke', kid)).status).toBe(2)
    expect((await run('suspend', 'nobody', '--reason', 'x')).stderr).toContain('party.unknown')
  }, 60_000)
})
