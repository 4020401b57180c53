import { sql } from 'kysely'
import { byteaArray, plainArray, textArray } from './binary-array.ts'
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

export type CapScope = 'party' | 'operator' | 'subject' | 'guesses'

/** How often a day something may be done by one name. */
export interface Cap {
  readonly scope: CapScope
  /** The grant, or the contract, that it is counted under. */
  readonly under: string
  readonly name: string
  readonly cap: number
  /** Whether this access is one more; one that is not is still refused when the cap is reached. */
  readonly counts: boolean
}

/**
 * `replayed`: this (iss, jti) was used before. `withdrawn`: its consent is no more. A scope: its cap is reached. Only
 * `recorded` left a record.
 */
export type AccessOutcome = 'recorded' | 'replayed' | 'withdrawn' | CapScope

/** Something of a batch does not fit: a cap is reached, a (iss, jti) was used before, a consent is no more. */
const DOES_NOT_FIT = 'DQ001'

/** Records accesses before their answers leave, in one statement, and counts them against their caps. */
export async function recordAccesses(db: Db, rows: readonly AccessRow<Buffer>[]): Promise<AccessOutcome[]> {
  try {
    await recordTogether(db, rows)
    return rows.map(() => 'recorded')
  } catch (error) {
    if (sqlState(error) !== DOES_NOT_FIT) throw error
    return recordSingly(db, rows)
  }
}

/** All of them or, rejecting with DQ001, none. */
async function recordTogether(db: Db, rows: readonly AccessRow<Buffer>[]): Promise<void> {
  const counters = countersOf(rows)
  const texts = (pick: (row: AccessRow<Buffer>) => string | undefined): Buffer => textArray(rows.map(pick))
  await sql`/* prepared:record_accesses */
    WITH recorded AS MATERIALIZED (SELECT record_accesses_together(
      ${textArray(counters.map(({ under }) => under))}, ${plainArray(counters.map(({ day }) => day))},
      ${textArray(counters.map(({ scope }) => scope))}, ${textArray(counters.map(({ name }) => name))},
      ${counters.map(({ cap }) => cap)}, ${counters.map(({ more }) => more)},
      ${counters.map(({ allCount }) => allCount)},
      ${texts(({ iss }) => iss)}, ${texts(({ jti }) => jti)}, ${texts(({ contract }) => contract)},
      ${texts(({ subjectKey }) => subjectKey)}, ${rows.map(({ caseId }) => caseId ?? null)},
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

interface Counter extends Omit<Cap, 'counts'> {
  readonly day: string
  readonly more: number
  /** Whether each access that names it raises it. */
  readonly allCount: boolean
}

/** What a batch counts, each counter once: the lowest cap, and how often it is raised. */
function countersOf(rows: readonly AccessRow<Buffer>[]): Counter[] {
  const counters = new Map<string, Counter>()
  for (const { day, caps } of rows) {
    for (const { counts, ...cap } of caps) {
      const key = `${day} ${cap.scope} ${cap.under}\n${cap.name}`
      const known = counters.get(key)
      counters.set(key, {
        ...cap,
        day,
        cap: Math.min(cap.cap, known?.cap ?? cap.cap),
        more: (known?.more ?? 0) + (counts ? 1 : 0),
        allCount: counts && known?.allCount !== false,
      })
    }
  }
  return [...counters.values()]
}

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
export async function foreseeAccess(db: Db, { iss, jti, day, caps }: CountedAccess): Promise<AccessOutcome> {
  const { rows } = await sql<{ outcome: AccessOutcome }>`
    SELECT 'replayed' AS outcome FROM access_record WHERE iss = ${iss} AND jti = ${jti}
    UNION ALL
    SELECT u.scope
    FROM jsonb_to_recordset(${JSON.stringify(caps)}::jsonb) AS c(under text, scope text, name text, cap int)
    JOIN grant_usage u ON u.access_grant = c.under AND u.day = ${day}::date AND u.scope = c.scope AND u.name = c.name
    WHERE u.used >= c.cap
    LIMIT 1`.execute(db)
  return rows[0]?.outcome ?? 'recorded'
}
