import { sql } from 'kysely'
import type { Db } from './db.ts'

export interface DocumentFound {
  readonly contract: string
  readonly status: string
  /** ISO date, null for 长期. */
  readonly valid_to: string | null
  readonly exchange: string
  readonly issuer: string
  readonly token: string
}

/** The current documents of a holder (keyed subject), newest status first, with the exchange that brought each. */
export async function findDocuments(
  db: Db,
  query: { readonly contract: string; readonly holderKey: string; readonly limit: number },
): Promise<DocumentFound[]> {
  const { rows } = await sql<DocumentFound>`
    SELECT d.contract, d.status, to_char(d.valid_to, 'YYYY-MM-DD') AS valid_to, d.exchange, e.iss AS issuer, e.token
    FROM document d JOIN exchange e ON e.id = d.exchange
    WHERE d.contract = ${query.contract} AND d.holder_keys @> ARRAY[${query.holderKey}]
    ORDER BY d.status_at DESC, d.identifier LIMIT ${query.limit}`.execute(db)
  return rows
}

export interface AccessRow {
  readonly iss: string
  readonly jti: string
  readonly contract: string
  readonly subjectKey: string
  readonly caseId: string
  readonly purpose: string
  readonly legalBasis: string
  readonly item: string
  readonly operator: string
  readonly grant: string
  readonly fields: readonly string[]
  readonly documents: readonly string[]
  readonly token: string
  readonly answerDigest: string
  readonly answeredAtMs: number
}

/** Records an access before its answer leaves; false when this (iss, jti) was used before. */
export async function insertAccess(db: Db, row: AccessRow): Promise<boolean> {
  const result = await sql`
    INSERT INTO access_record (iss, jti, contract, subject_key, case_id, purpose, legal_basis, item, operator,
      access_grant, fields, documents, token, answer_digest, answered_at)
    VALUES (${row.iss}, ${row.jti}, ${row.contract}, ${row.subjectKey}, ${row.caseId}, ${row.purpose},
      ${row.legalBasis}, ${row.item}, ${row.operator}, ${row.grant}, ${row.fields}, ${row.documents}::uuid[],
      ${row.token}, ${row.answerDigest}, ${new Date(row.answeredAtMs)})
    ON CONFLICT (iss, jti) DO NOTHING`.execute(db)
  return (result.numAffectedRows ?? 0n) > 0n
}
