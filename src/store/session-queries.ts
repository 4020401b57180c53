import { sql } from 'kysely'
import type { Db, Tx } from './db.ts'

/** A pre-case session as the assertion that opened it states it. */
export interface SessionRow {
  readonly issuer: string
  /** The assertion's own id. */
  readonly id: string
  /** Keyed. */
  readonly subject_key: string
  readonly nonce: string
  /** Who may use it, and for what. */
  readonly audience: string
  readonly purpose: string
  /** The consent under which the person was verified. */
  readonly consent_ref: string | null
  /** Assurance: 2 self-asserted, 3 name and number matched, 4 real person, 5 certificate or counter. */
  readonly level: number
  readonly is_matched: boolean
  readonly by_face: boolean
  readonly is_ended: boolean
  readonly verified_at: string
  readonly expires_at: string
  readonly opened_at: Date
  readonly exchange: string
}

/** Opens sessions; an assertion, or its nonce, that came before opens none again. */
export async function insertSessions(tx: Tx, rows: readonly SessionRow[]): Promise<void> {
  await sql`
    INSERT INTO session (issuer, id, subject_key, nonce, audience, purpose, consent_ref, level, is_matched, by_face, is_ended,
      verified_at, expires_at, opened_at, exchange)
    SELECT issuer, id, subject_key, nonce, audience, purpose, consent_ref, level, is_matched, by_face, is_ended,
      verified_at, expires_at, opened_at, exchange
    FROM jsonb_to_recordset(${JSON.stringify(rows)}::jsonb) AS s(issuer text, id text, subject_key text, nonce text,
      audience text, purpose text, consent_ref text, level int, is_matched boolean, by_face boolean, is_ended boolean,
      verified_at timestamptz, expires_at timestamptz, opened_at timestamptz, exchange uuid)
    ON CONFLICT DO NOTHING`.execute(tx)
}

/** Ends sessions before their time. */
export async function endSessions(tx: Tx, ended: readonly Pick<SessionRow, 'issuer' | 'id'>[]): Promise<void> {
  await sql`
    UPDATE session s SET is_ended = true
    FROM jsonb_to_recordset(${JSON.stringify(ended)}::jsonb) AS e(issuer text, id text)
    WHERE s.issuer = e.issuer AND s.id = e.id`.execute(tx)
}

export interface SessionQuestion {
  readonly id: string
  readonly audience: string
}

export interface SessionFound
  extends Pick<
    SessionRow,
    'subject_key' | 'purpose' | 'consent_ref' | 'level' | 'is_matched' | 'by_face' | 'is_ended' | 'opened_at'
  > {
  readonly verified_at: Date
  readonly expires_at: Date
}

/** The sessions of this id that the audience may use: one for each issuer that used the id. */
export async function findSessions(db: Db, { id, audience }: SessionQuestion): Promise<SessionFound[]> {
  const { rows } = await sql<SessionFound>`
    SELECT subject_key, purpose, consent_ref, level, is_matched, by_face, is_ended, opened_at, verified_at, expires_at
    FROM session
    WHERE id = ${id} AND audience = ${audience} ORDER BY opened_at`.execute(db)
  return rows
}
