import { type RawBuilder, sql } from 'kysely'
import type { DisputedField, DocumentName } from './amendment.ts'
import type { Db, Tx } from './db.ts'

export interface DisputeRow extends DocumentName {
  readonly exchange: string
  /** For whom it was sent. */
  readonly issuer: string
  readonly number: string
  readonly provider: string
  /** The exchange that brought the version that is disputed; undefined for one that was looked up. */
  readonly original: string | undefined
  readonly fields: readonly string[]
}

export interface CorrectionRow extends DocumentName {
  readonly exchange: string
  readonly issuer: string
  readonly number: string
  /** The dispute that it answers, by its exchange. */
  readonly dispute: string | undefined
  readonly outcome: 'CORRECTED' | 'REJECTED'
  readonly fields: readonly string[]
  /** The change by which the corrected version took its place; undefined when it was rejected. */
  readonly versionChange: string | undefined
}

export async function insertDispute(db: Db, row: DisputeRow): Promise<void> {
  await sql`
    INSERT INTO dispute (exchange, issuer, number, provider, contract, identifier, original, fields)
    VALUES (${row.exchange}, ${row.issuer}, ${row.number}, ${row.provider}, ${row.contract}, ${row.identifier},
      ${row.original ?? null}, ${[...row.fields]}) ON CONFLICT (exchange) DO NOTHING`.execute(db)
}

export async function insertCorrection(db: Db, row: CorrectionRow): Promise<void> {
  await sql`
    INSERT INTO correction (exchange, issuer, number, contract, identifier, dispute, outcome, fields, version_change)
    VALUES (${row.exchange}, ${row.issuer}, ${row.number}, ${row.contract}, ${row.identifier}, ${row.dispute ?? null},
      ${row.outcome}, ${[...row.fields]}, ${row.versionChange ?? null}) ON CONFLICT (exchange) DO NOTHING`.execute(db)
}

/** Forgets what was written for an exchange that was not committed. */
export async function removeUncommitted(db: Db, exchange: string): Promise<void> {
  await sql`DELETE FROM dispute WHERE exchange = ${exchange} AND opened_at IS NULL`.execute(db)
  await sql`DELETE FROM correction WHERE exchange = ${exchange}`.execute(db)
}

export interface Opening {
  readonly exchange: string
  readonly at: Date
  /** ISO date. */
  readonly due: string
  readonly provisional: boolean
}

/** Opens disputes: from here their data is flagged, and their clocks run. */
export async function openDisputes(tx: Tx, openings: readonly Opening[]): Promise<void> {
  if (openings.length === 0) return
  await sql`
    UPDATE dispute d SET opened_at = o.at, due_on = o.due, is_provisional = o.provisional
    FROM jsonb_to_recordset(${JSON.stringify(openings)}::jsonb)
      AS o(exchange uuid, at timestamptz, due date, provisional boolean)
    WHERE d.exchange = o.exchange`.execute(tx)
}

/**
 * Settles the disputes that corrections answer, the first answer of each, and writes down what was corrected as a
 * change of its document.
 */
export async function applyCorrections(tx: Tx, exchanges: readonly string[]): Promise<void> {
  if (exchanges.length === 0) return
  await sql`
    UPDATE dispute d SET settled_at = a.accepted_at, outcome = a.outcome, correction = a.exchange
    FROM (SELECT DISTINCT ON (c.dispute) c.dispute, c.outcome, c.exchange, e.accepted_at
      FROM correction c JOIN exchange e ON e.id = c.exchange JOIN log l ON l.exchange = c.exchange
      WHERE c.exchange = ANY (${exchanges}) ORDER BY c.dispute, l.pos) a
    WHERE d.exchange = a.dispute AND d.settled_at IS NULL`.execute(tx)
  await sql`
    INSERT INTO document_change (contract, identifier, kind, exchange, old_status, status, status_at, version_change,
      correction)
    SELECT c.contract, c.identifier, 'CORRECTED', c.exchange, coalesce(v.old_status, d.status),
      coalesce(v.status, d.status), coalesce(v.status_at, d.status_at), c.version_change,
      jsonb_build_object('issuer', c.issuer, 'correctionNo', c.number, 'fields', c.fields)
    FROM correction c JOIN log l ON l.exchange = c.exchange
    JOIN document d ON d.contract = c.contract AND d.identifier = c.identifier
    LEFT JOIN document_change v ON v.id = c.version_change
    WHERE c.exchange = ANY (${exchanges}) AND c.outcome = 'CORRECTED' ORDER BY l.pos`.execute(tx)
}

/** SQL: the members of a document that are disputed, since when; NULL when there are none. */
export const openDisputesOf = (contract: RawBuilder<unknown>, identifier: RawBuilder<unknown>): RawBuilder<unknown> =>
  sql`(SELECT jsonb_agg(u ORDER BY u.field) FROM (
    SELECT o.field, extract(epoch FROM min(p.opened_at))::bigint AS since
    FROM dispute p CROSS JOIN unnest(p.fields) AS o(field)
    WHERE p.contract = ${contract} AND p.identifier = ${identifier}
      AND p.opened_at IS NOT NULL AND p.settled_at IS NULL
    GROUP BY o.field) u)`

/** The disputed members of documents under one contract, by identity. */
export async function disputedAmong(
  db: Db,
  contract: string,
  identifiers: readonly string[],
): Promise<Map<string, readonly DisputedField[]>> {
  const { rows } = await sql<{ identifier: string; disputed: DisputedField[] | null }>`
    SELECT i.identifier, ${openDisputesOf(sql`${contract}`, sql`i.identifier`)} AS disputed
    FROM unnest(${[...identifiers]}::text[]) AS i(identifier)`.execute(db)
  return new Map(rows.map(({ identifier, disputed }) => [identifier, disputed ?? []]))
}

/** Open disputes whose due day was counted through a year without a notice. */
export async function provisionalDisputes(db: Db): Promise<{ exchange: string; at: Date }[]> {
  const { rows } = await sql<{ exchange: string; at: Date }>`
    SELECT exchange, opened_at AS at FROM dispute
    WHERE opened_at IS NOT NULL AND settled_at IS NULL AND is_provisional`.execute(db)
  return rows
}

export interface DisputeView {
  readonly issuer: string
  readonly disputeNo: string
  readonly provider: string
  readonly document: string
  readonly identifier: string
  readonly fields: readonly string[]
  readonly openedAt: Date
  readonly dueOn: string
  /** The due day may still move; such a dispute is never overdue. */
  readonly provisional: boolean
  readonly overdue: boolean
  readonly settledAt: Date | null
  readonly outcome: 'CORRECTED' | 'REJECTED' | null
}

/** The day in Asia/Shanghai by the database's clock. */
const TODAY = sql`(now() AT TIME ZONE 'Asia/Shanghai')::date`
const OVERDUE = sql`(settled_at IS NULL AND NOT is_provisional AND due_on < ${TODAY})`

/** Disputes, those that are due first first; settled ones only when asked for. */
export async function listDisputes(db: Db, withSettled: boolean): Promise<DisputeView[]> {
  const { rows } = await sql<DisputeView>`
    SELECT issuer, number AS "disputeNo", provider, contract AS document, identifier, fields, opened_at AS "openedAt",
      to_char(due_on, 'YYYY-MM-DD') AS "dueOn", is_provisional AS provisional, ${OVERDUE} AS overdue,
      settled_at AS "settledAt", outcome
    FROM dispute WHERE opened_at IS NOT NULL AND (settled_at IS NULL OR ${withSettled}::boolean)
    ORDER BY settled_at NULLS FIRST, due_on, opened_at`.execute(db)
  return rows
}

export interface DisputeCount {
  readonly provider: string
  readonly state: 'open' | 'overdue'
  readonly count: number
}

/** Unsettled disputes by provider. */
export async function countDisputes(db: Db): Promise<DisputeCount[]> {
  const { rows } = await sql<DisputeCount>`
    SELECT provider, CASE WHEN ${OVERDUE} THEN 'overdue' ELSE 'open' END AS state, count(*)::float8 AS count
    FROM dispute WHERE opened_at IS NOT NULL AND settled_at IS NULL GROUP BY 1, 2`.execute(db)
  return rows
}
