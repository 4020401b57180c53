import { randomUUID } from 'node:crypto'
import { sql } from 'kysely'
import { expect, test } from 'vitest'
import { openDb } from '#store/db.ts'
import { up } from '#store/migrations/0008_document_changes.ts'
import { withDatabase } from '../support/database.ts'

const STEM = '1.2.156.3005.2.11100000MB0143028R001.1115000001150T050D.20260000000000001001'

withDatabase('documents of an older hub', (databaseUrl) => {
  test('become one through all their versions, the winner among them, and others stay as they are', async () => {
    const db = openDb(databaseUrl, { max: 1 })
    try {
      for (const statement of [
        'DROP FUNCTION document_changed() CASCADE',
        'DROP TABLE document_notice, document_change',
        'DROP INDEX access_by_document',
      ]) {
        await sql.raw(statement).execute(db)
      }
      for (const [identifier, version, status] of [
        [`${STEM}.001.G`, '001', 'ACTIVE'],
        [`${STEM}.003.X`, '003', 'CANCELLED'],
        [`${STEM}.002.K`, '002', 'SUSPENDED'],
        ['CF-FC-1998-000123', '001', 'ACTIVE'],
      ]) {
        await sql`
          INSERT INTO document (contract, identifier, version, status, status_at, holder_keys, exchange)
          VALUES ('a@1', ${identifier}, ${version}, ${status}, now(), '{}', ${randomUUID()})`.execute(db)
      }
      await up(db)
      const { rows } = await sql`SELECT identifier, version, status FROM document ORDER BY identifier`.execute(db)
      expect(rows).toEqual([
        { identifier: STEM, version: '003', status: 'CANCELLED' },
        { identifier: 'CF-FC-1998-000123', version: '001', status: 'ACTIVE' },
      ])
      const { rows: changes } = await sql`SELECT FROM document_change`.execute(db)
      expect(changes).toEqual([])
    } finally {
      await db.destroy()
    }
  })
})
