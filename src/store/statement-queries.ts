import { sql } from 'kysely'
import type { Db } from './db.ts'

interface Period {
  readonly from: Date
  readonly to: Date
}

export interface AccessGroup {
  readonly provider: string
  readonly asker: string
  readonly contract: string
  readonly purpose: string
  readonly legal_basis: string
  readonly fields: readonly string[]
  readonly queries: number
  readonly documents: number
  readonly cases: number
}

/** Who read whose documents in a period, the most read first; of several parts each provider is told its own. */
export async function accessesOf(db: Db, { from, to }: Period): Promise<AccessGroup[]> {
  const { rows } = await sql<AccessGroup>`
    SELECT d.provider, a.iss AS asker, a.contract, a.purpose, a.legal_basis, f.fields,
      count(DISTINCT (a.iss, a.jti))::float8 AS queries, count(*)::float8 AS documents,
      count(DISTINCT a.case_id)::float8 AS cases
    FROM access_record a CROSS JOIN LATERAL (
      SELECT coalesce(e.obo, e.iss) AS provider, e.contract AS document
      FROM unnest(a.documents) AS one(exchange) JOIN exchange e ON e.id = one.exchange
      UNION ALL
      SELECT l.provider, l.document FROM access_look_up l WHERE l.iss = a.iss AND l.jti = a.jti) d
    CROSS JOIN LATERAL (
      SELECT array_agg(g.name ORDER BY g.n) AS fields FROM unnest(a.fields) WITH ORDINALITY AS g(name, n)
      WHERE strpos(g.name, '.') = 0 OR split_part(g.name, '.', 1) = split_part(d.document, '@', 1)) f
    WHERE a.answered_at >= ${from} AND a.answered_at < ${to}
    GROUP BY d.provider, a.iss, a.contract, a.purpose, a.legal_basis, f.fields
    ORDER BY queries DESC, provider, asker, a.contract, a.purpose, a.legal_basis, f.fields`.execute(db)
  return rows
}

export interface RefusalGroup {
  readonly asker: string
  readonly contract: string
  readonly code: string
  readonly queries: number
}

/** Refusals under these contracts in a period, the most frequent first. */
export async function refusalsUnder(
  db: Db,
  contracts: readonly string[],
  { from, to }: Period,
): Promise<RefusalGroup[]> {
  const { rows } = await sql<RefusalGroup>`
    SELECT iss AS asker, contract, code, count(*)::float8 AS queries FROM refusal
    WHERE contract = ANY (${contracts}) AND refused_at >= ${from} AND refused_at < ${to}
    GROUP BY iss, contract, code ORDER BY queries DESC, iss, contract, code`.execute(db)
  return rows
}

/** Who has ever brought documents under these contracts, or was asked for them. */
export async function providersOf(db: Db, contracts: readonly string[]): Promise<string[]> {
  const { rows } = await sql<{ iss: string }>`
    SELECT coalesce(e.obo, e.iss) AS iss FROM document d JOIN exchange e ON e.id = d.exchange WHERE d.contract = ANY (${contracts})
    UNION SELECT l.provider FROM access_look_up l WHERE l.document = ANY (${contracts})
    ORDER BY iss`.execute(db)
  return rows.map(({ iss }) => iss)
}

export async function isMonthStated(db: Db, month: string): Promise<boolean> {
  return (await sql`SELECT FROM statement_month WHERE month = ${month}`.execute(db)).rows.length > 0
}

export async function markMonthStated(db: Db, month: string): Promise<void> {
  await sql`INSERT INTO statement_month (month) VALUES (${month}) ON CONFLICT DO NOTHING`.execute(db)
}
