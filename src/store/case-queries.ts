import { sql } from 'kysely'
import type { Db, Tx } from './db.ts'

export interface CaseRow {
  readonly id: string
  readonly case_no: string
  readonly division: string
  readonly utility: string | null
  readonly opened_pos: number
  readonly opened_at: string
}

export interface AliasRow {
  readonly key: string
  readonly scheme: string
  readonly issuer: string
  readonly number: string
  readonly case_id: string
  readonly pos: number
}

export interface EventRow {
  readonly pos: number
  readonly case_id: string | null
  readonly exchange: string
  readonly contract: string
  readonly alias_keys: readonly string[]
  readonly at: string
}

/** What one stretch of the log adds to the cases. */
export interface CaseChanges {
  readonly cases: readonly CaseRow[]
  readonly aliases: readonly AliasRow[]
  readonly parties: readonly { readonly case_id: string; readonly party: string }[]
  readonly subjects: readonly { readonly case_id: string; readonly subject_key: string }[]
  readonly events: readonly EventRow[]
}

/** Case id by alias key, for those that are known. */
export async function casesByAlias(db: Db, keys: readonly string[]): Promise<Map<string, string>> {
  const { rows } = await sql<{ key: string; case_id: string }>`
    SELECT key, case_id FROM case_alias WHERE key = ANY (${keys})`.execute(db)
  return new Map(rows.map((row) => [row.key, row.case_id]))
}

/** Who takes part in each of these cases. */
export async function partiesOfCases(db: Db, caseIds: readonly string[]): Promise<Map<string, Set<string>>> {
  const { rows } = await sql<{ case_id: string; parties: string[] }>`
    SELECT case_id, array_agg(party) AS parties FROM case_party
    WHERE case_id = ANY (${caseIds}::uuid[]) GROUP BY case_id`.execute(db)
  return new Map(rows.map((row) => [row.case_id, new Set(row.parties)]))
}

/** Writes a stretch, then ties events that were waiting for one of its new aliases, and their senders, to the case. */
export async function insertCaseChanges(tx: Tx, changes: CaseChanges): Promise<void> {
  await sql`
    INSERT INTO case_file (id, case_no, division, utility, state, opened_pos, opened_at)
    SELECT id, case_no, division, utility, 'open', opened_pos, opened_at FROM
      jsonb_to_recordset(${JSON.stringify(changes.cases)}::jsonb)
      AS c(id uuid, case_no text, division text, utility text, opened_pos bigint, opened_at timestamptz)`.execute(tx)
  await sql`
    INSERT INTO case_alias SELECT * FROM jsonb_to_recordset(${JSON.stringify(changes.aliases)}::jsonb)
      AS a(key text, scheme text, issuer text, number text, case_id uuid, pos bigint)`.execute(tx)
  await sql`
    INSERT INTO case_party SELECT * FROM jsonb_to_recordset(${JSON.stringify(changes.parties)}::jsonb)
      AS p(case_id uuid, party text) ON CONFLICT DO NOTHING`.execute(tx)
  await sql`
    INSERT INTO case_subject SELECT * FROM jsonb_to_recordset(${JSON.stringify(changes.subjects)}::jsonb)
      AS s(case_id uuid, subject_key text) ON CONFLICT DO NOTHING`.execute(tx)
  await sql`
    INSERT INTO case_event (pos, case_id, exchange, contract, alias_keys, at)
    SELECT pos, case_id, exchange, contract, alias_keys, at FROM
      jsonb_to_recordset(${JSON.stringify(changes.events)}::jsonb)
      AS e(pos bigint, case_id uuid, exchange uuid, contract text, alias_keys text[], at timestamptz)`.execute(tx)
  if (changes.aliases.length > 0) {
    await sql`
      WITH tied AS (
        UPDATE case_event AS e SET case_id = a.case_id FROM case_alias a
        WHERE e.case_id IS NULL AND a.key = ANY (${changes.aliases.map((alias) => alias.key)})
          AND e.alias_keys @> ARRAY[a.key]
        RETURNING e.case_id, e.exchange)
      INSERT INTO case_party SELECT DISTINCT t.case_id, p.party
      FROM tied t JOIN exchange x ON x.id = t.exchange CROSS JOIN LATERAL (VALUES (x.iss), (x.obo)) AS p(party)
      WHERE p.party IS NOT NULL ON CONFLICT DO NOTHING`.execute(tx)
  }
}

/** Empties the cases; the caller folds the log again in the same transaction. */
export async function deleteCases(tx: Tx): Promise<void> {
  await sql`DELETE FROM case_event`.execute(tx)
  await sql`DELETE FROM case_file`.execute(tx)
}

/** Supply division of the case behind each alias key that the log had introduced by the position `upTo`. */
export async function divisionsByAlias(db: Db, keys: readonly string[], upTo: number): Promise<Map<string, string>> {
  const { rows } = await sql<{ key: string; division: string }>`
    SELECT a.key, c.division FROM case_alias a JOIN case_file c ON c.id = a.case_id
    WHERE a.key = ANY (${keys}) AND a.pos <= ${upTo}`.execute(db)
  return new Map(rows.map((row) => [row.key, row.division]))
}

export async function aliasesIntroduced(db: Db, from: number, to: number): Promise<string[]> {
  const { rows } = await sql<{ key: string }>`
    SELECT key FROM case_alias WHERE pos > ${from} AND pos <= ${to}`.execute(db)
  return rows.map((row) => row.key)
}

export interface CaseView {
  readonly id: string
  readonly case_no: string
  readonly division: string
  readonly utility: string | null
  readonly state: string
  readonly opened_at: Date
  readonly aliases: readonly { readonly scheme: string; readonly issuer: string; readonly number: string }[]
  readonly events: readonly {
    readonly pos: number
    readonly exchange: string
    readonly contract: string
    readonly at: string
  }[]
}

const VIEW = sql`
  SELECT c.id, c.case_no, c.division, c.utility, c.state, c.opened_at,
    (SELECT coalesce(jsonb_agg(jsonb_build_object('scheme', a.scheme, 'issuer', a.issuer, 'number', a.number)
       ORDER BY a.pos, a.key), '[]') FROM case_alias a WHERE a.case_id = c.id) AS aliases,
    (SELECT coalesce(jsonb_agg(jsonb_build_object('pos', e.pos, 'exchange', e.exchange, 'contract', e.contract,
       'at', e.at) ORDER BY e.pos), '[]') FROM case_event e WHERE e.case_id = c.id) AS events
  FROM case_file c`

/** Cases that a number names, for a party of the case (or for the operator, party undefined). */
export async function findCases(db: Db, number: string, party?: string): Promise<CaseView[]> {
  const { rows } = await sql<CaseView>`${VIEW}
    WHERE (c.case_no = ${number} OR c.id IN (SELECT case_id FROM case_alias WHERE number = ${number}))
      AND (${party ?? null}::text IS NULL
        OR EXISTS (SELECT 1 FROM case_party p WHERE p.case_id = c.id AND p.party = ${party ?? null}))
    ORDER BY c.opened_pos`.execute(db)
  return rows
}

export async function findCase(db: Db, id: string): Promise<CaseView | undefined> {
  const { rows } = await sql<CaseView>`${VIEW} WHERE c.id = ${id}`.execute(db)
  return rows[0]
}
