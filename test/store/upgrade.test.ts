import { randomBytes, randomUUID } from 'node:crypto'
import { promises as fs, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { sql } from 'kysely'
import { FileMigrationProvider, Migrator } from 'kysely/migration'
import { afterAll, beforeAll, describe, expect, inject, test } from 'vitest'
import { PROJECT_ROOT } from '#compose.ts'
import { openConfiguredVault, prepareVault } from '#compose-vault.ts'
import { readConfig } from '#config.ts'
import { loadContracts } from '#contracts/load.ts'
import { systemClock } from '#kernel/clock.ts'
import { type Db, openDb } from '#store/db.ts'
import { migrate } from '#store/migrate.ts'
import { SEALED_COLUMNS } from '#store/unsealed-queries.ts'
import { onServer, urlOf } from '../support/server.ts'

const RELEASED = '0005_failed_deliveries'
const SECRET = 'eyJhbGciOiJFUzI1NiJ9.赛罕13900001111.x'
const postgres = inject('postgres')
const server = 'missing' in postgres ? undefined : postgres

describe.skipIf(server === undefined)('a database of the first release', () => {
  const name = `${server?.template}_${randomBytes(5).toString('hex')}`
  const serverUrl = server?.serverUrl ?? ''
  const url = urlOf(serverUrl, name)
  const dataDir = mkdtempSync(path.join(tmpdir(), 'dianqiao-upgrade-'))
  const config = readConfig({ DATA_DIR: dataDir, DATABASE_URL: url }, false)
  const contracts = loadContracts(PROJECT_ROOT)
  let db: Db

  beforeAll(async () => {
    await onServer(serverUrl, (client) => client.query(`CREATE DATABASE ${name}`))
    db = openDb(url, { max: 2 })
    const migrationFolder = path.join(PROJECT_ROOT, 'src/store/migrations')
    const provider = new FileMigrationProvider({ fs, path, migrationFolder, import: (file) => import(file) })
    const { error } = await new Migrator({ db, provider }).migrateTo(RELEASED)
    if (error !== undefined) throw error
    await fill(db)
  }, 60_000)

  afterAll(async () => {
    await db.destroy()
    await onServer(serverUrl, (client) => client.query(`DROP DATABASE ${name}`))
    rmSync(dataDir, { recursive: true, force: true })
  })

  const everyValue = async (): Promise<Buffer[]> => {
    const found: Buffer[] = []
    for (const [table, columns] of Object.entries(SEALED_COLUMNS)) {
      for (const column of columns) {
        const { rows } = await sql<{ value: Buffer }>`
          SELECT ${sql.ref(column)} AS value FROM ${sql.table(table)} WHERE ${sql.ref(column)} IS NOT NULL`.execute(db)
        expect(rows.length, `${table}.${column}`).toBeGreaterThan(0)
        found.push(...rows.map((row) => row.value))
      }
    }
    return found
  }

  test('is migrated with its rows, which are readable before and after they are sealed', async () => {
    await migrate(url)
    await prepareVault({ ...config, keystoreFile: path.join(dataDir, 'keys/keystore.json') }, url, () => contracts)
    const vault = await openConfiguredVault(config, db, systemClock, () => {})
    const values = await everyValue()
    for (const value of values) {
      expect(value[0]).toBe(1)
      expect(value.includes('赛罕')).toBe(false)
      expect(vault.open(value).toString()).toContain('赛罕13900001111')
    }
    await vault.close()
    const { rows } = await sql<{ retention: string }>`
      SELECT k.retention FROM exchange e
      JOIN data_key k ON k.id = ('x' || encode(substring(e.token FROM 2 FOR 4), 'hex'))::bit(32)::int
      ORDER BY e.contract`.execute(db)
    // Sealed as their contracts say: approvals are kept, an application is delivered.
    expect(rows.map((row) => row.retention)).toEqual(['archive', ...Array(600).fill('delivered')])
  }, 60_000)

  test('a second start finds nothing left to seal, and an attempt is append-only as before', async () => {
    expect((await sql`SELECT FROM unsealed`.execute(db)).rows).toHaveLength(0)
    await expect(sql`UPDATE inbox_attempt SET body = NULL`.execute(db)).rejects.toThrow(/append-only/)
  })
})

async function fill(db: Db): Promise<void> {
  const exchange = (contract: string) => sql`
    INSERT INTO exchange (id, iss, jti, contract, sub, origin, order_key, token, accepted_at)
    VALUES (${randomUUID()}, 'p', ${randomUUID()}, ${contract}, 's', 'party-signed', 'k', ${SECRET}, now())`
  await exchange('approval-result@1').execute(db)
  // More than one batch, and one too large to stand in the row.
  for (let n = 0; n < 599; n++) await exchange('power-application@1').execute(db)
  await sql`
    INSERT INTO exchange (id, iss, jti, contract, sub, origin, order_key, token, accepted_at)
    VALUES (${randomUUID()}, 'p', 'large', 'power-application@1', 's', 'party-signed', 'k',
      ${SECRET + 'x'.repeat(50_000)}, now())`.execute(db)
  await sql`
    INSERT INTO access_record VALUES ('p', 'j', 'c', 's', ${randomUUID()}, 'p', 'duty', 'i', 'o', 'g', '{}', '{}',
      ${SECRET}, 'd', now())`.execute(db)
  await sql`
    INSERT INTO inbox (consumer, event_id, source, order_key, contract, token, receipt)
    VALUES ('c', 'e', 's', 'k', 'x', ${SECRET}, 'r')`.execute(db)
  await sql`
    INSERT INTO inbox_attempt (consumer, event_id, round, attempt, class, latency_ms, body)
    VALUES ('c', 'e', 0, 1, 'retry', 1, ${SECRET}), ('c', 'e', 0, 2, 'retry', 1, NULL)`.execute(db)
  await sql`
    INSERT INTO dead_letter (consumer, stage, code, value)
    VALUES ('c', 'verify', 'x', ${Buffer.from(SECRET)}), ('c', 'send', 'x', NULL)`.execute(db)
  await sql`
    INSERT INTO ack_outbox (consumer, jti, data, token, expires_at)
    VALUES ('c', 'j', ${JSON.stringify({ outcomes: [SECRET] })}, ${SECRET}, now())`.execute(db)
  await sql`
    INSERT INTO bus_log VALUES ('t', 1, 'k', ${Buffer.from(SECRET)}, '{}', now())`.execute(db)
}
