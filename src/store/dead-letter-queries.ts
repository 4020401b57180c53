import { sql } from 'kysely'
import type { Db, Tx } from './db.ts'
import { type Completion, closeEmptyLanes, type OperatorDecision } from './inbox-queries.ts'

export interface UnverifiedLetter {
  readonly eventId: string | undefined
  readonly topic: string
  readonly partition: number
  readonly offset: bigint
  readonly code: string
  /** Sealed. */
  readonly value: Buffer
  readonly headers: Readonly<Record<string, string>>
}

/** Keeps a message that did not pass verification, with its bytes and position. Once per position. */
export async function insertUnverified(tx: Tx, consumer: string, letter: UnverifiedLetter): Promise<void> {
  await sql`
    INSERT INTO dead_letter (consumer, event_id, topic, bus_partition, bus_offset, stage, code, value, headers)
    VALUES (${consumer}, ${letter.eventId ?? null}, ${letter.topic}, ${letter.partition}, ${letter.offset.toString()},
            'verify', ${letter.code}, ${letter.value}, ${JSON.stringify(letter.headers)})
    ON CONFLICT DO NOTHING`.execute(tx)
}

/** Letters of deliveries that died or were parked after landing: their bytes stay in the inbox. */
export async function insertDead(tx: Tx, consumer: string, dead: readonly Completion[]): Promise<void> {
  await sql`
    INSERT INTO dead_letter (consumer, event_id, stage, code)
    SELECT ${consumer}, d.* FROM unnest(
      ${dead.map((c) => c.eventId)}::text[], ${dead.map((c) => c.stage)}::text[],
      ${dead.map((c) => c.record.code ?? 'hub.internal')}::text[]) AS d`.execute(tx)
}

interface DeadRow {
  readonly order_key: string
  readonly contract: string
  readonly state: string
  readonly later_delivered: boolean
  /** Another delivery of the key is being sent right now. */
  readonly key_in_flight: boolean
}

/** Locks the lane, then the row: the order of every other transaction here. */
export async function lockDead(tx: Tx, consumer: string, eventId: string): Promise<DeadRow | undefined> {
  await sql`
    INSERT INTO inbox_lane (consumer, order_key, next_at)
    SELECT consumer, order_key, now() FROM inbox
    WHERE consumer = ${consumer} AND event_id = ${eventId} AND state = 'dead'
    ON CONFLICT (consumer, order_key) DO UPDATE SET order_key = EXCLUDED.order_key`.execute(tx)
  const { rows } = await sql<DeadRow>`
    SELECT i.order_key, i.contract, i.state, EXISTS (
      SELECT FROM inbox later
      WHERE later.consumer = i.consumer AND later.order_key = i.order_key AND later.seq > i.seq
        AND later.state = 'delivered') AS later_delivered,
      EXISTS (
        SELECT FROM inbox_lane l
        WHERE l.consumer = i.consumer AND l.order_key = i.order_key AND l.lease IS NOT NULL AND l.next_at > now()
      ) AS key_in_flight
    FROM inbox i WHERE i.consumer = ${consumer} AND i.event_id = ${eventId} FOR UPDATE`.execute(tx)
  return rows[0]
}

/** Makes a dead delivery the head of its key again, with its attempts unspent and a new round for its ack. */
export async function reviveRow(tx: Tx, consumer: string, eventId: string): Promise<void> {
  await sql`
    UPDATE inbox SET state = 'retrying', attempt = 0, round = round + 1, finished_at = NULL
    WHERE consumer = ${consumer} AND event_id = ${eventId}`.execute(tx)
}

export async function skipRow(tx: Tx, consumer: string, eventId: string): Promise<void> {
  await sql`UPDATE inbox SET state = 'skipped' WHERE consumer = ${consumer} AND event_id = ${eventId}`.execute(tx)
}

/** Locks the lane of a parked delivery, then its row; its order key, or undefined when it is not parked. */
export async function lockParked(tx: Tx, consumer: string, eventId: string): Promise<string | undefined> {
  await sql`
    SELECT FROM inbox_lane WHERE consumer = ${consumer} AND blocked_by = ${eventId} FOR UPDATE`.execute(tx)
  const { rows } = await sql<{ order_key: string }>`
    SELECT order_key FROM inbox
    WHERE consumer = ${consumer} AND event_id = ${eventId} AND state = 'parked' FOR UPDATE`.execute(tx)
  return rows[0]?.order_key
}

/** Opens a parked delivery again, with its attempts unspent; its round stays: nothing of it was acknowledged. */
export async function settleParked(
  tx: Tx,
  consumer: string,
  eventId: string,
  next: { readonly state: 'retrying' | 'confirming'; readonly decision: OperatorDecision | null },
): Promise<void> {
  const decision = next.decision === null ? null : JSON.stringify(next.decision)
  await sql`
    UPDATE inbox SET state = ${next.state}, attempt = 0, decision = ${decision}::jsonb
    WHERE consumer = ${consumer} AND event_id = ${eventId}`.execute(tx)
}

/** Sets a key free when it is this delivery that blocks it, and drops a lane that has nothing left. */
export async function unblockLane(tx: Tx, consumer: string, orderKey: string, eventId: string): Promise<void> {
  await sql`
    UPDATE inbox_lane SET blocked_by = NULL, next_at = now()
    WHERE consumer = ${consumer} AND order_key = ${orderKey} AND blocked_by = ${eventId}`.execute(tx)
  await closeEmptyLanes(tx, consumer, [orderKey])
}

export async function resolveLetter(
  tx: Tx,
  consumer: string,
  eventId: string,
  resolution: 'replayed' | 'skipped' | 'decided',
  reason: string,
): Promise<void> {
  await sql`
    UPDATE dead_letter SET resolution = ${resolution}, reason = ${reason}, resolved_at = now()
    WHERE consumer = ${consumer} AND event_id = ${eventId} AND stage <> 'verify' AND resolution IS NULL`.execute(tx)
}

export interface DeadLetterRow {
  readonly event_id: string | null
  readonly stage: string
  readonly code: string
  readonly at: Date
  readonly resolution: string | null
  readonly reason: string | null
}

/** The dead letters of a consumer, newest first, without their content. */
export async function listDeadLetters(db: Db, consumer: string, limit: number): Promise<readonly DeadLetterRow[]> {
  const { rows } = await sql<DeadLetterRow>`
    SELECT event_id, stage, code, at, resolution, reason FROM dead_letter
    WHERE consumer = ${consumer} ORDER BY id DESC LIMIT ${limit}`.execute(db)
  return rows
}
