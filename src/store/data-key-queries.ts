import { sql } from 'kysely'
import { leastUuidv7 } from '#kernel/ids.ts'
import { type Db, sqlState } from './db.ts'
import { SEALED_COLUMNS } from './unsealed-queries.ts'

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

/** Keys of a class that sealed before a day and are not destroyed, oldest first. */
export async function keysBefore(db: Db, retention: string, period: string): Promise<DataKeyRow[]> {
  const { rows } = await sql<DataKeyRow>`
    SELECT id, retention, to_char(period, 'YYYY-MM-DD') AS period, wrapped, kek_version FROM data_key
    WHERE retention = ${retention} AND period < ${period}::date AND wrapped IS NOT NULL ORDER BY period`.execute(db)
  return rows
}

const HOUR_MS = 3_600_000
const DAY_MS = 24 * HOUR_MS

/**
 * Whether anything that was accepted or landed on a day is still to be delivered, or was settled after a time. The day
 * is taken an hour wider on both sides: a value may be sealed while its key's day ends.
 */
export async function isDayInUse(db: Db, period: string, settledAfter: Date): Promise<boolean> {
  const from = Date.parse(`${period}T00:00:00Z`) - HOUR_MS
  const to = from + DAY_MS + 2 * HOUR_MS
  const { rows } = await sql<{ used: boolean }>`
    SELECT EXISTS (
      SELECT FROM delivery
      WHERE exchange >= ${leastUuidv7(from)}::uuid AND exchange < ${leastUuidv7(to)}::uuid
        AND (settled_at IS NULL OR settled_at > ${settledAfter})) OR EXISTS (
      SELECT FROM inbox
      WHERE landed_at >= ${new Date(from)} AND landed_at < ${new Date(to)} AND state <> 'skipped'
        AND (finished_at IS NULL OR finished_at > ${settledAfter})) OR EXISTS (
      SELECT FROM ack_outbox
      WHERE created_at >= ${new Date(from)} AND created_at < ${new Date(to)} AND receipt IS NULL) AS used`.execute(db)
  return rows[0]?.used === true
}

/** Every column that holds sealed values. */
export const COUNTED_COLUMNS = Object.freeze({
  ...SEALED_COLUMNS,
  document: ['data'],
  plain_evidence: ['request'],
  file_chunk: ['sealed'],
}) satisfies Readonly<Record<string, readonly string[]>>
export type CountedTable = keyof typeof COUNTED_COLUMNS

const COUNT_WITHIN_MS = 5_000

/** How many values a key seals in a table; undefined when counting takes longer than five seconds. */
export async function countSealedUnder(db: Db, table: CountedTable, id: number): Promise<number | undefined> {
  const head = Buffer.alloc(5)
  head[0] = 1
  head.writeUInt32BE(id, 1)
  const counts = COUNTED_COLUMNS[table].map(
    (column) => sql`count(*) FILTER (WHERE substring(${sql.ref(column)} FROM 1 FOR 5) = ${head})`,
  )
  try {
    return await db.transaction().execute(async (tx) => {
      await sql`SET LOCAL statement_timeout = ${sql.lit(COUNT_WITHIN_MS)}`.execute(tx)
      const { rows } = await sql<{ n: number }>`
        SELECT (${sql.join(counts, sql` + `)})::float8 AS n FROM ${sql.table(table)}`.execute(tx)
      return rows[0]?.n ?? 0
    })
  } catch (error) {
    if (sqlState(error) === QUERY_CANCELED) return undefined
    throw error
  }
}

const QUERY_CANCELED = '57014'

/** Destroys a key. False when somebody else did so before. */
export async function destroyDataKey(
  db: Db,
  id: number,
  unreadable: Readonly<Record<string, number>>,
): Promise<boolean> {
  const { numAffectedRows } = await sql`
    UPDATE data_key SET wrapped = NULL, destroyed_at = now(), unreadable = ${JSON.stringify(unreadable)}
    WHERE id = ${id} AND wrapped IS NOT NULL`.execute(db)
  return Number(numAffectedRows ?? 0n) > 0
}

/** Writes the table anew: the old versions of its rows still hold the wrapped keys. */
export async function forgetDestroyedKeys(db: Db): Promise<void> {
  await sql`VACUUM (FULL) data_key`.execute(db)
}

export interface DestroyedKey {
  readonly id: number
  readonly retention: string
  readonly period: string
  readonly destroyed_at: Date
  readonly unreadable: Readonly<Record<string, number>>
}

/** Destroyed keys that no report lists yet, by id. */
export async function unreportedKeys(db: Db, limit: number): Promise<DestroyedKey[]> {
  const { rows } = await sql<DestroyedKey>`
    SELECT id, retention, to_char(period, 'YYYY-MM-DD') AS period, destroyed_at, unreadable FROM data_key
    WHERE destroyed_at IS NOT NULL AND report IS NULL ORDER BY id LIMIT ${limit}`.execute(db)
  return rows
}

export async function markReported(db: Db, ids: readonly number[], report: string): Promise<void> {
  await sql`UPDATE data_key SET report = ${report} WHERE id = ANY (${ids}::int[])`.execute(db)
}

/** Replaces the wrapping of a key, when it is still under the version that it was read with. */
export async function rewrapDataKey(
  db: Db,
  id: number,
  from: number,
  to: { readonly wrapped: Buffer; readonly kekVersion: number },
): Promise<void> {
  await sql`
    UPDATE data_key SET wrapped = ${to.wrapped}, kek_version = ${to.kekVersion}
    WHERE id = ${id} AND kek_version = ${from} AND wrapped IS NOT NULL`.execute(db)
}

export interface KeyClass {
  readonly retention: string
  readonly keys: number
  readonly oldest: string | null
  readonly newest: string | null
  readonly destroyed: number
  readonly kekVersions: number[]
}

/** What there is of each retention class. */
export async function keyClasses(db: Db): Promise<KeyClass[]> {
  const { rows } = await sql<KeyClass>`
    SELECT retention, count(wrapped)::int AS keys,
      to_char(min(period) FILTER (WHERE wrapped IS NOT NULL), 'YYYY-MM-DD') AS oldest,
      to_char(max(period) FILTER (WHERE wrapped IS NOT NULL), 'YYYY-MM-DD') AS newest,
      (count(*) - count(wrapped))::int AS destroyed,
      coalesce(array_agg(DISTINCT kek_version) FILTER (WHERE wrapped IS NOT NULL), '{}') AS "kekVersions"
    FROM data_key GROUP BY retention ORDER BY retention`.execute(db)
  return rows
}

/** Runs `work` while no other process does so on this database. */
export function withKeyLock<R>(db: Db, work: (db: Db) => Promise<R>): Promise<R> {
  return db.transaction().execute(async (tx) => {
    await sql`SELECT pg_advisory_xact_lock(${sql.lit(KEY_LOCK)})`.execute(tx)
    return work(tx)
  })
}

/** Any number that nothing else locks. */
const KEY_LOCK = 704_010
