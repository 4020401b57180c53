import { randomUUID } from 'node:crypto'
import { sql } from 'kysely'
import type { Db, Tx } from './db.ts'

/** Plain bytes of every chunk but the last of a file. */
export const CHUNK_BYTES = 262_144

/** A file as its uploader has it at the hub. */
export interface StoredFile {
  readonly id: string
  readonly state: 'uploading' | 'complete' | 'purged'
  readonly bytes: number
  readonly media_type: string
  /** Bytes that are durable: whole chunks while it is uploading. */
  readonly stored: number
  /** Who may append: renewed with each upload request. */
  readonly writer: string
}

const COLUMNS = sql.raw('id, state, bytes::float8 AS bytes, media_type, stored::float8 AS stored, writer')

export async function findOwnFile(db: Db, owner: string, digest: string): Promise<StoredFile | undefined> {
  const { rows } = await sql<StoredFile>`
    SELECT ${COLUMNS} FROM file WHERE owner = ${owner} AND digest = ${digest}`.execute(db)
  return rows[0]
}

/** By an exchange since it is whole: a copy that lapsed before it was uploaded again says nothing about it. */
const IS_NAMED = sql`EXISTS (SELECT FROM file_naming n WHERE n.file = f.id AND n.expires_at > f.moved_at)`

export interface NewFile {
  readonly owner: string
  readonly digest: string
  readonly bytes: number
  readonly mediaType: string
}

/**
 * An upload from its first byte: what was stored of it before is discarded, a complete file is left as it is.
 * `over-quota`: what the owner has unfinished or unnamed would exceed `quotaBytes`; uploads of one owner begin one
 * after the other, so that together they cannot either.
 */
export function beginUpload(db: Db, file: NewFile, quotaBytes: number): Promise<StoredFile | 'over-quota'> {
  return db.transaction().execute(async (tx) => {
    await sql`SELECT pg_advisory_xact_lock(hashtextextended(${`file ${file.owner}`}, 0))`.execute(tx)
    const found = await findOwnFile(tx, file.owner, file.digest)
    if (found?.state === 'complete') return found
    const { rows: used } = await sql<{ bytes: number }>`
      SELECT coalesce(sum(f.bytes), 0)::float8 AS bytes FROM file f
      WHERE f.owner = ${file.owner} AND f.digest <> ${file.digest} AND f.state <> 'purged'
        AND (f.state = 'uploading' OR NOT ${IS_NAMED})`.execute(tx)
    if ((used[0]?.bytes ?? 0) + file.bytes > quotaBytes) return 'over-quota'
    const { rows } = await sql<StoredFile>`
      INSERT INTO file (digest, owner, bytes, media_type, state, writer)
      VALUES (${file.digest}, ${file.owner}, ${file.bytes}, ${file.mediaType}, 'uploading', ${randomUUID()})
      ON CONFLICT (digest, owner) DO UPDATE SET bytes = excluded.bytes, media_type = excluded.media_type,
        state = 'uploading', stored = 0, writer = excluded.writer, moved_at = now()
      RETURNING ${COLUMNS}`.execute(tx)
    const [begun] = rows as [StoredFile]
    // Only now: until its row was locked, an earlier writer could still append.
    if (found !== undefined) await sql`DELETE FROM file_chunk WHERE file = ${begun.id}`.execute(tx)
    return begun
  })
}

/** Makes the caller the only writer of an unfinished upload that has exactly so much; undefined when there is none. */
export async function resumeUpload(db: Db, file: NewFile, at: number): Promise<StoredFile | undefined> {
  const { rows } = await sql<StoredFile>`
    UPDATE file SET writer = ${randomUUID()}, moved_at = now()
    WHERE owner = ${file.owner} AND digest = ${file.digest} AND state = 'uploading'
      AND stored = ${at} AND bytes = ${file.bytes} AND media_type = ${file.mediaType}
    RETURNING ${COLUMNS}`.execute(db)
  return rows[0]
}

/** Stores the next whole chunk; false when another request has taken the upload over. */
export async function appendChunk(db: Db, upload: StoredFile, at: number, sealed: Buffer): Promise<boolean> {
  const { rows } = await sql`
    WITH moved AS (
      UPDATE file SET stored = stored + ${CHUNK_BYTES}::bigint, moved_at = now()
      WHERE id = ${upload.id} AND state = 'uploading' AND writer = ${upload.writer} AND stored = ${at}
      RETURNING id)
    INSERT INTO file_chunk (file, n, sealed)
    SELECT id, ${at / CHUNK_BYTES}::int, ${sealed} FROM moved RETURNING n`.execute(db)
  return rows.length > 0
}

/** Stores the last chunk and completes the file, at once; false when another request has taken the upload over. */
export async function completeUpload(db: Db, upload: StoredFile, at: number, sealed: Buffer): Promise<boolean> {
  const { rows } = await sql`
    WITH moved AS (
      UPDATE file SET stored = bytes, state = 'complete', moved_at = now()
      WHERE id = ${upload.id} AND state = 'uploading' AND writer = ${upload.writer} AND stored = ${at}
      RETURNING id)
    INSERT INTO file_chunk (file, n, sealed)
    SELECT id, ${at / CHUNK_BYTES}::int, ${sealed} FROM moved RETURNING n`.execute(db)
  return rows.length > 0
}

export async function readChunk(db: Db, file: string, n: number): Promise<Buffer | undefined> {
  const { rows } = await sql<{ sealed: Buffer }>`
    SELECT sealed FROM file_chunk WHERE file = ${file} AND n = ${n}`.execute(db)
  return rows[0]?.sealed
}

/** Forgets an upload whose bytes are not what they were said to be, unless another request has taken it over. */
export function discardUpload(db: Db, { id, writer }: StoredFile): Promise<void> {
  return db.transaction().execute(async (tx) => {
    const { rows } = await sql<{ id: string }>`
      SELECT id FROM file WHERE id = ${id} AND state = 'uploading' AND writer = ${writer} FOR UPDATE`.execute(tx)
    await drop(
      tx,
      rows.map((row) => row.id),
    )
  })
}

const UNNAMED_DAYS = 7
/** Chunks go with their file: a step stays well below the statement's time-out. */
const PURGED_PER_STEP = 8

/**
 * Removes files whose last copy has expired, and those that nobody finished or named within 7 days; the number of
 * them. Locked first and judged by a second statement, which sees what named them meanwhile.
 */
export function purgeFiles(db: Db): Promise<number> {
  return db.transaction().execute(async (tx) => {
    const { rows: candidates } = await sql<{ id: string }>`
      SELECT f.id FROM file f WHERE ${PURGEABLE} LIMIT ${PURGED_PER_STEP} FOR UPDATE SKIP LOCKED`.execute(tx)
    const ids = candidates.map(({ id }) => id)
    if (ids.length === 0) return 0
    const { rows } = await sql<{ id: string }>`
      SELECT f.id FROM file f WHERE f.id = ANY (${ids}) AND ${PURGEABLE}`.execute(tx)
    await drop(
      tx,
      rows.map(({ id }) => id),
    )
    return rows.length
  })
}

const PURGEABLE = sql`f.state <> 'purged'
  AND NOT EXISTS (SELECT FROM file_naming n WHERE n.file = f.id AND n.expires_at > now())
  AND (f.moved_at < now() - make_interval(days => ${UNNAMED_DAYS})
    OR f.state = 'complete' AND ${IS_NAMED})`

/** The bytes go; the row stays where an exchange named it, so that a fetch can be told that the copy has lapsed. */
async function drop(tx: Tx, ids: readonly string[]): Promise<void> {
  await sql`DELETE FROM file_chunk WHERE file = ANY (${ids})`.execute(tx)
  await sql`UPDATE file SET state = 'purged', stored = 0, writer = gen_random_uuid() WHERE id = ANY (${ids})`.execute(
    tx,
  )
  await sql`
    DELETE FROM file f WHERE f.id = ANY (${ids})
      AND NOT EXISTS (SELECT FROM file_naming n WHERE n.file = f.id)`.execute(tx)
}

/** What the files take, by state; what was purged takes nothing. */
export interface FileLoad {
  readonly state: string
  readonly count: number
  readonly bytes: number
}

export async function fileLoad(db: Db): Promise<FileLoad[]> {
  const { rows } = await sql<FileLoad>`
    SELECT state, count(*)::float8 AS count, sum(stored)::float8 AS bytes
    FROM file WHERE state <> 'purged' GROUP BY state`.execute(db)
  return rows
}

/** A file with who uploaded it, how far it is, and until when its last copy is in force (null: nobody named it). */
export interface ListedFile {
  readonly digest: string
  readonly owner: string
  readonly mediaType: string
  readonly state: string
  readonly bytes: number
  readonly stored: number
  readonly movedAt: Date
  readonly namedUntil: Date | null
}

const LISTED = 1_000

/** The files of one party, or of all, what moved last first; at most 1,000. */
export async function listFiles(db: Db, owner: string | undefined): Promise<ListedFile[]> {
  const { rows } = await sql<ListedFile>`
    SELECT f.digest, f.owner, f.media_type AS "mediaType", f.state, f.bytes::float8 AS bytes, f.stored::float8 AS stored,
      f.moved_at AS "movedAt", (SELECT max(n.expires_at) FROM file_naming n WHERE n.file = f.id) AS "namedUntil"
    FROM file f WHERE ${owner ?? null}::text IS NULL OR f.owner = ${owner ?? null}
    ORDER BY f.moved_at DESC LIMIT ${LISTED}`.execute(db)
  return rows
}
