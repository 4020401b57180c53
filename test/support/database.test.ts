import pg from 'pg'
import { expect, test } from 'vitest'
import { createDatabase, withDatabase } from './database.ts'

async function connect(url: string): Promise<pg.Client> {
  const client = new pg.Client({ connectionString: url, application_name: 'forgetful' })
  await client.connect()
  return client
}

withDatabase('the databases of tests', (url) => {
  test('a suite gets the migrated schema, and what it writes stays in its own database', async () => {
    const other = await createDatabase()
    for (const [database, tables] of [
      [url, 1],
      [other.url, 0],
    ] as const) {
      const client = await connect(database)
      if (database === url) await client.query('CREATE TABLE only_here ()')
      const { rows } = await client.query("SELECT FROM pg_tables WHERE tablename = 'only_here'")
      expect(rows).toHaveLength(tables)
      const { rows: migrations } = await client.query('SELECT FROM kysely_migration')
      expect(migrations.length).toBeGreaterThan(0)
      await client.end()
    }
    await other.drop()
  })

  test('a connection left open fails the drop and is named', async () => {
    const database = await createDatabase()
    const leak = await connect(database.url)
    await leak.query('SELECT 42')
    await expect(database.drop()).rejects.toThrow(/1 connections were left open:\nforgetful, idle: SELECT 42/)
    await leak.end()
    await database.drop()
    await expect(connect(database.url)).rejects.toMatchObject({ code: '3D000' })
  })
})
