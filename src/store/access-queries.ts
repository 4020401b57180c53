import { sql } from 'kysely'
import { byteaArray, plainArray, textArray } from './binary-array.ts'
import { type Cap, type CapScope, type Counter, countersOf, sharedCaps } from './cap-counters.ts'
import type { CapReserve } from './cap-reserve.ts'
import { type Db, sqlState } from './db.ts'

export interface AccessRow<Token = string> {
  readonly iss: string
  readonly jti: string
  readonly contract: string
  readonly subjectKey: string
  /** Undefined in a session. */
  readonly caseId: string | undefined
  readonly session: string | undefined
  /** What it rests on where its legal basis is consent, or where its session does. */
  readonly consent: { readonly issuer: string; readonly ref: string } | undefined
  readonly purpose: string
  readonly legalBasis: string
  readonly item: string
  readonly operator: string
  readonly grant: string
  /** Days are Asia/Shanghai's, YYYY-MM-DD. */
  readonly caps: readonly Cap[]
  readonly day: string
  readonly fields: readonly string[]
  readonly documents: readonly string[]
  /** Documents that no exchange brought alone: looked up in a foreign system, or a row of a load. */
  readonly lookUps: readonly LookUpRow[]
  /** Sealed in the store. */
  readonly token: Token
  readonly answerDigest: string
  readonly answeredAtMs: number
}

export interface LookUpRow {
  readonly provider: string
  readonly document: string
  /** What all its versions share. */
  readonly identifier: string
  readonly originalDigest: string
  /** The load that it is a row of. */
  readonly exchange: string | undefined
}

/**
 * `replayed`: this (iss, jti) was used before. `withdrawn`: its consent is no more. A scope: its cap is reached. Only
 * `recorded` left a record.
 */
export type AccessOutcome = 'recorded' | 'replayed' | 'withdrawn' | CapScope

/** DQ001: a cap is reached or a consent is no more. unique_violation: a (iss, jti) was used before. */
const DOES_NOT_FIT: ReadonlySet<string | undefined> = new Set(['DQ001', '23505'])

/** Records accesses before their answers leave, in one statement, and counts them against their caps. */
export async function recordAccesses(
  db: Db,
  reserve: CapReserve,
  rows: readonly AccessRow<Buffer>[],
): Promise<AccessOutcome[]> {
  const covered = reserve.cover(countersOf(rows))
  try {
    await recordTogether(db, rows.toSorted(byIssuerAndJti), covered.counted)
    covered.keep()
    return rows.map(() => 'recorded')
  } catch (error) {
    if (!DOES_NOT_FIT.has(sqlState(error))) throw error
    await takeBack(db, covered.undo())
    return recordSingly(db, rows)
  }
}

/** Gives back what a process counted ahead of accesses that it will not make any more. */
export const giveBack = (db: Db, reserve: CapReserve): Promise<void> => takeBack(db, reserve.drain())

/** In the order in which batches raise them: in two orders, two could wait for each other. Forgotten ones stay so. */
async function takeBack(db: Db, counters: readonly Counter[]): Promise<void> {
  if (counters.length === 0) return
  await sql`
    INSERT INTO grant_usage AS u (access_grant, day, scope, name, used)
    SELECT k.under, k.day, k.scope, k.name, k.more
    FROM jsonb_to_recordset(${JSON.stringify(counters)}::jsonb)
      AS k(under text, day date, scope text, name text, more int)
    WHERE EXISTS (SELECT FROM grant_usage g
      WHERE g.day = k.day AND g.name = k.name AND g.scope = k.scope AND g.access_grant = k.under)
    ORDER BY 1, 2, 3, 4
    ON CONFLICT (access_grant, day, scope, name) DO UPDATE SET used = u.used + excluded.used`.execute(db)
}

/** The order in which all batches are inserted: in two orders, two of them could wait for each other. */
const byIssuerAndJti = (a: AccessRow<Buffer>, b: AccessRow<Buffer>): number =>
  inOrder(a.iss, b.iss) || inOrder(a.jti, b.jti)

/** All of them or, rejecting with one of `DOES_NOT_FIT`, none. */
async function recordTogether(db: Db, rows: readonly AccessRow<Buffer>[], counters: readonly Counter[]): Promise<void> {
  const caps = sharedCaps(counters)
  const texts = (pick: (row: AccessRow<Buffer>) => string | undefined): Buffer => textArray(rows.map(pick))
  await sql`/* prepared:record_accesses */
    WITH recorded AS MATERIALIZED (SELECT record_accesses_batch(
      ${textArray(counters.map(({ under }) => under))}, ${plainArray(counters.map(({ day }) => day))},
      ${textArray(counters.map(({ scope }) => scope))}, ${textArray(counters.map(({ name }) => name))},
      ${plainArray(counters.map(({ more }) => more))},
      ${textArray(caps.map(({ under }) => under))}, ${textArray(caps.map(({ scope }) => scope))},
      ${plainArray(caps.map(({ cap }) => cap))}, ${plainArray(caps.map(({ allCount }) => allCount))},
      ${texts(({ iss }) => iss)}, ${texts(({ jti }) => jti)}, ${texts(({ contract }) => contract)},
      ${texts(({ subjectKey }) => subjectKey)}, ${plainArray(rows.map(({ caseId }) => caseId ?? null))},
      ${texts(({ session }) => session)}, ${texts(({ consent }) => consent?.issuer)},
      ${texts(({ consent }) => consent?.ref)}, ${texts(({ purpose }) => purpose)},
      ${texts(({ legalBasis }) => legalBasis)}, ${texts(({ item }) => item)},
      ${texts(({ operator }) => operator)}, ${texts(({ grant }) => grant)},
      ${texts(({ fields }) => `{${fields.map((field) => JSON.stringify(field)).join(',')}}`)},
      ${texts(({ documents }) => plainArray(documents))}, ${byteaArray(rows.map(({ token }) => token))},
      ${texts(({ answerDigest }) => answerDigest)},
      ${plainArray(rows.map(({ answeredAtMs }) => new Date(answeredAtMs).toISOString()))}) AS count),
    looked_up AS (
      INSERT INTO access_look_up (iss, jti, provider, document, identifier, original_digest, exchange)
      SELECT x.iss, x.jti, x.provider, x.document, x.identifier, x.original_digest, x.exchange
      FROM recorded CROSS JOIN jsonb_to_recordset(${JSON.stringify(rows.flatMap(lookUpsOf))}::jsonb)
        AS x(iss text, jti text, provider text, document text, identifier text, original_digest text, exchange uuid))
    SELECT count FROM recorded`.execute(db)
}

const inOrder = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0)

const lookUpsOf = ({ iss, jti, lookUps }: AccessRow<Buffer>): object[] =>
  lookUps.map(({ originalDigest, ...one }) => ({ iss, jti, ...one, original_digest: originalDigest }))

/** Row by row, each with an outcome of its own. */
async function recordSingly(db: Db, rows: readonly AccessRow<Buffer>[]): Promise<AccessOutcome[]> {
  const parameter = JSON.stringify(
    rows.map((row) => ({
      ...row,
      consent_issuer: row.consent?.issuer,
      consent_ref: row.consent?.ref,
      token: row.token.toString('base64'),
      subject_key: row.subjectKey,
      case_id: row.caseId,
      legal_basis: row.legalBasis,
      answer_digest: row.answerDigest,
      answered_at: new Date(row.answeredAtMs),
      look_ups: lookUpsOf(row),
    })),
  )
  const { rows: outcomes } = await sql<{ n: number; outcome: AccessOutcome }>`/* prepared:record_accesses_singly */
    WITH asked AS MATERIALIZED (SELECT ${parameter}::jsonb AS rows),
    judged AS MATERIALIZED (SELECT r.n, r.outcome FROM asked, record_accesses_singly(asked.rows) r),
    looked_up AS (
      INSERT INTO access_look_up (iss, jti, provider, document, identifier, original_digest, exchange)
      SELECT r.value->>'iss', r.value->>'jti', x.provider, x.document, x.identifier, x.original_digest, x.exchange
      FROM judged CROSS JOIN asked
      JOIN jsonb_array_elements(asked.rows) WITH ORDINALITY r ON r.ordinality = judged.n + 1
      CROSS JOIN LATERAL jsonb_to_recordset(r.value->'look_ups')
        AS x(provider text, document text, identifier text, original_digest text, exchange uuid)
      WHERE judged.outcome = 'recorded')
    SELECT n, outcome FROM judged ORDER BY n`.execute(db)
  return outcomes.map(({ outcome }) => outcome)
}

export type CountedAccess = Pick<AccessRow, 'iss' | 'jti' | 'day' | 'caps'>

/** What recording an access would come to now: before a foreign system is asked in vain. Nothing is counted. */
export async function foreseeAccess(
  db: Db,
  reserve: CapReserve,
  { iss, jti, day, caps }: CountedAccess,
): Promise<AccessOutcome> {
  const judged = countersOf([{ day, caps }]).filter((counter) => !reserve.suffices(counter))
  const { rows } = await sql<{ outcome: AccessOutcome }>`
    SELECT 'replayed' AS outcome FROM access_record WHERE iss = ${iss} AND jti = ${jti}
    UNION ALL
    SELECT u.scope
    FROM jsonb_to_recordset(${JSON.stringify(judged)}::jsonb) AS c(under text, scope text, name text, cap int)
    JOIN grant_usage u ON u.access_grant = c.under AND u.day = ${day}::date AND u.scope = c.scope AND u.name = c.name
    WHERE u.used >= c.cap
    LIMIT 1`.execute(db)
  return rows[0]?.outcome ?? 'recorded'
}

/** Forgets counters of days before `day` (YYYY-MM-DD), at most `limit`; returns how many. */
export async function pruneUsage(db: Db, day: string, limit: number): Promise<number> {
  const { numAffectedRows } = await sql`
    DELETE FROM grant_usage WHERE ctid = ANY (ARRAY(
      SELECT ctid FROM grant_usage WHERE day < ${day}::date LIMIT ${limit}))`.execute(db)
  return Number(numAffectedRows ?? 0n)
}
