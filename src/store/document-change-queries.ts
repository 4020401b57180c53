import { sql } from 'kysely'
import { got } from './amendment-queries.ts'
import type { Db, Tx } from './db.ts'

/** A document that names the one it replaces, both by their identity (without version and check character). */
export interface Replacement {
  readonly contract: string
  readonly identifier: string
  readonly replacement: string
  readonly exchange: string
}

/** Records replacements, each once. The one replaced may not be here yet. */
export async function insertReplacements(tx: Tx, rows: readonly Replacement[]): Promise<void> {
  if (rows.length === 0) return
  await sql`
    INSERT INTO document_change
      (contract, identifier, kind, exchange, replacement, old_exchange, old_status, status, status_at)
    SELECT r.contract, r.identifier, 'REPLACED', r.exchange, r.replacement, d.exchange,
      coalesce(d.status, 'ACTIVE'), coalesce(d.status, 'ACTIVE'), n.status_at
    FROM jsonb_to_recordset(${JSON.stringify(rows)}::jsonb)
      AS r(contract text, identifier text, replacement text, exchange uuid)
    JOIN document n ON n.contract = r.contract AND n.identifier = r.replacement
    LEFT JOIN document d ON d.contract = r.contract AND d.identifier = r.identifier
    ON CONFLICT (contract, identifier, replacement) WHERE kind = 'REPLACED' DO NOTHING`.execute(tx)
}

export interface StatusChange {
  readonly id: string
  readonly contract: string
  readonly old_status: string
  readonly status: string
  readonly kind: string
}

/** Writes down who is to be told of the changes that these exchanges brought: whoever fetched the document before. */
export async function noteChanges(tx: Tx, exchanges: readonly string[]): Promise<StatusChange[]> {
  const { rows } = await sql<StatusChange>`
    UPDATE document_change SET looked_at = now() WHERE exchange = ANY (${exchanges}) AND looked_at IS NULL
    RETURNING id::text, contract, old_status, status, kind`.execute(tx)
  await insertNotices(
    tx,
    rows.map(({ id }) => id),
  )
  return rows
}

/**
 * Looks again at changes of some time ago, once: a query that was being answered when the change came was recorded
 * after it. Returns how many.
 */
export async function noteLateFetches(db: Db, afterMs: number): Promise<number> {
  return db.transaction().execute(async (tx) => {
    const { rows } = await sql<{ id: string }>`
      UPDATE document_change SET is_settled = true
      WHERE NOT is_settled AND looked_at < now() - ${afterMs} * interval '1 millisecond' RETURNING id::text`.execute(tx)
    await insertNotices(
      tx,
      rows.map(({ id }) => id),
    )
    return rows.length
  })
}

/**
 * For whom an agent asked is who is told, by the grant that was used; every version before the change counts. What was
 * looked up in a foreign system counts as well: it is known by the identifier that all versions share. Of a correction
 * those are told too to whom an earlier version was delivered, except whom the correction itself goes to. A row of a load
 * is known by its identifier too, because who fetched another row of it has nothing to do with this one.
 */
async function insertNotices(tx: Tx, changes: readonly string[]): Promise<void> {
  if (changes.length === 0) return
  await sql`
    INSERT INTO document_notice (change, recipient, queries, deliveries)
    SELECT c.id, f.recipient, f.queries, f.deliveries
    FROM document_change c
    CROSS JOIN LATERAL (
      SELECT array_agg(p.old_exchange) AS exchanges FROM document_change p
      WHERE p.contract = c.contract AND p.identifier = c.identifier AND p.id <= coalesce(c.version_change, c.id)) v
    CROSS JOIN LATERAL (
      SELECT w.recipient,
        coalesce(jsonb_agg(w.query ORDER BY w.at DESC, w.id) FILTER (WHERE w.query IS NOT NULL), '[]') AS queries,
        coalesce(jsonb_agg(w.delivery ORDER BY w.at DESC, w.id) FILTER (WHERE w.delivery IS NOT NULL), '[]') AS deliveries
      FROM (
        SELECT coalesce(g.party, a.iss) AS recipient, a.answered_at AS at, a.jti AS id, jsonb_strip_nulls(
          jsonb_build_object('jti', a.jti, 'caseNo', k.case_no, 'exchange', a.exchange,
            'originalDigest', a.original_digest)) AS query, NULL::jsonb AS delivery
        FROM (
          SELECT h.iss, h.jti, h.access_grant, h.case_id, h.answered_at, x.exchange, NULL AS original_digest
          FROM access_record h CROSS JOIN LATERAL unnest(h.documents) AS x(exchange)
          WHERE h.documents && v.exchanges AND x.exchange = ANY (v.exchanges)
          UNION ALL
          SELECT h.iss, h.jti, h.access_grant, h.case_id, h.answered_at, l.exchange, l.original_digest
          FROM access_look_up l JOIN access_record h ON h.iss = l.iss AND h.jti = l.jti
          WHERE l.document = c.contract AND l.identifier = c.identifier AND CASE WHEN l.exchange IS NULL
            THEN h.answered_at <= c.looked_at ELSE l.exchange = ANY (v.exchanges) END) a
        LEFT JOIN access_grant g ON g.id = a.access_grant
        LEFT JOIN case_file k ON k.id = a.case_id
        UNION ALL
        SELECT d.recipient, d.accepted_at, d.id::text, NULL,
          jsonb_build_object('delivery', d.id, 'exchange', d.exchange)
        FROM delivery d
        WHERE c.kind = 'CORRECTED' AND d.exchange = ANY (v.exchanges) AND d.recipient IS NOT NULL AND ${got('d')}) w
      GROUP BY w.recipient) f
    WHERE c.id = ANY (${changes}::bigint[]) AND NOT (c.kind = 'CORRECTED' AND EXISTS (
      SELECT FROM delivery o WHERE o.exchange = c.exchange AND o.recipient = f.recipient))
    ON CONFLICT DO NOTHING`.execute(tx)
}

/** A query that fetched the document: by the exchange that brought it, or by its digest where none brought it alone. */
export interface NoticedQuery {
  readonly jti: string
  readonly caseNo?: string
  readonly exchange?: string
  readonly originalDigest?: string
}

/** A delivery that carried the document. */
export interface NoticedDelivery {
  readonly delivery: string
  readonly exchange: string
  readonly originalDigest?: undefined
}

export interface DueNotice {
  readonly change: string
  readonly recipient: string
  readonly contract: string
  readonly kind: string
  readonly exchange: string
  readonly old_status: string
  readonly status: string
  readonly status_at: Date
  /** What corrected it. */
  readonly correction: { readonly issuer: string; readonly correctionNo: string; readonly fields: string[] } | null
  /** The latest first, as are the deliveries. */
  readonly queries: readonly NoticedQuery[]
  readonly deliveries: readonly NoticedDelivery[]
}

/** Notices that were not sent, in the order of their changes; those to suspended parties wait. */
export async function dueNotices(db: Db, limit: number): Promise<DueNotice[]> {
  const { rows } = await sql<DueNotice>`
    SELECT n.change::text, n.recipient, c.contract, c.kind, c.exchange, c.old_status, c.status, c.status_at,
      c.correction, n.queries, n.deliveries
    FROM document_notice n JOIN document_change c ON c.id = n.change JOIN party p ON p.id = n.recipient
    WHERE n.sent_at IS NULL AND p.status = 'active'
    ORDER BY n.change, n.recipient LIMIT ${limit}`.execute(db)
  return rows
}

export async function markNoticed(db: Db, { change, recipient }: DueNotice): Promise<void> {
  await sql`
    UPDATE document_notice SET sent_at = now() WHERE change = ${change} AND recipient = ${recipient}`.execute(db)
}

/** The receipts of exchanges, by exchange id. */
export async function receiptsOf(db: Db, exchanges: readonly string[]): Promise<Map<string, string>> {
  const { rows } = await sql<{ id: string; receipt: string }>`
    SELECT e.id, r.receipt FROM exchange e JOIN replay r ON r.iss = e.iss AND r.jti = e.jti
    WHERE e.id = ANY (${exchanges}::uuid[])`.execute(db)
  return new Map(rows.map(({ id, receipt }) => [id, receipt]))
}

/** The refusals of rows that came with these exchanges, by exchange id. */
export async function refusalsOf(tx: Tx, exchanges: readonly string[]): Promise<Map<string, string>> {
  if (exchanges.length === 0) return new Map()
  const { rows } = await sql<{ id: string; refusal: string }>`
    SELECT e.id, r.refusal FROM exchange e JOIN replay r ON r.iss = e.iss AND r.jti = e.jti
    WHERE e.id = ANY (${exchanges}::uuid[]) AND r.refusal IS NOT NULL`.execute(tx)
  return new Map(rows.map(({ id, refusal }) => [id, refusal]))
}
