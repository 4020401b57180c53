import { sql } from 'kysely'
import type { Db } from './db.ts'
import type { ExchangeRow } from './log-commit.ts'

/** A file as the data of an exchange names it. */
export interface NamedFile {
  /** Where it is named, a JSON Pointer (RFC 6901) into the data. */
  readonly pointer: string
  readonly digest: string
  readonly bytes: number
  readonly mediaType: string
  /** Unix milliseconds. */
  readonly copyExpiresAtMs: number
}

/** What the sender, or its principal, has uploaded whole under that digest; undefined: nothing. */
export type Uploaded = { readonly file: string; readonly bytes: number; readonly mediaType: string } | undefined

type Naming = Pick<ExchangeRow, 'id' | 'iss' | 'obo'> & NamedFile

/**
 * For each naming the uploaded file, locked against the purge until `judge` has said which namings stand and those
 * are recorded.
 */
export function recordNamings(
  db: Db,
  namings: readonly Naming[],
  judge: (uploaded: readonly Uploaded[]) => readonly boolean[],
): Promise<void> {
  return db.transaction().execute(async (tx) => {
    const { rows } = await sql<{ n: number; id: string; bytes: number; media_type: string }>`
      SELECT a.n::int, f.id, f.bytes::float8 AS bytes, f.media_type
      FROM unnest(${namings.map((one) => one.iss)}::text[], ${namings.map((one) => one.obo ?? null)}::text[],
        ${namings.map((one) => one.digest)}::text[]) WITH ORDINALITY AS a(iss, obo, digest, n)
      JOIN file f ON f.digest = a.digest AND f.owner IN (a.iss, a.obo) AND f.state = 'complete'
      FOR SHARE OF f`.execute(tx)
    const found = new Map(rows.map((row) => [row.n - 1, { file: row.id, bytes: row.bytes, mediaType: row.media_type }]))
    const uploaded = namings.map((_, index) => found.get(index))
    const stands = judge(uploaded)
    const kept = namings.flatMap((naming, index) => {
      const file = uploaded[index]?.file
      return file !== undefined && stands[index] === true ? [{ ...naming, file }] : []
    })
    if (kept.length === 0) return
    await sql`
      INSERT INTO file_naming (exchange, file, iss, obo, field, expires_at)
      SELECT exchange, file, iss, obo, field, max(expires_at)
      FROM unnest(${kept.map((one) => one.id)}::uuid[], ${kept.map((one) => one.file)}::uuid[],
        ${kept.map((one) => one.iss)}::text[], ${kept.map((one) => one.obo ?? null)}::text[],
        ${kept.map((one) => one.pointer.split('/')[1] ?? '')}::text[],
        ${kept.map((one) => new Date(one.copyExpiresAtMs))}::timestamptz[])
        AS k(exchange, file, iss, obo, field, expires_at)
      GROUP BY exchange, file, iss, obo, field
      ON CONFLICT DO NOTHING`.execute(tx)
  })
}

/** Takes back the namings of exchanges that were not committed. */
export async function removeNamings(db: Db, exchanges: readonly string[]): Promise<void> {
  await sql`DELETE FROM file_naming WHERE exchange = ANY (${exchanges}::uuid[])`.execute(db)
}

/** A file that the asker may fetch, or once might. */
export interface FetchableFile {
  readonly id: string
  readonly state: string
  readonly bytes: number
  readonly media_type: string
  /** The latest expiry among the exchanges that give the right. */
  readonly expires_at: Date
}

/**
 * The file of this digest that the asker has a right to: as sender or principal of an exchange that names it, as one
 * of its recipients (or for one of them), or by an answered query that gave it the field in which the file is named: for
 * as long as the grant, the mandate and the consent are in force that the query rested on: this gives away anew.
 */
export async function findFetchable(
  db: Db,
  asker: string,
  recipients: readonly string[],
  digest: string,
): Promise<FetchableFile | undefined> {
  const { rows } = await sql<FetchableFile>`
    SELECT f.id, f.state, f.bytes::float8 AS bytes, f.media_type, max(n.expires_at) AS expires_at
    FROM file f JOIN file_naming n ON n.file = f.id LEFT JOIN exchange e ON e.id = n.exchange
    WHERE f.digest = ${digest} AND (
      n.iss = ${asker} OR n.obo = ${asker}
      OR EXISTS (SELECT FROM delivery d WHERE d.exchange = n.exchange AND d.recipient = ANY (${recipients}::text[]))
      OR EXISTS (SELECT FROM access_record a JOIN access_grant g ON g.id = a.access_grant
        JOIN party p ON p.id = g.party AND p.status = 'active'
        WHERE a.documents @> ARRAY[n.exchange] AND a.iss = ${asker}
          AND (g.party = a.iss OR EXISTS (SELECT FROM mandate m
            WHERE m.agent = a.iss AND m.principal = g.party AND m.contract = a.contract
              AND m.valid_from <= now() AND coalesce(m.valid_to > now(), true)))
          AND a.fields && ARRAY[n.field, split_part(e.contract, '@', 1) || '.' || n.field]
          AND g.valid_from <= now() AND coalesce(g.valid_to > now(), true)
          AND (a.consent_ref IS NULL OR ${CONSENT_IN_FORCE})))
    GROUP BY f.id
    ORDER BY f.state = 'complete' DESC, max(n.expires_at) DESC LIMIT 1`.execute(db)
  return rows[0]
}

/** That of an access. Days are Asia/Shanghai's. */
const CONSENT_IN_FORCE = sql`consent_withdrawn_at(a.consent_issuer, a.consent_ref) IS NULL
  AND EXISTS (SELECT FROM consent c WHERE c.issuer = a.consent_issuer AND c.ref = a.consent_ref
    AND c.valid_to >= (now() AT TIME ZONE 'Asia/Shanghai')::date)`

export interface FileFetch {
  readonly file: string
  readonly digest: string
  readonly party: string
  /** Both inclusive. */
  readonly firstByte: number
  readonly lastByte: number
}

export async function recordFetch(db: Db, fetch: FileFetch): Promise<void> {
  await sql`
    INSERT INTO file_fetch (file, digest, party, first_byte, last_byte)
    VALUES (${fetch.file}, ${fetch.digest}, ${fetch.party}, ${fetch.firstByte}, ${fetch.lastByte})`.execute(db)
}

/** Who fetched which bytes of a file, the oldest first. */
export async function fetchesOf(
  db: Db,
  digest: string,
): Promise<{ at: Date; party: string; firstByte: number; lastByte: number }[]> {
  const { rows } = await sql<{ at: Date; party: string; firstByte: number; lastByte: number }>`
    SELECT at, party, first_byte::float8 AS "firstByte", last_byte::float8 AS "lastByte"
    FROM file_fetch WHERE digest = ${digest} ORDER BY id`.execute(db)
  return rows
}
