import { sql } from 'kysely'
import type { Db, Tx } from './db.ts'

export interface LandingRow {
  readonly eventId: string
  readonly source: string
  readonly orderKey: string
  readonly contract: string
  /** Sealed. */
  readonly token: Buffer
  readonly receipt: string
  readonly deliverBy: string | undefined
}

/**
 * Puts deliveries into the inbox in the order given and opens the lanes of their keys. An event that is there
 * already changes nothing, except that the acknowledgement of a finished one is sent again: the hub would not
 * have repeated the delivery had it seen the first.
 */
export async function landRows(tx: Tx, consumer: string, rows: readonly LandingRow[]): Promise<void> {
  const landed = await sql<{ event_id: string; order_key: string }>`/* prepared:land_rows */
    INSERT INTO inbox (consumer, event_id, source, order_key, contract, token, receipt, deliver_by)
    SELECT ${consumer}, r.* FROM unnest(
      ${rows.map((row) => row.eventId)}::text[], ${rows.map((row) => row.source)}::text[],
      ${rows.map((row) => row.orderKey)}::text[], ${rows.map((row) => row.contract)}::text[],
      ${rows.map((row) => row.token)}::bytea[], ${rows.map((row) => row.receipt)}::text[],
      ${rows.map((row) => row.deliverBy ?? null)}::timestamptz[]) AS r
    ON CONFLICT (consumer, event_id) DO NOTHING
    RETURNING event_id, order_key`.execute(tx)
  await openLanes(
    tx,
    consumer,
    landed.rows.map((row) => row.order_key),
  )
  if (landed.rows.length === rows.length) return
  const fresh = new Set(landed.rows.map((row) => row.event_id))
  const repeated = rows.map((row) => row.eventId).filter((eventId) => !fresh.has(eventId))
  await sql`
    UPDATE ack_outbox SET next_at = now() WHERE consumer = ${consumer} AND next_at IS NULL AND jti IN (
      SELECT ack_jti FROM inbox
      WHERE consumer = ${consumer} AND event_id = ANY (${repeated}) AND finished_at < now() - interval '10 seconds')`.execute(
    tx,
  )
}

/**
 * DO UPDATE, although it changes nothing: it waits for a completion that is just closing the lane, where DO NOTHING
 * would leave the new row without one. Keys are sorted, so that two transactions lock lanes in the same order.
 */
async function openLanes(tx: Tx, consumer: string, orderKeys: readonly string[]): Promise<void> {
  await sql`/* prepared:open_lanes */
    INSERT INTO inbox_lane (consumer, order_key, next_at)
    SELECT DISTINCT ${consumer}, k, now() FROM unnest(${orderKeys}::text[]) AS k ORDER BY k
    ON CONFLICT (consumer, order_key) DO UPDATE SET order_key = EXCLUDED.order_key`.execute(tx)
}

/** The states of the inbox index: what a key still has to do. Dead and parked heads hold their lane at infinity. */
const OPEN = sql.raw(`('landed', 'retrying', 'confirming')`)

/** What an operator said of a parked delivery (migration 0004). */
export interface OperatorDecision {
  readonly outcome: 'applied' | 'rejected'
  readonly recipientRef?: string
}

export interface InboxRow {
  readonly event_id: string
  readonly order_key: string
  readonly contract: string
  /** Sealed. */
  readonly token: Buffer
  readonly receipt: string
  readonly state: 'landed' | 'retrying' | 'confirming'
  readonly attempt: number
  readonly round: number
  readonly landed_at: Date
  readonly decision: OperatorDecision | null
  /** Whether somebody held a lease on the key and never completed: what they sent, nobody knows. */
  readonly lapsed: boolean
}

/**
 * Leases up to `limit` keys that are due and returns the head delivery of each. Two statements on purpose: the
 * second one's snapshot sees what a former holder of the lane committed while the first waited for it.
 */
export async function claimHeads(
  db: Db,
  consumer: string,
  lease: string,
  leaseMs: number,
  limit: number,
): Promise<readonly InboxRow[]> {
  const lanes = await sql<{ order_key: string; lapsed: boolean }>`/* prepared:claim_lanes */
    WITH due AS (
      SELECT order_key, lease IS NOT NULL AS lapsed FROM inbox_lane
      WHERE consumer = ${consumer} AND next_at <= now()
      ORDER BY next_at LIMIT ${limit} FOR UPDATE SKIP LOCKED)
    UPDATE inbox_lane l SET lease = ${lease}, next_at = now() + ${leaseMs}::float8 * interval '1 millisecond'
    FROM due WHERE l.consumer = ${consumer} AND l.order_key = due.order_key
    RETURNING l.order_key, due.lapsed`.execute(db)
  if (lanes.rows.length === 0) return []
  const { rows } = await sql<InboxRow>`/* prepared:claim_heads */
    SELECT head.*, lane.lapsed
    FROM unnest(${lanes.rows.map((row) => row.order_key)}::text[], ${lanes.rows.map((row) => row.lapsed)}::bool[])
      AS lane (order_key, lapsed)
    CROSS JOIN LATERAL (
      SELECT event_id, order_key, contract, token, receipt, state, attempt, round, landed_at, decision FROM inbox
      WHERE consumer = ${consumer} AND order_key = lane.order_key AND state IN ${OPEN}
      ORDER BY seq LIMIT 1) AS head`.execute(db)
  return rows
}

/** Gives leased keys back untouched; of a key whose lease had lapsed before, that stays known. */
export async function releaseLanes(db: Db, consumer: string, lease: string, rows: readonly InboxRow[]): Promise<void> {
  const lapsed = rows.filter((row) => row.lapsed).map((row) => row.order_key)
  await sql`
    UPDATE inbox_lane SET lease = CASE WHEN order_key = ANY (${lapsed}::text[]) THEN lease END, next_at = now()
    WHERE consumer = ${consumer} AND lease = ${lease}`.execute(db)
}

interface AttemptRecord {
  readonly class: string
  readonly status: number | undefined
  readonly latencyMs: number
  /** Truncated and masked by the caller. */
  readonly body: string | undefined
  readonly code: string | undefined
}

/** What became of one leased head. */
export interface Completion {
  readonly eventId: string
  readonly orderKey: string
  readonly lease: string
  readonly round: number
  /** Attempts used up, this one included unless the breaker took it back. */
  readonly attempt: number
  /** `confirming`: the peer is asked before anything is sent again; `parked`: only an operator can tell. */
  readonly state: 'retrying' | 'confirming' | 'parked' | 'delivered' | 'dead'
  /** For `retrying` and `confirming`: when the key is due again. */
  readonly nextInMs: number
  /** For `dead` and `parked`: whether the key waits for an operator. */
  readonly blocks: boolean
  readonly stage: 'mapping' | 'send' | 'confirm'
  readonly record: AttemptRecord
}

/** Locks the lanes whose lease still holds, in key order, and returns the completions that are still valid. */
export async function lockLeased<C extends Completion>(
  tx: Tx,
  consumer: string,
  completions: readonly C[],
): Promise<C[]> {
  const { rows } = await sql<{ order_key: string; lease: string }>`/* prepared:lock_leased */
    SELECT l.order_key, l.lease FROM inbox_lane l
    JOIN unnest(${completions.map((c) => c.orderKey)}::text[], ${completions.map((c) => c.lease)}::uuid[])
      AS c (order_key, lease) ON c.order_key = l.order_key AND c.lease = l.lease
    WHERE l.consumer = ${consumer}
    ORDER BY l.order_key FOR UPDATE OF l`.execute(tx)
  const held = new Map(rows.map((row) => [row.order_key, row.lease]))
  return completions.filter((completion) => held.get(completion.orderKey) === completion.lease)
}

/** Writes the new states of the inbox rows; `ackJti` names the acknowledgement that carries each final state. */
export async function writeStates(
  tx: Tx,
  consumer: string,
  completions: readonly Completion[],
  ackJti: string | undefined,
): Promise<void> {
  await sql`/* prepared:write_states */
    UPDATE inbox i SET state = c.state, attempt = c.attempt, decision = NULL,
      finished_at = CASE WHEN c.state IN ('delivered', 'dead') THEN now() END,
      ack_jti = CASE WHEN c.state IN ('delivered', 'dead') THEN ${ackJti ?? null}::text ELSE i.ack_jti END
    FROM unnest(${completions.map((c) => c.eventId)}::text[], ${completions.map((c) => c.state)}::text[],
                ${completions.map((c) => c.attempt)}::int[]) AS c (event_id, state, attempt)
    WHERE i.consumer = ${consumer} AND i.event_id = c.event_id`.execute(tx)
}

/** Keeps each attempt; what the peer answered is sealed. */
export async function insertAttempts(
  tx: Tx,
  consumer: string,
  completions: readonly Completion[],
  seal: (body: string) => Buffer,
): Promise<void> {
  const bodies = completions.map(({ record: { body } }) => (body === undefined ? null : seal(body)))
  await sql`/* prepared:insert_attempts */
    INSERT INTO inbox_attempt (consumer, event_id, round, attempt, class, status, latency_ms, body, code)
    SELECT ${consumer}, a.* FROM unnest(
      ${completions.map((c) => c.eventId)}::text[], ${completions.map((c) => c.round)}::int[],
      ${completions.map((c) => c.attempt)}::int[], ${completions.map((c) => c.record.class)}::text[],
      ${completions.map((c) => c.record.status ?? null)}::int[], ${completions.map((c) => c.record.latencyMs)}::int[],
      ${bodies}::bytea[], ${completions.map((c) => c.record.code ?? null)}::text[]) AS a`.execute(tx)
}

/** Moves the locked lanes on: to the next step, to infinity behind a dead or parked head, to the next delivery, or away. */
export async function moveLanes(tx: Tx, consumer: string, completions: readonly Completion[]): Promise<void> {
  await sql`/* prepared:move_lanes */
    UPDATE inbox_lane l SET lease = NULL,
      blocked_by = CASE WHEN c.blocks THEN c.event_id END,
      next_at = CASE WHEN c.blocks THEN 'infinity'
                     ELSE clock_timestamp() + c.next_in_ms * interval '1 millisecond' END
    FROM unnest(${completions.map((c) => c.orderKey)}::text[], ${completions.map((c) => c.eventId)}::text[],
                ${completions.map((c) => c.blocks)}::bool[],
                ${completions.map((c) => c.nextInMs)}::float8[]) AS c (order_key, event_id, blocks, next_in_ms)
    WHERE l.consumer = ${consumer} AND l.order_key = c.order_key`.execute(tx)
  const finished = completions.filter((c) => (c.state === 'delivered' || c.state === 'dead') && !c.blocks)
  if (finished.length > 0) {
    await closeEmptyLanes(
      tx,
      consumer,
      finished.map((c) => c.orderKey),
    )
  }
}

/** Only for lanes that this transaction has locked: a landing waits for them and opens them anew. */
export async function closeEmptyLanes(tx: Tx, consumer: string, orderKeys: readonly string[]): Promise<void> {
  await sql`/* prepared:close_lanes */
    DELETE FROM inbox_lane l
    WHERE l.consumer = ${consumer} AND l.order_key = ANY (${orderKeys}) AND NOT EXISTS (
      SELECT FROM inbox i
      WHERE i.consumer = l.consumer AND i.order_key = l.order_key AND i.state IN ${OPEN})`.execute(tx)
}
