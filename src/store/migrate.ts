import { promises as fs } from 'node:fs'
import path from 'node:path'
import { FileMigrationProvider, Migrator } from 'kysely/migration'
import { HubError } from '#kernel/errors.ts'
import { type Db, isStoreOutage, openDb, WHOLE_TABLES } from './db.ts'

function migrator(db: Db): Migrator {
  return new Migrator({
    db,
    provider: new FileMigrationProvider({
      fs,
      path,
      migrationFolder: path.join(import.meta.dirname, 'migrations'),
      import: (file) => import(file),
    }),
  })
}

/** Brings the database to this program's schema. Safe to run from several processes at once. */
export async function migrate(databaseUrl: string): Promise<void> {
  const db = openDb(databaseUrl, WHOLE_TABLES)
  try {
    const { error } = await migrator(db).migrateToLatest()
    if (error !== undefined)
      throw new HubError(isStoreOutage(error) ? 'store.unavailable' : 'hub.internal', { cause: error })
  } finally {
    await db.destroy()
  }
}

/** Throws `store.schema_outdated` when migrations are missing: a role never starts on a schema it does not know. */
export async function requireCurrentSchema(db: Db): Promise<void> {
  const pending = (await migrator(db).getMigrations()).filter((migration) => migration.executedAt === undefined)
  if (pending.length > 0) {
    const names = pending.map((migration) => migration.name).join(', ')
    throw new HubError('store.schema_outdated', {
      detail: { zh: `尚未执行：${names}`, en: `not yet applied: ${names}` },
    })
  }
}
