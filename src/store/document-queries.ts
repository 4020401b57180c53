import { sql } from 'kysely'
import type { DisputedField } from './amendment.ts'
import { plainArray, textArray } from './binary-array.ts'
import type { Db } from './db.ts'
import { openDisputesOf } from './dispute-queries.ts'

/** Documents of one contract: all of the subject, or those with this lookup key (keyed digest). */
export interface DocumentsWanted {
  readonly contract: string
  readonly lookupKey: string | undefined
}

export interface CaseQuestion {
  readonly party: string
  /** Any number of the case; undefined in a session, where no case is needed. */
  readonly number: string | undefined
  /** Keyed subject that the case must hold, or of the session; undefined: whoever the subjects of the case are. */
  readonly subjectKey: string | undefined
  readonly wanted: readonly DocumentsWanted[]
  /** Contracts whose holders are codes of one person: by them a subject is known under its other codes too. */
  readonly identifying: readonly string[]
}

export interface DocumentFound<Token = string> {
  readonly contract: string
  readonly status: string
  /** ISO date, null for 长期. */
  readonly valid_to: string | null
  readonly identifier: string
  readonly version: string
  /** ISO 8601, since when the status holds, and when the hub accepted the document. */
  readonly status_at: string
  readonly accepted_at: string
  readonly exchange: string
  readonly issuer: string
  /** Where in the exchange's data it stands, its data (JSON, sealed in the store) and the digest of the exchange's token. */
  readonly pointer: string | null
  readonly data: Token | null
  readonly token_digest: string | null
  /** Only of one that was committed when a document's data stood in its token alone: then the three above are null. */
  readonly token: Token | null
  /** Another document takes its place; what its issuer says of it later counts more. */
  readonly replaced: boolean
  readonly disputed?: readonly DisputedField[] | null
}

/** An open case of the party that holds the subject; undefined where none was found, and then no document is looked at. */
export interface CaseDocuments<Token = string> {
  readonly caseId: string | undefined
  /** Everything that the subjects are known by. */
  readonly subjectKeys: readonly string[]
  /** The exchange that opened the case. */
  readonly openedBy: { readonly contract: string; readonly token: Token } | undefined
  /** For each that was wanted, the current documents of the subject, newest status first; one too many tells of more. */
  readonly documents: readonly (readonly DocumentFound<Token>[])[]
}

/** So many documents of one kind are answered at most. */
export const MAX_DOCUMENTS = 50

interface FoundRow extends Nullable<DocumentFound<Buffer>> {
  readonly n: number
  readonly case_id: string | null
  readonly subject_keys: string[]
  /** Of the first of the wanted only. */
  readonly opened_contract: string | null
  readonly opened_token: Buffer | null
  /** Which of the wanted it is. */
  readonly part: number
}
type Nullable<T> = { readonly [Member in keyof T]: T[Member] | null }

/**
 * For each question its open case and the subject's current documents. The case is found by its number and then judged:
 * from the side of party or subject the planner would read all of them. `OFFSET 0` keeps a part from being merged into
 * another, where it would run in another order or twice.
 */
export async function findCaseDocuments(db: Db, questions: readonly CaseQuestion[]): Promise<CaseDocuments<Buffer>[]> {
  const texts = (pick: (question: CaseQuestion) => string | undefined): Buffer => textArray(questions.map(pick))
  const wanted = questions.flatMap((question, index) => question.wanted.map((one, part) => ({ ...one, index, part })))
  const identifying = new Set(questions.flatMap((question) => question.identifying))
  const { rows } = await sql<FoundRow>`/* prepared:find_case_documents */
    WITH asked AS MATERIALIZED (
      SELECT q.n, q.subject_key, c.id AS case_id, c.opened_pos, k.keys
      FROM unnest(${texts(({ party }) => party)}::text[], ${texts(({ number }) => number)}::text[],
          ${texts(({ subjectKey }) => subjectKey)}::text[],
          ${plainArray(questions.map((question) => question.identifying.length > 0))}::boolean[])
        WITH ORDINALITY AS q(party, number, subject_key, by_other_codes, n)
      LEFT JOIN LATERAL (
        SELECT c.id, c.opened_pos FROM (
          SELECT id, opened_pos, state FROM case_file WHERE case_no = q.number
          UNION ALL
          SELECT f.id, f.opened_pos, f.state FROM case_alias a JOIN case_file f ON f.id = a.case_id
          WHERE a.number = q.number) c
        WHERE c.state = 'open'
          AND EXISTS (SELECT 1 FROM case_party p WHERE p.case_id = c.id AND p.party = q.party OFFSET 0)
          AND (q.subject_key IS NULL OR EXISTS (
            SELECT 1 FROM case_subject s WHERE s.case_id = c.id AND s.subject_key = q.subject_key OFFSET 0))
        ORDER BY c.opened_pos LIMIT 1) c ON true
      CROSS JOIN LATERAL (
        SELECT CASE WHEN q.subject_key IS NOT NULL THEN ARRAY[q.subject_key] ELSE ARRAY(
          SELECT subject_key FROM case_subject WHERE case_id = c.id ORDER BY subject_key) END AS own OFFSET 0) s
      CROSS JOIN LATERAL (
        SELECT CASE WHEN NOT q.by_other_codes THEN s.own ELSE s.own || ARRAY(
          SELECT unnest(d.holder_keys) FROM document d
          WHERE d.contract = ANY (${textArray([...identifying])}::text[]) AND d.holder_keys && s.own) END AS keys OFFSET 0) k
      WHERE c.id IS NOT NULL OR q.number IS NULL)
    SELECT q.n::int AS n, q.case_id, q.keys AS subject_keys, o.contract AS opened_contract, o.token AS opened_token,
      w.part, f.contract, f.status, f.valid_to, f.identifier, f.version, f.status_at, f.accepted_at, f.exchange,
      f.issuer, f.pointer, f.data, f.token_digest, f.token, f.replaced, f.disputed
    FROM asked q
    JOIN unnest(${plainArray(wanted.map(({ index }) => index + 1))}::int[],
        ${plainArray(wanted.map(({ part }) => part))}::int[], ${textArray(wanted.map(({ contract }) => contract))}::text[],
        ${textArray(wanted.map(({ lookupKey }) => lookupKey))}::text[]) AS w(n, part, contract, lookup_key) ON w.n = q.n
    LEFT JOIN LATERAL (
      SELECT e.contract, e.token FROM log l JOIN exchange e ON e.id = l.exchange
      WHERE l.pos = CASE WHEN q.subject_key IS NULL AND w.part = 0 THEN q.opened_pos END) o ON true
    LEFT JOIN LATERAL (
      SELECT d.contract, d.status, to_char(d.valid_to, 'YYYY-MM-DD') AS valid_to, d.identifier, d.version,
        d.status_at AS since, to_jsonb(d.status_at) AS status_at, to_jsonb(e.accepted_at) AS accepted_at, d.exchange,
        coalesce(e.obo, e.iss) AS issuer, d.pointer, d.data, d.token_digest,
        CASE WHEN d.data IS NULL THEN e.token END AS token,
        EXISTS (SELECT FROM document_change r WHERE r.contract = d.contract
          AND r.identifier = d.identifier AND r.kind = 'REPLACED' AND r.status_at >= d.status_at) AS replaced,
        ${openDisputesOf(sql`d.contract`, sql`d.identifier`)} AS disputed
      FROM document d JOIN exchange e ON e.id = d.exchange
      WHERE d.contract = w.contract AND d.holder_keys && q.keys
        AND (w.lookup_key IS NULL OR d.holder_keys @> ARRAY[w.lookup_key])
      ORDER BY d.status_at DESC, d.identifier LIMIT ${sql.lit(MAX_DOCUMENTS + 1)}) f ON true
    ORDER BY q.n, w.part, f.since DESC, f.identifier`.execute(db)
  const found = Map.groupBy(rows, (row) => row.n)
  return questions.map((question, index) => {
    const own = found.get(index + 1) ?? []
    const [first] = own
    return {
      caseId: first?.case_id ?? undefined,
      subjectKeys: first?.subject_keys ?? [],
      openedBy: openedBy(first),
      documents: question.wanted.map((_, part) => own.filter(isDocument).filter((row) => row.part === part)),
    }
  })
}

const openedBy = (row: FoundRow | undefined): CaseDocuments<Buffer>['openedBy'] =>
  row === undefined || row.opened_contract === null || row.opened_token === null
    ? undefined
    : { contract: row.opened_contract, token: row.opened_token }

/** What was wanted and is not there still has its row. */
const isDocument = (row: FoundRow): row is FoundRow & DocumentFound<Buffer> => row.exchange !== null
