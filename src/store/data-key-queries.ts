import { sql } from 'kysely'
import type { Db } from './db.ts'

export interface DataKeyRow {
  readonly id: number
  readonly retention: string
  /** The day that it seals, UTC, YYYY-MM-DD. */
  readonly period: string
  /** Null once it is destroyed. */
  readonly wrapped: Buffer | null
  readonly kek_version: number
}

/** Every key, or those that were made or destroyed within the last `withinMs`. */
export async function readDataKeys(db: Db, withinMs?: number): Promise<DataKeyRow[]> {
  const since = sql`now() - ${withinMs ?? 0}::float8 * interval '1 millisecond'`
  const { rows } = await sql<DataKeyRow>`
    SELECT id, retention, to_char(period, 'YYYY-MM-DD') AS period, wrapped, kek_version FROM data_key
    WHERE ${withinMs === undefined} OR created_at > ${since} OR destroyed_at > ${since}`.execute(db)
  return rows
}

/** Adds a key; of several processes that add one for the same class and day, one succeeds and all read it back. */
export async function insertDataKey(
  db: Db,
  key: { readonly retention: string; readonly period: string; readonly wrapped: Buffer; readonly kekVersion: number },
): Promise<void> {
  await sql`
    INSERT INTO data_key (retention, period, wrapped, kek_version)
    VALUES (${key.retention}, ${key.period}, ${key.wrapped}, ${key.kekVersion})
    ON CONFLICT DO NOTHING`.execute(db)
}
