import { sql } from 'kysely'
import type { AnsweredReference, DocumentName } from './amendment.ts'
import type { Db } from './db.ts'

interface NumberTaken {
  readonly contract: string
  readonly issuer: string
  readonly number: string
  /** The token that asks for it, by (iss, jti). */
  readonly by: string
}

/** Takes a number for a token, once and for ever; false when another token has it. */
export async function takeNumber(db: Db, { contract, issuer, number, by }: NumberTaken): Promise<boolean> {
  const { rows } = await sql`
    INSERT INTO dispute_number AS n (contract, issuer, number, taken_by)
    VALUES (${contract}, ${issuer}, ${number}, ${by})
    ON CONFLICT (contract, issuer, number) DO UPDATE SET taken_by = n.taken_by WHERE n.taken_by = excluded.taken_by
    RETURNING n.number`.execute(db)
  return rows.length > 0
}

const PRINCIPAL = sql`coalesce(e.obo, e.iss)`

/**
 * The current version of a document of a provider that a party may know: the holder is the subject of a case that it
 * takes part in, or it got the document by a query or a delivery. `identifying`: contracts whose holders are codes of
 * one person.
 */
export async function findKnownDocument(
  db: Db,
  party: string,
  { contract, identifier }: DocumentName,
  { provider, identifying }: { readonly provider: string; readonly identifying: readonly string[] },
): Promise<string | undefined> {
  const { rows } = await sql<{ exchange: string }>`
    SELECT d.exchange FROM document d JOIN exchange e ON e.id = d.exchange
    CROSS JOIN LATERAL (
      SELECT d.exchange || array_agg(c.old_exchange) AS versions FROM document_change c
      WHERE c.contract = d.contract AND c.identifier = d.identifier AND c.old_exchange IS NOT NULL) v
    CROSS JOIN LATERAL (
      SELECT d.holder_keys || ARRAY(SELECT unnest(i.holder_keys) FROM document i
        WHERE i.contract = ANY (${identifying}) AND i.holder_keys && d.holder_keys) AS keys) h
    WHERE d.contract = ${contract} AND d.identifier = ${identifier} AND ${PRINCIPAL} = ${provider} AND (
      EXISTS (SELECT FROM case_subject s JOIN case_party p ON p.case_id = s.case_id
        WHERE s.subject_key = ANY (h.keys) AND p.party = ${party})
      OR EXISTS (SELECT FROM access_record a LEFT JOIN access_grant g ON g.id = a.access_grant
        WHERE a.documents && v.versions AND coalesce(g.party, a.iss) = ${party})
      OR EXISTS (SELECT FROM delivery r
        WHERE r.exchange = ANY (v.versions) AND r.recipient = ${party} AND ${got('r')}))`.execute(db)
  return rows[0]?.exchange
}

/** A recipient has got a delivery, or will: all but those that ended before they left the hub. */
export const got = (delivery: string) =>
  sql`(${sql.ref(`${delivery}.published_at`)} IS NOT NULL OR ${sql.ref(`${delivery}.settled_at`)} IS NULL)`

/**
 * A document that this party looked up at its provider, by its identity or by the query and the digest that it was
 * answered with; undefined when that does not tell which.
 */
export async function findLookedUp(
  db: Db,
  party: string,
  { contract, provider }: { readonly contract: string; readonly provider: string },
  by: { readonly identifier: string } | AnsweredReference,
): Promise<string | undefined> {
  const named =
    'identifier' in by
      ? sql`l.identifier = ${by.identifier}`
      : sql`l.iss = ${by.query.iss} AND l.jti = ${by.query.jti} AND l.original_digest = ${by.originalDigest}`
  const { rows } = await sql<{ identifier: string }>`
    SELECT DISTINCT l.identifier FROM access_look_up l JOIN access_record a ON a.iss = l.iss AND a.jti = l.jti
    LEFT JOIN access_grant g ON g.id = a.access_grant
    WHERE ${named} AND l.document = ${contract} AND l.provider = ${provider} AND coalesce(g.party, a.iss) = ${party}
    LIMIT 2`.execute(db)
  return rows.length === 1 ? rows[0]?.identifier : undefined
}

export interface AnsweredDocument {
  readonly exchange: string
  readonly provider: string
  /** Sealed. */
  readonly token: Buffer
}

/** The documents under a contract that a query of this party was answered with. */
export async function documentsAnswered(
  db: Db,
  party: string,
  query: { readonly iss: string; readonly jti: string; readonly contract: string },
): Promise<AnsweredDocument[]> {
  const { rows } = await sql<AnsweredDocument>`
    SELECT e.id AS exchange, ${PRINCIPAL} AS provider, e.token
    FROM access_record a LEFT JOIN access_grant g ON g.id = a.access_grant JOIN exchange e ON e.id = ANY (a.documents)
    WHERE a.iss = ${query.iss} AND a.jti = ${query.jti} AND coalesce(g.party, a.iss) = ${party}
      AND e.contract = ${query.contract}`.execute(db)
  return rows
}

/** Whether a document is this provider's: its current version, or what was looked up there. */
export async function isProvidedBy(db: Db, { contract, identifier }: DocumentName, provider: string): Promise<boolean> {
  const { rows } = await sql`
    SELECT FROM document d JOIN exchange e ON e.id = d.exchange
    WHERE d.contract = ${contract} AND d.identifier = ${identifier} AND ${PRINCIPAL} = ${provider}
    UNION ALL
    SELECT FROM access_look_up
    WHERE document = ${contract} AND identifier = ${identifier} AND provider = ${provider}
    LIMIT 1`.execute(db)
  return rows.length > 0
}

export interface DisputeFound {
  readonly exchange: string
  readonly original: string | null
  readonly is_settled: boolean
}

/** A committed dispute of a document by its number, opened or about to be. */
export async function findDispute(
  db: Db,
  { contract, identifier }: DocumentName,
  by: { readonly issuer: string; readonly number: string },
): Promise<DisputeFound | undefined> {
  const { rows } = await sql<DisputeFound>`
    SELECT d.exchange, d.original, d.settled_at IS NOT NULL AS is_settled
    FROM dispute d JOIN log l ON l.exchange = d.exchange
    WHERE d.issuer = ${by.issuer} AND d.number = ${by.number}
      AND d.contract = ${contract} AND d.identifier = ${identifier}`.execute(db)
  return rows[0]
}

/** In place of a change where no exchange had brought the document before: it had only been looked up. */
const FIRST_VERSION = '0'

/**
 * The change by which an exchange of the provider became the current version of a document in place of an earlier one,
 * of `original` where there is one.
 */
export async function findVersionChange(
  db: Db,
  { contract, identifier }: DocumentName,
  version: {
    readonly iss: string
    readonly jti: string
    readonly provider: string
    readonly original: string | undefined
  },
): Promise<string | undefined> {
  const original = version.original ?? null
  const { rows } = await sql<{ id: string }>`
    WITH named AS (SELECT e.id FROM replay r JOIN exchange e ON e.id = r.exchange
      WHERE r.iss = ${version.iss} AND r.jti = ${version.jti} AND ${PRINCIPAL} = ${version.provider})
    SELECT c.id::text FROM named n JOIN document_change c ON c.exchange = n.id
    WHERE c.contract = ${contract} AND c.identifier = ${identifier} AND c.kind IN ('STATUS', 'VERSION')
      AND (${original}::uuid IS NULL OR EXISTS (SELECT FROM document_change p
        WHERE p.contract = c.contract AND p.identifier = c.identifier AND p.id <= c.id
          AND p.old_exchange = ${original}::uuid))
    UNION ALL
    SELECT ${FIRST_VERSION} FROM named n JOIN document d ON d.exchange = n.id
    WHERE d.contract = ${contract} AND d.identifier = ${identifier} AND ${original}::uuid IS NULL
      AND NOT EXISTS (SELECT FROM document_change c
        WHERE c.exchange = n.id AND c.contract = d.contract AND c.identifier = d.identifier)
      AND EXISTS (SELECT FROM access_look_up l
        WHERE l.document = d.contract AND l.identifier = d.identifier AND l.exchange IS NULL)
    LIMIT 1`.execute(db)
  return rows[0]?.id
}
