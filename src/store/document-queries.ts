import { sql } from 'kysely'
import type { Db } from './db.ts'

export interface CaseQuestion {
  readonly party: string
  /** Any number of the case. */
  readonly number: string
  /** Keyed subject: of the case and of its documents. */
  readonly subjectKey: string
  readonly contract: string
}

export interface DocumentFound<Token = string> {
  readonly contract: string
  readonly status: string
  /** ISO date, null for 长期. */
  readonly valid_to: string | null
  readonly exchange: string
  readonly issuer: string
  /** Sealed in the store. */
  readonly token: Token
}

/** An open case of the party that holds the subject, or undefined, and then no document is looked at. */
export interface CaseDocuments<Token = string> {
  readonly caseId: string | undefined
  readonly documents: readonly DocumentFound<Token>[]
}

/** More documents than this has nobody under one contract. */
const MAX_DOCUMENTS = 50

/** For each question its open case and the subject's current documents, newest status first. */
export async function findCaseDocuments(db: Db, questions: readonly CaseQuestion[]): Promise<CaseDocuments<Buffer>[]> {
  const { rows } = await sql<{ n: number; case_id: string; documents: DocumentFound[] | null }>`
    SELECT q.n::int, c.id AS case_id, d.documents
    FROM unnest(${questions.map((one) => one.party)}::text[], ${questions.map((one) => one.number)}::text[],
      ${questions.map((one) => one.subjectKey)}::text[], ${questions.map((one) => one.contract)}::text[])
      WITH ORDINALITY AS q(party, number, subject_key, contract, n)
    CROSS JOIN LATERAL (
      SELECT c.id FROM case_file c
      WHERE c.state = 'open'
        AND (c.case_no = q.number OR c.id IN (SELECT case_id FROM case_alias WHERE number = q.number))
        AND EXISTS (SELECT 1 FROM case_party p WHERE p.case_id = c.id AND p.party = q.party)
        AND EXISTS (SELECT 1 FROM case_subject s WHERE s.case_id = c.id AND s.subject_key = q.subject_key)
      ORDER BY c.opened_pos LIMIT 1) c
    CROSS JOIN LATERAL (
      SELECT jsonb_agg(f) AS documents FROM (
        SELECT d.contract, d.status, to_char(d.valid_to, 'YYYY-MM-DD') AS valid_to, d.exchange, e.iss AS issuer,
          encode(e.token, 'hex') AS token
        FROM document d JOIN exchange e ON e.id = d.exchange
        WHERE d.contract = q.contract AND d.holder_keys @> ARRAY[q.subject_key]
        ORDER BY d.status_at DESC, d.identifier LIMIT ${MAX_DOCUMENTS}) f) d`.execute(db)
  const found = new Map(rows.map((row) => [row.n, row]))
  return questions.map((_, index) => {
    const row = found.get(index + 1)
    return { caseId: row?.case_id, documents: (row?.documents ?? []).map(fromHex) }
  })
}

const fromHex = (found: DocumentFound): DocumentFound<Buffer> => ({ ...found, token: Buffer.from(found.token, 'hex') })

export interface AccessRow<Token = string> {
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
  /** How often a day (Asia/Shanghai, YYYY-MM-DD) the grant may be used by one name in a scope. */
  readonly caps: readonly { readonly scope: CapScope; readonly name: string; readonly cap: number }[]
  readonly day: string
  readonly fields: readonly string[]
  readonly documents: readonly string[]
  /** Sealed in the store. */
  readonly token: Token
  readonly answerDigest: string
  readonly answeredAtMs: number
}

export type CapScope = 'party' | 'operator' | 'subject'

/** `replayed`: this (iss, jti) was used before. A scope: its cap is reached, and nothing was recorded. */
export type AccessOutcome = 'recorded' | 'replayed' | CapScope

/** Records accesses before their answers leave, in one transaction, and counts them against their caps. */
export async function recordAccesses(db: Db, rows: readonly AccessRow<Buffer>[]): Promise<AccessOutcome[]> {
  const parameter = JSON.stringify(
    rows.map(({ subjectKey, caseId, legalBasis, answerDigest, answeredAtMs, ...row }) => ({
      ...row,
      token: row.token.toString('base64'),
      subject_key: subjectKey,
      case_id: caseId,
      legal_basis: legalBasis,
      answer_digest: answerDigest,
      answered_at: new Date(answeredAtMs),
    })),
  )
  const { rows: outcomes } = await sql<{ n: number; outcome: AccessOutcome }>`
    SELECT n, outcome FROM record_accesses(${parameter}::jsonb) ORDER BY n`.execute(db)
  return outcomes.map(({ outcome }) => outcome)
}
