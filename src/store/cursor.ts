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
  /** Only entries under these contracts are handed over; the cursor passes the others, without a call where there is nothing else. */
  readonly contracts?: readonly string[]
  /** Only how far it goes is handed over, no entry. */
  readonly onlyPositions?: boolean
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
  const stretch = await lookAhead(db, name, step)
  if (stretch === undefined) return 0
  if (!stretch.isWanted) return passOver(db, name, stretch)
  return db.transaction().execute((tx) => advanceCursorIn(tx, name, step, apply))
}

interface Stretch {
  readonly from: number
  readonly to: number
  readonly isWanted: boolean
}

/** What comes next, undefined when nothing does. Asked before the lock: a row lock writes, and an idle hub should not. */
async function lookAhead(db: Db, name: string, { limit, upTo, contracts }: Step): Promise<Stretch | undefined> {
  const stretch = sql`
    SELECT coalesce(c.pos, 0) AS "from", least(h.pos, ${upTo ?? null}::bigint, coalesce(c.pos, 0) + ${limit}::int) AS "to"
    FROM log_head h LEFT JOIN log_cursor c ON c.name = ${name}`
  const ask =
    contracts === undefined
      ? sql<Stretch>`/* prepared:look_ahead */
        SELECT s.from::float8 AS "from", s.to::float8 AS "to", true AS "isWanted"
        FROM (${stretch}) AS s WHERE s.to > s.from`
      : sql<Stretch>`/* prepared:look_ahead_for */
        SELECT s.from::float8 AS "from", s.to::float8 AS "to", EXISTS (
          SELECT FROM log l WHERE l.pos > s.from AND l.pos <= s.to
            AND (SELECT e.contract FROM exchange e WHERE e.id = l.exchange) = ANY (${contracts})) AS "isWanted"
        FROM (${stretch}) AS s WHERE s.to > s.from`
  const { rows } = await ask.execute(db)
  return rows[0]
}

/** Moves the cursor in one statement; not when another process has moved it meanwhile. */
async function passOver(db: Db, name: string, { from, to }: Stretch): Promise<number> {
  const { numAffectedRows } = await sql`/* prepared:pass_over */
    INSERT INTO log_cursor AS c (name, pos) VALUES (${name}, ${to})
    ON CONFLICT (name) DO UPDATE SET pos = EXCLUDED.pos, moved_at = now() WHERE c.pos = ${from}`.execute(db)
  return numAffectedRows === 0n ? 0 : to - from
}

/** The same step inside a transaction that the caller holds. */
export async function advanceCursorIn(
  tx: Tx,
  name: string,
  step: Step,
  apply: (tx: Tx, entries: readonly LogEntry[], from: number, to: number) => Promise<void>,
): Promise<number> {
  const locked = await lockCursor(tx, name)
  if (locked === undefined) return 0
  const { from, head } = locked
  const furthest = Math.min(from + step.limit, head, step.upTo ?? head)
  if (furthest <= from) return 0
  const to = step.maxBytes === undefined ? furthest : await fitting(tx, from, furthest, step.maxBytes, step.contracts)
  const entries = step.onlyPositions === true ? [] : await entriesBetween(tx, from, to, step.contracts)
  if (entries.length > 0 || step.onlyPositions === true) await apply(tx, entries, from, to)
  await sql`/* prepared:move_cursor */ UPDATE log_cursor SET pos = ${to}, moved_at = now() WHERE name = ${name}`.execute(
    tx,
  )
  return to - from
}

/** Waits for the cursor and sets it back to the start of the log. */
export async function rewindCursor(tx: Tx, name: string): Promise<void> {
  await sql`
    INSERT INTO log_cursor (name, pos) VALUES (${name}, 0) ON CONFLICT (name) DO UPDATE SET pos = 0`.execute(tx)
}

/** Locks the cursor for this transaction; undefined when another process holds it. */
async function lockCursor(tx: Tx, name: string): Promise<{ from: number; head: number } | undefined> {
  const lock = sql<{ from: number; head: number }>`/* prepared:lock_cursor */
    SELECT c.pos::float8 AS "from", h.pos::float8 AS head FROM log_cursor c CROSS JOIN log_head h
    WHERE c.name = ${name} FOR UPDATE OF c SKIP LOCKED`
  const [locked] = (await lock.execute(tx)).rows
  if (locked !== undefined) return locked
  await sql`INSERT INTO log_cursor (name, pos) VALUES (${name}, 0) ON CONFLICT DO NOTHING`.execute(tx)
  return (await lock.execute(tx)).rows[0]
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
