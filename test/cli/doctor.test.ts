import { execFile } from 'node:child_process'
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { sql } from 'kysely'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { prepare } from '#cli/boot.ts'
import type { Finding } from '#cli/doctor/finding.ts'
import { clockFindings } from '#cli/doctor/store.ts'
import { examine } from '#cli/doctor.ts'
import { openStore } from '#cli/with-store.ts'
import { PROJECT_ROOT } from '#compose.ts'
import { type Config, readConfig } from '#config.ts'
import { openPartyEncryption } from '#parties/key-files.ts'
import { addEncryptionKey } from '#parties/keys.ts'
import { openFileKeystore } from '#trust/keystore.ts'
import { newNumber, result } from '../gateway/messages.ts'
import { createDatabase, withDatabase } from '../support/database.ts'
import { openTestHub, type TestHub } from '../support/hub.ts'

/** The database of the tests runs without fsync, which the doctor rightly finds. */
const TESTED_WITHOUT_FSYNC = 'durability'

const wrong = (findings: readonly Finding[]): string[] => findings.filter(({ ok }) => !ok).map(({ name }) => name)

function found(findings: readonly Finding[], name: string): Finding {
  const finding = findings.find((one) => one.name === name)
  if (finding === undefined) throw new Error(`no finding ${name} among ${findings.map((one) => one.name).join(', ')}`)
  return finding
}

withDatabase('the doctor', (databaseUrl) => {
  let hub: TestHub
  let config: Config
  let healthy: readonly Finding[]
  const withEnv = (env: Record<string, string>): Config =>
    readConfig(
      {
        DATA_DIR: hub.core.config.dataDir,
        KEYSTORE_FILE: hub.core.config.keystoreFile,
        DATABASE_URL: databaseUrl,
        SANDBOX: 'on',
        ...env,
      },
      false,
    )
  beforeAll(async () => {
    hub = await openTestHub(databaseUrl)
    config = withEnv({})
    healthy = await examine(config)
  })
  afterAll(() => hub.close())

  test('of a sound hub nothing is wrong, and everything was looked at', () => {
    expect(wrong(healthy).filter((name) => name !== TESTED_WITHOUT_FSYNC)).toEqual([])
    const names = healthy.map(({ name }) => name)
    for (const name of ['configuration', 'contracts', 'hub key', 'disk', 'database', 'schema', 'clock', 'register']) {
      expect(names).toContain(name)
    }
    for (const name of [
      'vault',
      'encryption keys',
      'broker',
      'deliveries',
      'log readers',
      'acknowledgements',
      'peer state-grid-east-marketing',
    ]) {
      expect(names).toContain(name)
    }
  })

  test('every finding speaks both languages, and what is wrong has a way out', async () => {
    const findings = [...healthy, ...(await examine(withEnv({ HUB_KEYS_FILE: '/nowhere/hub.json' })))]
    for (const { name, ok, what, whatToDo } of findings) {
      expect(what.zh, name).toMatch(/\S/)
      expect(what.en, name).not.toMatch(/[\u4e00-\u9fff]/u)
      if (ok) expect(whatToDo).toBeNull()
      else
        expect([whatToDo?.zh, whatToDo?.en], name).toEqual([
          expect.stringMatching(/[\u4e00-\u9fff]/u),
          expect.any(String),
        ])
    }
  })

  test('a commit that a power cut may lose is found', async () => {
    const { db } = hub.core
    const { rows } = await sql<{ name: string }>`SELECT current_database() AS name`.execute(db)
    await sql.raw(`ALTER DATABASE ${rows[0]?.name} SET synchronous_commit = off`).execute(db)
    const finding = found(await examine(config), TESTED_WITHOUT_FSYNC)
    expect([finding.ok, finding.what.en]).toEqual([false, expect.stringContaining('synchronous_commit')])
  })

  test('a database that does not answer is found, with its password nowhere', async () => {
    const findings = await examine(withEnv({ DATABASE_URL: 'postgresql://user:s3cret@127.0.0.1:1/none' }))
    const finding = found(findings, 'database')
    expect([finding.ok, finding.what.en]).toEqual([false, expect.stringContaining('ECONNREFUSED')])
    expect(JSON.stringify(findings)).not.toContain('s3cret')
    expect(findings.map(({ name }) => name)).toContain('peer state-grid-east-marketing')
  })

  test('a database that was never migrated is found, and nothing is asked of tables it has not', async () => {
    const other = await createDatabase()
    try {
      const findings = await examine(withEnv({ DATABASE_URL: other.url }))
      expect(wrong(findings)).toContain('register')
      await sql`DELETE FROM kysely_migration WHERE name LIKE '0005%'`.execute(hub.core.db)
      const outdated = await examine(config)
      expect(found(outdated, 'schema').whatToDo?.en).toContain('dianqiao migrate')
      expect(outdated.map(({ name }) => name)).not.toContain('deliveries')
    } finally {
      await sql`INSERT INTO kysely_migration (name, timestamp) VALUES ('0005_failed_deliveries', 'now')`.execute(
        hub.core.db,
      )
      await other.drop()
    }
  })

  test('keys that are missing or belong to another database are found', async () => {
    const missing = await examine(withEnv({ HUB_KEYS_FILE: '/nowhere/hub.json', PARTY_KEYS_DIR: '/nowhere' }))
    expect(wrong(missing)).toContain('hub key')
    expect(wrong(missing)).toContain('key of connector-state-grid-east')
    const stranger = await createDatabase()
    const other = await openTestHub(stranger.url)
    try {
      const findings = await examine(withEnv({ HUB_KEYS_FILE: other.core.config.hubKeysFile }))
      expect(found(findings, 'register').what.en).toMatch(/not registered or not active: dianqiao \S{43}$/)
    } finally {
      await other.close()
      await stranger.drop()
    }
  })

  test('a keystore that is missing, or opens no data key of this database, is found', async () => {
    const other = join(hub.core.config.dataDir, 'other-keystore.json')
    openFileKeystore(other, true)
    for (const file of ['/nowhere/keystore.json', other]) {
      const finding = found(await examine(withEnv({ KEYSTORE_FILE: file })), 'vault')
      expect([finding.ok, finding.whatToDo?.en]).toEqual([false, expect.stringContaining('KEYSTORE_FILE')])
    }
  })

  test('who reads the bus without an encryption key is found', async () => {
    await sql`DELETE FROM party_encryption_key WHERE party = 'state-grid-east'`.execute(hub.core.db)
    const finding = found(await examine(config), 'encryption keys')
    expect([finding.ok, finding.what.en]).toEqual([false, 'no encryption key: state-grid-east'])
    const { current } = openPartyEncryption(config.partyKeysDir, 'state-grid-east', false)
    await addEncryptionKey(hub.core.db, 'state-grid-east', current.jwk, { by: 'test' })
  })

  test('a clock that is off is found in both directions', async () => {
    for (const [ahead, ok] of [
      [5_000, false],
      [-5_000, false],
      [1_000, true],
    ] as const) {
      const [finding] = await clockFindings(hub.core.db, () => Date.now() + ahead)
      expect(finding?.ok).toBe(ok)
    }
  })

  test('a peer is found by connecting, and nothing is sent to it', async () => {
    let received = 0
    const server = createServer((socket) => {
      socket
        .on('error', () => undefined)
        .on('data', (chunk) => {
          received += chunk.length
        })
    })
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    const address = server.address()
    const port = typeof address === 'object' ? address?.port : 0
    const peer = 'peer state-grid-east-marketing'
    const variable = 'ENDPOINT_STATE_GRID_EAST_MARKETING'
    try {
      const up = await examine(withEnv({ [variable]: `http://user:s3cret@127.0.0.1:${port}/base` }))
      expect(found(up, peer).ok).toBe(true)
      expect(JSON.stringify(up)).not.toContain('s3cret')
      expect(received).toBe(0)
    } finally {
      await new Promise((resolve) => server.close(resolve))
    }
    const down = found(await examine(withEnv({ [variable]: `http://127.0.0.1:${port}` })), peer)
    expect([down.ok, down.what.en]).toEqual([false, expect.stringContaining('ECONNREFUSED')])
    const absent = found(await examine(withEnv({ SANDBOX: 'off' })), peer)
    expect([absent.ok, absent.what.en]).toEqual([false, expect.stringContaining(variable)])
  })

  test('a metrics token that nobody could use is found', async () => {
    const file = join(hub.core.config.dataDir, 'metrics-token')
    writeFileSync(file, 'short')
    expect(wrong(await examine(withEnv({ METRICS_TOKEN_FILE: file })))).toContain('metrics token')
    writeFileSync(file, 'long enough to be a secret'.replaceAll(' ', '-'))
    expect(wrong(await examine(withEnv({ METRICS_TOKEN_FILE: file })))).not.toContain('metrics token')
  })

  test('what waits too long, failed or is blocked is found', async () => {
    const { db } = hub.core
    await hub.party('platform-chifeng').push(result(newNumber()))
    await hub.settle()
    await hub.party('platform-chifeng').push(result(newNumber()))
    expect(wrong(await examine(config)).filter((name) => name !== TESTED_WITHOUT_FSYNC)).toEqual([])
    await sql`UPDATE delivery SET accepted_at = now() - interval '2 hours'`.execute(db)
    await sql`UPDATE exchange SET accepted_at = now() - interval '2 hours'`.execute(db)
    await sql`INSERT INTO dead_letter (consumer, stage, code) VALUES ('c1', 'send', 'peer.rejected')`.execute(db)
    await sql`INSERT INTO ack_outbox (consumer, jti, data, token, expires_at, created_at)
      VALUES ('c1', 'j', '{}', 't', now(), now() - interval '1 hour')`.execute(db)
    await sql`INSERT INTO endpoint_breaker (consumer, state, cause, probe_in_ms)
      VALUES ('c1', 'disabled', 'peer.gone', 1)`.execute(db)
    const waiting = wrong(await examine(config))
    for (const name of ['deliveries', 'log readers', 'connectors', 'acknowledgements', 'breaker c1']) {
      expect(waiting).toContain(name)
    }
    expect(waiting).not.toContain('failed deliveries')
    await sql`UPDATE delivery SET state = 'expired', settled_at = now()`.execute(db)
    const failed = await examine(config)
    expect(found(failed, 'failed deliveries').what.en).toContain('approval-result@1')
    expect(wrong(failed)).not.toContain('deliveries')
  })
})

test('the command reaches the database of a running hub, and exit codes tell', { timeout: 60_000 }, async () => {
  const dataDir = mkdtempSync(join(tmpdir(), 'dianqiao-doctor-'))
  chmodSync(dataDir, 0o711)
  const run = (env: Record<string, string>) =>
    new Promise<{ code: number; findings: Finding[] }>((resolve) => {
      const args = [join(PROJECT_ROOT, 'src/main.ts'), 'doctor', '--json']
      execFile(process.execPath, args, { env: { ...process.env, DATA_DIR: dataDir, ...env } }, (error, stdout) => {
        const findings = stdout
          .trim()
          .split('\n')
          .map((line) => JSON.parse(line) as Finding)
        resolve({ code: typeof error?.code === 'number' ? error.code : 0, findings })
      })
    })
  try {
    const before = await run({})
    expect([before.code, found(before.findings, 'database').ok]).toEqual([1, false])
    const config = readConfig({ DATA_DIR: dataDir }, false)
    const store = await openStore(config, () => undefined)
    try {
      await prepare(config, store.url)
      const during = await run({})
      expect([during.code, wrong(during.findings)]).toEqual([0, []])
    } finally {
      await store.stop()
    }
    const after = await run({})
    expect([after.code, wrong(after.findings)]).toEqual([0, []])
    const faulty = await run({ PORT: 'no-port' })
    expect([faulty.code, found(faulty.findings, 'configuration').what.en]).toEqual([
      1,
      expect.stringContaining('/PORT'),
    ])
  } finally {
    rmSync(dataDir, { recursive: true, force: true })
  }
})
