import { spawn } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { prepare } from '#cli/boot.ts'
import { PROJECT_ROOT } from '#compose.ts'
import { readConfig } from '#config.ts'
import { insertDataKey } from '#store/data-key-queries.ts'
import { openDb } from '#store/db.ts'
import { keyBinding } from '#trust/data-keys.ts'
import { openFileKeystore } from '#trust/keystore.ts'
import { withDatabase } from '../support/database.ts'
import { ndjson } from '../support/hub.ts'

withDatabase('dianqiao vault', (databaseUrl) => {
  const dataDir = mkdtempSync(join(tmpdir(), 'dianqiao-vault-cli-'))
  const config = readConfig({ DATA_DIR: dataDir, DATABASE_URL: databaseUrl }, false)

  beforeAll(async () => {
    await prepare(config, databaseUrl)
    const key = { retention: 'query', period: '2020-01-01' }
    const wrapped = await openFileKeystore(config.keystoreFile, false).wrap(Buffer.alloc(32), keyBinding(key))
    const db = openDb(databaseUrl, { max: 1 })
    await insertDataKey(db, { ...key, ...wrapped })
    await db.destroy()
  }, 60_000)
  afterAll(() => rmSync(dataDir, { recursive: true, force: true }))

  async function run(...args: string[]) {
    const child = spawn(process.execPath, [join(PROJECT_ROOT, 'src/main.ts'), 'vault', ...args], {
      env: { PATH: process.env['PATH'], DATA_DIR: dataDir, DATABASE_URL: databaseUrl },
    })
    const [stdout, stderr, status] = await Promise.all([
      text(child.stdout),
      text(child.stderr),
      new Promise<number | null>((resolve) => child.on('close', resolve)),
    ])
    return { status, lines: ndjson(stdout), stderr }
  }

  test('what is due is shown, only listed by a dry run, destroyed once and reported with its proof', {
    timeout: 120_000,
  }, async () => {
    const { lines } = await run('status')
    expect(lines.find(({ retention }) => retention === 'query')).toMatchObject({ days: 0, due: 1, destroyed: 0 })
    expect(lines.find(({ retention }) => retention === 'archive')).toMatchObject({ days: 'keep', due: 0 })
    const listed = [expect.objectContaining({ retention: 'query', period: '2020-01-01' })]
    for (const args of [['--dry-run'], []]) expect((await run('purge', ...args)).lines).toEqual(listed)
    expect((await run('purge')).lines).toEqual([])
    const reports = await run('reports')
    expect(reports.lines).toMatchObject([
      {
        data: { keys: [{ retention: 'query', period: '2020-01-01', unreadable: [] }] },
        token: expect.stringMatching(/^eyJ/),
      },
    ])
    expect(JSON.stringify(reports.lines[0])).not.toContain('wrapped')
  })

  test('a rotation tells the version and how many keys it wrapped; without a keystore the command fails with its code', {
    timeout: 60_000,
  }, async () => {
    const { lines, status } = await run('rotate')
    expect([status, lines]).toMatchObject([0, [{ version: 2 }]])
    expect((await run('rotate', '--rewrap-only', '--forget')).lines).toEqual([{ version: 2, rewrapped: 0 }])
    rmSync(config.keystoreFile)
    expect(await run('rotate')).toMatchObject({ status: 1, stderr: expect.stringContaining('vault.keystore_faulty') })
  })
})
