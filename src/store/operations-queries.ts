import { sql } from 'kysely'
import type { Db, Tx } from './db.ts'

/** How many of a kind, and how old the oldest of them is, in seconds. */
interface Amount {
  readonly count: number
  readonly oldestSeconds: number
}

/** What an operator watches, read from the tables of one database. No personal data: ids, contracts and states. */
export interface Backlog {
  /** Deliveries without an outcome. */
  readonly open: readonly (Amount & { readonly contract: string; readonly recipient: string; readonly state: string })[]
  /** Deliveries that died or expired within the last 24 hours. */
  readonly failed: readonly {
    readonly contract: string
    readonly recipient: string
    readonly state: string
    readonly count: number
  }[]
  /** How far each reader of the log is behind its head, in positions, and since when it could have been nearer. */
  readonly readers: readonly { readonly reader: string; readonly positions: number; readonly seconds: number }[]
  readonly inbox: readonly (Amount & { readonly consumer: string; readonly state: string })[]
  /** Order keys behind a dead or parked delivery. */
  readonly blockedKeys: readonly { readonly consumer: string; readonly count: number }[]
  /** Dead letters that nobody has decided about. */
  readonly deadLetters: readonly (Amount & { readonly consumer: string; readonly stage: string })[]
  /** Acknowledgements without a receipt. */
  readonly ackOutbox: readonly (Amount & { readonly consumer: string })[]
  readonly breakers: readonly { readonly consumer: string; readonly state: string; readonly cause: string | null }[]
}

const TIMEOUT_MS = 5_000

/**
 * Reads the backlog in one read-only transaction, by indexes that hold only what is open or failed lately: its cost
 * follows the backlog, not the years. `readers` names the cursors to judge. Rejects after 5 s for one statement.
 */
export function readBacklog(db: Db, readers: readonly string[]): Promise<Backlog> {
  return db
    .transaction()
    .setAccessMode('read only')
    .execute(async (tx) => {
      await sql`SELECT set_config('statement_timeout', ${String(TIMEOUT_MS)}, true)`.execute(tx)
      return {
        open: await openDeliveries(tx),
        failed: await failedDeliveries(tx),
        readers: await readerLags(tx, readers),
        inbox: await openInbox(tx),
        blockedKeys: await blockedKeys(tx),
        deadLetters: await openLetters(tx),
        ackOutbox: await unsentAcks(tx),
        breakers: await breakers(tx),
      }
    })
}

async function openDeliveries(tx: Tx): Promise<Backlog['open']> {
  const { rows } = await sql<Backlog['open'][number]>`
    SELECT e.contract, coalesce(d.recipient, '') AS recipient, d.state, count(*)::float8 AS count,
      greatest(0, extract(epoch FROM now() - min(d.accepted_at)))::float8 AS "oldestSeconds"
    FROM delivery d JOIN exchange e ON e.id = d.exchange
    WHERE d.state IN ('unrouted', 'accepted', 'published', 'delivering')
    GROUP BY e.contract, d.recipient, d.state`.execute(tx)
  return rows
}

async function failedDeliveries(tx: Tx): Promise<Backlog['failed']> {
  const { rows } = await sql<Backlog['failed'][number]>`
    SELECT e.contract, coalesce(d.recipient, '') AS recipient, d.state, count(*)::float8 AS count
    FROM delivery d JOIN exchange e ON e.id = d.exchange
    WHERE d.state IN ('dead', 'expired') AND d.settled_at > now() - interval '24 hours'
    GROUP BY e.contract, d.recipient, d.state`.execute(tx)
  return rows
}

async function readerLags(tx: Tx, readers: readonly string[]): Promise<Backlog['readers']> {
  const { rows } = await sql<Backlog['readers'][number]>`
    SELECT r.name AS reader, greatest(0, h.pos - coalesce(c.pos, 0))::float8 AS positions,
      coalesce((
        SELECT greatest(0, extract(epoch FROM now() - e.accepted_at)) FROM log l JOIN exchange e ON e.id = l.exchange
        WHERE l.pos = coalesce(c.pos, 0) + 1), 0)::float8 AS seconds
    FROM unnest(${readers}::text[]) AS r (name) CROSS JOIN log_head h LEFT JOIN log_cursor c ON c.name = r.name
    ORDER BY r.name`.execute(tx)
  return rows
}

/** Two statements' worth: those that move by themselves stand in the index `inbox_open`, the parked block a lane. */
async function openInbox(tx: Tx): Promise<Backlog['inbox']> {
  const { rows } = await sql<Backlog['inbox'][number]>`
    SELECT consumer, state, count(*)::float8 AS count,
      greatest(0, extract(epoch FROM now() - min(landed_at)))::float8 AS "oldestSeconds"
    FROM inbox WHERE state IN ('landed', 'retrying', 'confirming')
    GROUP BY consumer, state
    UNION ALL
    SELECT i.consumer, i.state, count(*)::float8, greatest(0, extract(epoch FROM now() - min(i.landed_at)))::float8
    FROM inbox_lane l JOIN inbox i ON i.consumer = l.consumer AND i.event_id = l.blocked_by
    WHERE l.blocked_by IS NOT NULL AND i.state = 'parked'
    GROUP BY i.consumer, i.state`.execute(tx)
  return rows
}

async function blockedKeys(tx: Tx): Promise<Backlog['blockedKeys']> {
  const { rows } = await sql<Backlog['blockedKeys'][number]>`
    SELECT consumer, count(*)::float8 AS count FROM inbox_lane
    WHERE blocked_by IS NOT NULL GROUP BY consumer`.execute(tx)
  return rows
}

async function openLetters(tx: Tx): Promise<Backlog['deadLetters']> {
  const { rows } = await sql<Backlog['deadLetters'][number]>`
    SELECT consumer, stage, count(*)::float8 AS count,
      greatest(0, extract(epoch FROM now() - min(at)))::float8 AS "oldestSeconds"
    FROM dead_letter WHERE resolution IS NULL GROUP BY consumer, stage`.execute(tx)
  return rows
}

async function unsentAcks(tx: Tx): Promise<Backlog['ackOutbox']> {
  const { rows } = await sql<Backlog['ackOutbox'][number]>`
    SELECT consumer, count(*)::float8 AS count,
      greatest(0, extract(epoch FROM now() - min(created_at)))::float8 AS "oldestSeconds"
    FROM ack_outbox WHERE next_at IS NOT NULL GROUP BY consumer`.execute(tx)
  return rows
}

async function breakers(tx: Tx): Promise<Backlog['breakers']> {
  const { rows } = await sql<Backlog['breakers'][number]>`
    SELECT consumer, state, cause FROM endpoint_breaker ORDER BY consumer`.execute(tx)
  return rows
}

/** What decides whether a commit outlives a power cut, and the server's version, e.g. 180004. */
export interface ServerSettings {
  readonly version: number
  readonly fsync: string
  readonly synchronousCommit: string
  readonly fullPageWrites: string
}

export async function serverSettings(db: Db): Promise<ServerSettings> {
  const { rows } = await sql<ServerSettings>`
    SELECT current_setting('server_version_num')::int AS version, current_setting('fsync') AS fsync,
      current_setting('synchronous_commit') AS "synchronousCommit",
      current_setting('full_page_writes') AS "fullPageWrites"`.execute(db)
  return rows[0] ?? { version: 0, fsync: '', synchronousCommit: '', fullPageWrites: '' }
}
