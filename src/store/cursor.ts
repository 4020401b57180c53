import { sql } from 'kysely'
import type { Db, Tx } from './db.ts'

/** One entry of the log as its readers see it. */
export interface LogEntry {
  readonly pos: number
  readonly exchange: string
  readonly iss: string
  readonly obo: string | null
  readonly contract: string
  readonly order_key: string
  /** Sealed. */
  readonly token: Buffer
  readonly accepted_at: Date
}

interface Step {
  readonly limit: number
  /** Only entries under these contracts are handed over; the cursor still passes the others. */
  readonly contracts?: readonly string[]
  /** Of the entries that are handed over; one is always read, however large it is. */
  readonly maxBytes?: number
  /** The furthest position this reader may go to (it follows another reader), default the head of the log. */
  readonly upTo?: number
}

/**
 * Moves the cursor `name` by one step: reads the next entries in commit order, applies them and stores the new
 * position in the same transaction. The row lock makes one process the reader at a time; a process that finds it
 * taken does nothing. Returns how many positions were passed.
 */
export async function advanceCursor(
  db: Db,
  name: string,
  step: Step,
  apply: (tx: Tx, entries: readonly LogEntry[], from: number, to: number) => Promise<void>,
): Promise<number> {
  if (!(await isBehind(db, name, step.upTo))) return 0
  return db.transaction().execute((tx) => advanceCursorIn(tx, name, step, apply))
}

/** Asked before the lock: a row lock writes to the log of the database, and an idle hub should write nothing. */
async function isBehind(db: Db, name: string, upTo: number | undefined): Promise<boolean> {
  const { rows } = await sql<{ behind: boolean }>`
    SELECT least(h.pos, ${upTo ?? null}::bigint) > coalesce(c.pos, 0) AS behind
    FROM log_head h LEFT JOIN log_cursor c ON c.name = ${name}`.execute(db)
  return rows[0]?.behind === true
}

/** The same step inside a transaction that the caller holds. */
export async function advanceCursorIn(
  tx: Tx,
  name: string,
  step: Step,
  apply: (tx: Tx, entries: readonly LogEntry[], from: number, to: number) => Promise<void>,
): Promise<number> {
  const from = await lockCursor(tx, name)
  if (from === undefined) return 0
  const head = await logHead(tx)
  const furthest = Math.min(from + step.limit, head, step.upTo ?? head)
  if (furthest <= from) return 0
  const to = step.maxBytes === undefined ? furthest : await fitting(tx, from, furthest, step.maxBytes, step.contracts)
  await apply(tx, await entriesBetween(tx, from, to, step.contracts), from, to)
  await sql`UPDATE log_cursor SET pos = ${to}, moved_at = now() WHERE name = ${name}`.execute(tx)
  return to - from
}

/** Waits for the cursor and sets it back to the start of the log. */
export async function rewindCursor(tx: Tx, name: string): Promise<void> {
  await sql`
    INSERT INTO log_cursor (name, pos) VALUES (${name}, 0) ON CONFLICT (name) DO UPDATE SET pos = 0`.execute(tx)
}

/** Locks the cursor for this transaction; undefined when another process holds it. */
async function lockCursor(tx: Tx, name: string): Promise<number | undefined> {
  await sql`INSERT INTO log_cursor (name, pos) VALUES (${name}, 0) ON CONFLICT DO NOTHING`.execute(tx)
  const { rows } = await sql<{ pos: number }>`
    SELECT pos::float8 AS pos FROM log_cursor WHERE name = ${name} FOR UPDATE SKIP LOCKED`.execute(tx)
  return rows[0]?.pos
}

export async function logHead(db: Db): Promise<number> {
  const { rows } = await sql<{ pos: number }>`SELECT pos::float8 AS pos FROM log_head`.execute(db)
  return rows[0]?.pos ?? 0
}

/** Where a reader stands, 0 before its first step. */
export async function cursorPosition(db: Db, name: string): Promise<number> {
  const { rows } = await sql<{ pos: number }>`
    SELECT pos::float8 AS pos FROM log_cursor WHERE name = ${name}`.execute(db)
  return rows[0]?.pos ?? 0
}

const wantedOf = (contracts: readonly string[] | undefined) =>
  contracts === undefined ? sql`` : sql`AND e.contract = ANY (${contracts})`

/** The last position whose tokens still fit. Their lengths are known without reading them. */
async function fitting(
  tx: Tx,
  from: number,
  to: number,
  maxBytes: number,
  contracts: readonly string[] | undefined,
): Promise<number> {
  const { rows } = await sql<{ pos: number }>`
    SELECT coalesce(min(t.pos) FILTER (WHERE t.total > ${maxBytes} AND t.rank > 1) - 1, ${to})::float8 AS pos
    FROM (SELECT l.pos, sum(octet_length(e.token)) OVER w AS total, row_number() OVER w AS rank
      FROM log l JOIN exchange e ON e.id = l.exchange
      WHERE l.pos > ${from} AND l.pos <= ${to} ${wantedOf(contracts)}
      WINDOW w AS (ORDER BY l.pos)) t`.execute(tx)
  return rows[0]?.pos ?? to
}

async function entriesBetween(tx: Tx, from: number, to: number, contracts?: readonly string[]): Promise<LogEntry[]> {
  const { rows } = await sql<LogEntry>`
    SELECT l.pos::float8 AS pos, l.exchange, e.iss, e.obo, e.contract, e.order_key, e.token, e.accepted_at
    FROM log l JOIN exchange e ON e.id = l.exchange
    WHERE l.pos > ${from} AND l.pos <= ${to} ${wantedOf(contracts)}
    ORDER BY l.pos`.execute(tx)
  return rows
}
