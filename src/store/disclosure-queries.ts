import { sql } from 'kysely'
import type { Db } from './db.ts'

/** What is known of a person or company, as keyed digests, and the exchanges that are about it. */
export interface SubjectKnown {
  readonly keys: readonly string[]
  /** Every version of the documents that it holds. */
  readonly held: readonly string[]
}

/** `identifying`: contracts whose holders are codes of one person: by them it is known under its other codes too. */
export async function findSubject(db: Db, subjectKey: string, identifying: readonly string[]): Promise<SubjectKnown> {
  const { rows } = await sql<{ keys: string[]; held: string[] | null }>`
    SELECT k.keys, h.held
    FROM (SELECT ${subjectKey}::text || ARRAY(SELECT DISTINCT unnest(d.holder_keys) FROM document d
      WHERE d.contract = ANY (${identifying}) AND d.holder_keys @> ARRAY[${subjectKey}::text]) AS keys) k
    CROSS JOIN LATERAL (SELECT array_agg(v.exchange) AS held FROM document d
      CROSS JOIN LATERAL (SELECT d.exchange UNION SELECT c.old_exchange FROM document_change c
        WHERE c.contract = d.contract AND c.identifier = d.identifier AND c.old_exchange IS NOT NULL) v
      WHERE d.holder_keys && k.keys) h`.execute(db)
  return { keys: rows[0]?.keys ?? [subjectKey], held: rows[0]?.held ?? [] }
}

export interface Disclosure {
  readonly at: Date
  readonly way: 'query'
  /** Who signed the query, and for whom. */
  readonly asker: string
  readonly party: string
  readonly contract: string
  readonly purpose: string
  readonly legalBasis: string
  readonly item: string
  readonly operator: string
  readonly caseNo: string | null
  readonly session: string | null
  readonly consentRef: string | null
  readonly fields: readonly string[]
  /** Each with the fields that could leave of it. */
  readonly documents: readonly { readonly exchange: string; readonly document: string; readonly fields: string[] }[]
  /** What was looked up in a foreign system: whose, and a digest of what was seen. */
  readonly lookUps: readonly { readonly provider: string; readonly originalDigest: string }[]
  readonly answerDigest: string
}

/** Documents that a query was answered with and that were rows of a load: they are known by what they are. */
const rowsOfLoads = sql`
  SELECT l.id, l.iss, l.jti, l.exchange, l.document, d.holder_keys FROM access_look_up l
  JOIN document d ON d.contract = l.document AND d.identifier = l.identifier WHERE l.exchange IS NOT NULL`

/**
 * Queries that disclosed something about a subject, the oldest first: those about it, with everything that they were
 * answered with, and those about others that were answered with a document that it holds too, with that alone.
 */
export async function disclosuresOf(db: Db, { keys, held }: SubjectKnown): Promise<Disclosure[]> {
  const { rows } = await sql<Disclosure>`
    SELECT a.answered_at AS at, 'query' AS way, a.iss AS asker, coalesce(g.party, a.iss) AS party, a.contract, a.purpose,
      a.legal_basis AS "legalBasis", a.item, a.operator, c.case_no AS "caseNo", a.session, a.consent_ref AS "consentRef",
      a.fields, d.documents,
      ARRAY(SELECT jsonb_build_object('provider', l.provider, 'originalDigest', l.original_digest)
        FROM access_look_up l
        WHERE l.iss = a.iss AND l.jti = a.jti AND l.exchange IS NULL AND a.subject_key = ANY (${keys})
        ORDER BY l.id) AS "lookUps",
      a.answer_digest AS "answerDigest"
    FROM access_record a LEFT JOIN case_file c ON c.id = a.case_id LEFT JOIN access_grant g ON g.id = a.access_grant
    CROSS JOIN LATERAL (SELECT ARRAY(SELECT jsonb_build_object('exchange', x.exchange, 'document', x.document, 'fields',
          ARRAY(SELECT f.name FROM unnest(a.fields) WITH ORDINALITY AS f(name, n)
            WHERE strpos(f.name, '.') = 0 OR split_part(f.name, '.', 1) = split_part(x.document, '@', 1) ORDER BY f.n))
        FROM (
          SELECT e.id AS exchange, e.contract AS document, o.n
          FROM unnest(a.documents) WITH ORDINALITY AS o(exchange, n) JOIN exchange e ON e.id = o.exchange
          WHERE a.subject_key = ANY (${keys}) OR o.exchange = ANY (${held}::uuid[])
          UNION ALL
          SELECT r.exchange, r.document, cardinality(a.documents) + r.id FROM (${rowsOfLoads}) r
          WHERE r.iss = a.iss AND r.jti = a.jti AND (a.subject_key = ANY (${keys}) OR r.holder_keys && ${keys})
        ) x ORDER BY x.n) AS documents) d
    WHERE a.subject_key = ANY (${keys}) OR a.documents && ${held}::uuid[]
      OR (a.iss, a.jti) IN (SELECT r.iss, r.jti FROM (${rowsOfLoads}) r WHERE r.holder_keys && ${keys})
    ORDER BY a.answered_at, a.iss, a.jti`.execute(db)
  return rows
}

export interface Delivered {
  readonly at: Date
  readonly way: 'delivery'
  readonly party: string
  readonly contract: string
  readonly exchange: string
  readonly caseNo: string | null
}

/** Deliveries of the subject's documents, and of what its cases consist of, that have left the hub. */
export async function deliveriesAbout(db: Db, { keys, held }: SubjectKnown): Promise<Delivered[]> {
  const { rows } = await sql<Delivered>`
    SELECT d.published_at AS at, 'delivery' AS way, d.recipient AS party, e.contract, e.id AS exchange,
      min(x.case_no) AS "caseNo"
    FROM (
      SELECT unnest(${held}::uuid[]) AS exchange, NULL AS case_no
      UNION ALL
      SELECT v.exchange, c.case_no FROM case_subject s JOIN case_file c ON c.id = s.case_id
      JOIN case_event v ON v.case_id = c.id WHERE s.subject_key = ANY (${keys})) x
    JOIN exchange e ON e.id = x.exchange JOIN delivery d ON d.exchange = e.id
    WHERE d.published_at IS NOT NULL AND d.recipient IS NOT NULL
    GROUP BY d.id, e.id ORDER BY 1, d.id`.execute(db)
  return rows
}

export interface FileGiven {
  readonly at: Date
  readonly way: 'file'
  readonly party: string
  readonly digest: string
  readonly exchange: string
}

/** Who began to fetch a file that one of the subject's documents names. */
export async function filesGivenOf(db: Db, { held }: SubjectKnown): Promise<FileGiven[]> {
  const { rows } = await sql<FileGiven>`
    SELECT f.at, 'file' AS way, f.party, f.digest, min(n.exchange::text) AS exchange
    FROM file_naming n JOIN file_fetch f ON f.file = n.file
    WHERE n.exchange = ANY (${held}::uuid[]) AND f.first_byte = 0
    GROUP BY f.id ORDER BY f.at, f.id`.execute(db)
  return rows
}
