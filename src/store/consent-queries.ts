import { sql } from 'kysely'
import type { Db, Tx } from './db.ts'

/** A kind of document that is consented to; `fields` null: every granted one. */
export interface ConsentedDocument {
  readonly document: string
  readonly fields: readonly string[] | null
}

export interface ConsentRow {
  readonly issuer: string
  /** Unique at its issuer. */
  readonly ref: string
  /** Keyed. */
  readonly subject_key: string
  readonly recipient: string
  readonly purpose: string
  readonly documents: readonly ConsentedDocument[]
  /** Whether the use of the face was consented to separately. */
  readonly face: boolean
  /** ISO dates, both inclusive, Asia/Shanghai. */
  readonly valid_from: string
  readonly valid_to: string
  readonly granted_at: string
  readonly exchange: string
  readonly accepted_at: Date
}

/** Records consents; under one reference of an issuer the first counts. */
export async function insertConsents(tx: Tx, rows: readonly ConsentRow[]): Promise<void> {
  await sql`
    INSERT INTO consent (issuer, ref, subject_key, recipient, purpose, documents, face, valid_from, valid_to,
      granted_at, exchange, accepted_at)
    SELECT issuer, ref, subject_key, recipient, purpose, documents, face, valid_from, valid_to, granted_at, exchange,
      accepted_at
    FROM jsonb_to_recordset(${JSON.stringify(rows)}::jsonb) AS c(issuer text, ref text, subject_key text,
      recipient text, purpose text, documents jsonb, face boolean, valid_from date, valid_to date,
      granted_at timestamptz, exchange uuid, accepted_at timestamptz)
    ON CONFLICT DO NOTHING`.execute(tx)
}

export interface ConsentQuestion {
  readonly ref: string
  readonly recipient: string
}

export interface ConsentFound {
  readonly issuer: string
  readonly ref: string
  readonly subject_key: string
  readonly purpose: string
  readonly documents: readonly ConsentedDocument[]
  readonly face: boolean
  readonly valid_from: string
  readonly valid_to: string
  readonly is_withdrawn: boolean
}

/** For each question the recipient's consents of this reference: one for each issuer that used it. */
export async function findConsents(db: Db, questions: readonly ConsentQuestion[]): Promise<ConsentFound[][]> {
  const { rows } = await sql<ConsentFound & { readonly n: number }>`
    SELECT q.n::int, c.issuer, c.ref, c.subject_key, c.purpose, c.documents, c.face,
      to_char(c.valid_from, 'YYYY-MM-DD') AS valid_from, to_char(c.valid_to, 'YYYY-MM-DD') AS valid_to,
      consent_withdrawn_at(c.issuer, c.ref) IS NOT NULL AS is_withdrawn
    FROM unnest(${questions.map((one) => one.ref)}::text[], ${questions.map((one) => one.recipient)}::text[])
      WITH ORDINALITY AS q(ref, recipient, n)
    JOIN consent c ON c.ref = q.ref AND c.recipient = q.recipient
    ORDER BY c.accepted_at`.execute(db)
  const found = Map.groupBy(rows, ({ n }) => n)
  return questions.map((_, index) => found.get(index + 1) ?? [])
}

export interface ConsentShown extends Omit<ConsentRow, 'subject_key' | 'granted_at'> {
  readonly granted_at: Date
  readonly withdrawn_at: Date | null
  /** Fetches that rested on it. */
  readonly fetches: number
  readonly last_fetch_at: Date | null
}

/** Every issuer's consent of this reference, with what came of it. */
export async function consentsByRef(db: Db, ref: string): Promise<ConsentShown[]> {
  const { rows } = await sql<ConsentShown>`
    SELECT c.issuer, c.ref, c.recipient, c.purpose, c.documents, c.face,
      to_char(c.valid_from, 'YYYY-MM-DD') AS valid_from, to_char(c.valid_to, 'YYYY-MM-DD') AS valid_to,
      c.granted_at, c.exchange, c.accepted_at, consent_withdrawn_at(c.issuer, c.ref) AS withdrawn_at,
      a.fetches, a.last_fetch_at
    FROM consent c CROSS JOIN LATERAL (
      SELECT count(*)::float8 AS fetches, max(answered_at) AS last_fetch_at FROM access_record
      WHERE consent_issuer = c.issuer AND consent_ref = c.ref) a
    WHERE c.ref = ${ref} ORDER BY c.accepted_at`.execute(db)
  return rows
}
