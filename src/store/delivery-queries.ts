import { sql } from 'kysely'
import type { Db, Tx } from './db.ts'
import type { Lease } from './lease-queries.ts'

export interface UnroutedRow {
  readonly id: string
  readonly alias_keys: string[]
  readonly fallback_division: string | null
  readonly accepted_at: Date
}

/** Unrouted deliveries of these log positions, or waiting for one of these aliases, in log order. */
export async function findUnrouted(
  tx: Tx,
  where: { readonly from: number; readonly to: number; readonly aliasKeys: readonly string[] },
): Promise<UnroutedRow[]> {
  const { rows } = await sql<UnroutedRow>`/* prepared:find_unrouted */
    SELECT id, alias_keys, fallback_division, accepted_at FROM delivery
    WHERE state = 'unrouted' AND ((pos > ${where.from} AND pos <= ${where.to}) OR alias_keys && ${where.aliasKeys})
    ORDER BY pos`.execute(tx)
  return rows
}

/** Gives unrouted deliveries their recipients. */
export async function routeDeliveries(
  db: Db,
  routes: readonly { readonly id: string; readonly recipient: string }[],
): Promise<void> {
  await sql`
    UPDATE delivery AS d SET recipient = r.recipient, state = 'accepted', routed_at = now(), cause = NULL
    FROM unnest(${routes.map((route) => route.id)}::uuid[], ${routes.map((route) => route.recipient)}::text[])
      AS r(id, recipient)
    WHERE d.id = r.id AND d.state = 'unrouted'`.execute(db)
}

/** A delivery with what its recipient gets. */
interface HandedRow {
  readonly id: string
  readonly exchange: string
  readonly recipient: string
  readonly channel: 'bus' | 'inbox'
  readonly order_key: string
  readonly contract: string
  readonly iss: string
  /** Sealed. */
  readonly token: Buffer
  readonly receipt: string
  readonly accepted_at: Date
  readonly deliver_by: Date
}

/** `generation`: of the topic to publish to; `is_draining`: a newer one is open already. */
export interface PublishableRow extends HandedRow {
  readonly generation: number
  readonly is_draining: boolean | null
}

/** At most so many bytes of tokens of one recipient at a time; one larger token goes alone. */
const PUBLISHABLE_BYTES = 8 * 1024 * 1024

/**
 * What the relay publishes next: for each of these recipients its first deliveries in log order. A suspended one's
 * wait. `generation` is that of the topic to publish to: the newest, but an older one as long as it is open and an
 * unsettled delivery of the same key went there, so that nothing of a key overtakes.
 */
export async function findPublishable(
  db: Db,
  recipients: readonly string[],
  limitEach: number,
): Promise<PublishableRow[]> {
  const { rows } = await sql<PublishableRow>`/* prepared:find_publishable */
    SELECT * FROM (
      SELECT d.id, d.exchange, d.recipient, p.channel, d.order_key, e.contract, e.iss, e.token, r.receipt,
        d.accepted_at, d.deliver_by, d.pos, coalesce(k.generation, g.newest, 1) AS generation,
        k.generation < g.newest AS is_draining,
        sum(octet_length(e.token)) OVER (PARTITION BY d.recipient ORDER BY d.pos) - octet_length(e.token) AS before
      FROM party p
      CROSS JOIN LATERAL (
        SELECT * FROM delivery WHERE state = 'accepted' AND recipient = p.id ORDER BY pos LIMIT ${limitEach}) d
      JOIN exchange e ON e.id = d.exchange
      JOIN replay r ON r.iss = e.iss AND r.jti = e.jti
      CROSS JOIN LATERAL (
        SELECT max(generation) AS newest, array_agg(generation) FILTER (WHERE closed_at IS NULL) AS open
        FROM topic_generation WHERE recipient = p.id) g
      LEFT JOIN LATERAL (
        SELECT max(o.generation) AS generation FROM delivery o
        WHERE o.recipient = d.recipient AND o.order_key = d.order_key
          AND o.state IN ('accepted', 'published', 'delivering') AND o.generation = ANY (g.open)) k
        ON cardinality(g.open) > 1
      WHERE p.id = ANY (${recipients}) AND p.status = 'active') ready
    WHERE before < ${PUBLISHABLE_BYTES}
    ORDER BY pos`.execute(db)
  return rows
}

/**
 * Marks what was published, while the lease under which that was done still holds. Returns how many it marked: none
 * when another process has the lease by now, which publishes the same again.
 */
export async function markPublished(db: Db, lease: Lease, generation: number, ids: readonly string[]): Promise<number> {
  const result = await sql`/* prepared:mark_published */
    WITH held AS (
      SELECT FROM lease
      WHERE name = ${lease.name} AND owner = ${lease.owner} AND epoch = ${lease.epoch} AND until > clock_timestamp()
      FOR SHARE)
    UPDATE delivery
    SET state = 'published', published_at = now(), publications = publications + 1, generation = ${generation}
    WHERE id = ANY (${ids}::uuid[]) AND state = 'accepted' AND EXISTS (SELECT FROM held)`.execute(db)
  return Number(result.numAffectedRows ?? 0n)
}

export interface OutcomeRow {
  readonly delivery: string
  readonly recipient: string
  readonly state: 'acknowledged' | 'dead'
  readonly outcome: string
  readonly recipientRef: string | undefined
  readonly cause: string | undefined
  readonly at: string
}

/** Ends deliveries whose content can no longer be read; their senders are told as of any that died. */
export async function endUnreadable(
  db: Db,
  ids: readonly string[],
  cause: string,
  from: readonly string[],
): Promise<void> {
  await sql`
    UPDATE delivery SET state = 'dead', cause = ${cause}, settled_at = now(), lease_token = NULL, lease_until = NULL
    WHERE id = ANY (${ids}::uuid[]) AND state = ANY (${from})`.execute(db)
}

/** Applies what recipients said of their deliveries, where `from` allows the step; one outcome a delivery. */
export async function applyOutcomes(
  tx: Tx,
  outcomes: readonly OutcomeRow[],
  from: Readonly<Record<OutcomeRow['state'], readonly string[]>>,
): Promise<void> {
  await sql`/* prepared:apply_outcomes */
    UPDATE delivery AS d SET state = o.state, outcome = o.outcome, recipient_ref = o.recipient_ref, cause = o.cause,
      settled_at = o.at, lease_token = NULL, lease_until = NULL
    FROM jsonb_to_recordset(${JSON.stringify(
      outcomes.map((o) => ({ ...o, recipient_ref: o.recipientRef ?? null, cause: o.cause ?? null })),
    )}::jsonb) AS o(delivery uuid, recipient text, state text, outcome text, recipient_ref text, cause text, at timestamptz)
    WHERE d.id = o.delivery AND d.recipient = o.recipient
      AND d.state = ANY (CASE o.state WHEN 'dead' THEN ${from.dead}::text[] ELSE ${from.acknowledged}::text[] END)
  `.execute(tx)
}

/** Publishes again what nobody acknowledged for so long; the event id stays, so the inbox knows it. */
export async function reopenUnacknowledged(db: Db, olderThanMs: number): Promise<number> {
  const result = await sql`
    UPDATE delivery SET state = 'accepted'
    WHERE id IN (
      SELECT d.id FROM delivery d JOIN party p ON p.id = d.recipient AND p.channel = 'bus'
      WHERE d.state = 'published' AND d.published_at < now() - make_interval(secs => ${olderThanMs / 1000})
        AND d.deliver_by > now()
      ORDER BY d.pos LIMIT 1000 FOR UPDATE OF d SKIP LOCKED)`.execute(db)
  return Number(result.numAffectedRows ?? 0n)
}

export async function expireOverdue(db: Db, from: readonly string[]): Promise<number> {
  const result = await sql`
    UPDATE delivery SET state = 'expired', cause = 'delivery.expired', settled_at = now(),
      lease_token = NULL, lease_until = NULL
    WHERE id IN (
      SELECT id FROM delivery
      WHERE state IN ('unrouted', 'accepted', 'published', 'delivering') AND state = ANY (${from}) AND deliver_by <= now()
      LIMIT 1000 FOR UPDATE SKIP LOCKED)`.execute(db)
  return Number(result.numAffectedRows ?? 0n)
}

export interface UndeliveredRow {
  readonly id: string
  readonly exchange: string
  readonly recipient: string | null
  readonly sender: string
  readonly state: 'dead' | 'expired'
  readonly cause: string | null
  readonly iss: string
  readonly jti: string
  readonly contract: string
  readonly settled_at: Date
}

/** Deliveries that ended without an effect and whose sender has not been told. */
export async function findUnannounced(db: Db, limit: number): Promise<UndeliveredRow[]> {
  const { rows } = await sql<UndeliveredRow>`
    SELECT d.id, d.exchange, d.recipient, d.sender, d.state, d.cause, e.iss, e.jti, e.contract, d.settled_at
    FROM delivery d JOIN exchange e ON e.id = d.exchange
    WHERE d.state IN ('dead', 'expired') AND d.announced_at IS NULL
    ORDER BY d.pos LIMIT ${limit}`.execute(db)
  return rows
}

export async function markAnnounced(db: Db, id: string): Promise<void> {
  await sql`UPDATE delivery SET announced_at = now() WHERE id = ${id}`.execute(db)
}

export interface DeliveryStatusRow {
  readonly id: string
  readonly recipient: string | null
  readonly state: string
  readonly cause: string | null
  readonly outcome: string | null
  readonly recipient_ref: string | null
  readonly accepted_at: Date
  readonly routed_at: Date | null
  readonly published_at: Date | null
  readonly settled_at: Date | null
  readonly deliver_by: Date
}

export async function deliveriesOf(db: Db, exchange: string): Promise<DeliveryStatusRow[]> {
  const { rows } = await sql<DeliveryStatusRow>`
    SELECT id, recipient, state, cause, outcome, recipient_ref, accepted_at, routed_at, published_at, settled_at,
      deliver_by
    FROM delivery WHERE exchange = ${exchange} ORDER BY id`.execute(db)
  return rows
}

export interface LeasedRow extends HandedRow {
  readonly exchange: string
}

/**
 * Leases the head of each key to a recipient that pulls. A lease that lapses is void: the row is handed out again.
 */
export async function leaseHeads(
  db: Db,
  lease: {
    readonly recipients: readonly string[]
    readonly limit: number
    readonly seconds: number
    readonly token: string
  },
): Promise<LeasedRow[]> {
  const { rows } = await sql<LeasedRow>`
    WITH head AS (
      SELECT d.id FROM delivery d JOIN party p ON p.id = d.recipient AND p.channel = 'inbox'
      WHERE d.recipient = ANY (${lease.recipients}) AND d.state IN ('published', 'delivering')
        AND (d.lease_until IS NULL OR d.lease_until < now())
        AND NOT EXISTS (
          SELECT 1 FROM delivery earlier
          WHERE earlier.recipient = d.recipient AND earlier.order_key = d.order_key AND earlier.pos < d.pos
            AND earlier.state IN ('accepted', 'published', 'delivering'))
      ORDER BY d.pos LIMIT ${lease.limit} FOR UPDATE OF d SKIP LOCKED
    ), leased AS (
      UPDATE delivery SET state = 'delivering', lease_token = ${lease.token},
        lease_until = now() + make_interval(secs => ${lease.seconds})
      WHERE id IN (SELECT id FROM head) RETURNING *
    )
    SELECT l.id, l.exchange, l.recipient, 'inbox' AS channel, l.order_key, e.contract, e.iss, e.token, r.receipt,
      l.accepted_at, l.deliver_by
    FROM leased l JOIN exchange e ON e.id = l.exchange JOIN replay r ON r.iss = e.iss AND r.jti = e.jti
    ORDER BY l.pos`.execute(db)
  return rows
}
