import { sql } from 'kysely'
import type { Db } from './db.ts'

export interface BusRow {
  readonly pos: string
  readonly key: string
  readonly value: Buffer
  readonly headers: Record<string, string>
  readonly at: Date
}

export interface NewBusRow {
  readonly key: string
  readonly value: Buffer
  readonly headers: Readonly<Record<string, string>>
}

/**
 * Appends rows to a topic in one statement. The head row's lock is held for this statement and its commit only,
 * and it makes the numbering gap-free and equal to the commit order: a reader by position never skips a row that
 * commits late, as it would behind a sequence.
 */
export async function appendToTopic(db: Db, topic: string, rows: readonly NewBusRow[]): Promise<void> {
  await sql`
    WITH head AS (
      INSERT INTO bus_head AS h (topic, pos) VALUES (${topic}, ${rows.length})
      ON CONFLICT (topic) DO UPDATE SET pos = h.pos + EXCLUDED.pos
      RETURNING pos)
    INSERT INTO bus_log (topic, pos, key, value, headers, at)
    SELECT ${topic}, head.pos - ${rows.length} + m.n, m.key, m.value, m.headers::jsonb, clock_timestamp()
    FROM head, unnest(${rows.map((row) => row.key)}::text[], ${rows.map((row) => row.value)}::bytea[],
                      ${rows.map((row) => JSON.stringify(row.headers))}::text[])
      WITH ORDINALITY AS m (key, value, headers, n)`.execute(db)
}

export async function joinGroup(db: Db, topic: string, group: string): Promise<void> {
  await sql`INSERT INTO bus_group (topic, name, committed) VALUES (${topic}, ${group}, 0)
            ON CONFLICT DO NOTHING`.execute(db)
}

/** The next rows behind the group's committed position, and that position. */
export async function readTopic(
  db: Db,
  topic: string,
  group: string,
  limit: number,
): Promise<{ committed: string; rows: readonly BusRow[] }> {
  const committed = (await committedPosition(db, topic, group)) ?? '0'
  const { rows } = await sql<BusRow>`
    SELECT pos, key, value, headers, at FROM bus_log
    WHERE topic = ${topic} AND pos > ${committed} ORDER BY pos LIMIT ${limit}`.execute(db)
  return { committed, rows }
}

async function committedPosition(db: Db, topic: string, group: string): Promise<string | undefined> {
  const { rows } = await sql<{ committed: string }>`
    SELECT committed FROM bus_group WHERE topic = ${topic} AND name = ${group}`.execute(db)
  return rows[0]?.committed
}

/** Moves the group on, by compare-and-set: a member that read the same rows and came second changes nothing. */
export async function commitPosition(db: Db, topic: string, group: string, from: string, to: string): Promise<void> {
  await sql`
    UPDATE bus_group SET committed = ${to}
    WHERE topic = ${topic} AND name = ${group} AND committed = ${from}`.execute(db)
}

export async function topicLag(db: Db, topic: string, group: string): Promise<number> {
  const { rows } = await sql<{ lag: number }>`
    SELECT (h.pos - coalesce(g.committed, 0))::float8 AS lag
    FROM bus_head h LEFT JOIN bus_group g ON g.topic = h.topic AND g.name = ${group}
    WHERE h.topic = ${topic}`.execute(db)
  return rows[0]?.lag ?? 0
}

/**
 * Deletes at most `limit` rows that are older than `olderThanMs` and that every group of their topic has passed.
 * Rows of a topic without any group stay: their reader has yet to come. Returns how many went.
 */
export async function trimTopics(db: Db, olderThanMs: number, limit: number): Promise<number> {
  const { numAffectedRows } = await sql`
    DELETE FROM bus_log WHERE (topic, pos) IN (
      SELECT l.topic, l.pos
      FROM (SELECT topic, min(committed) AS passed FROM bus_group GROUP BY topic) g
      JOIN bus_log l ON l.topic = g.topic AND l.pos <= g.passed
      WHERE l.at < now() - ${olderThanMs}::float8 * interval '1 millisecond'
      LIMIT ${limit})`.execute(db)
  return Number(numAffectedRows ?? 0n)
}
