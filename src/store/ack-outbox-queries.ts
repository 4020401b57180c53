import { sql } from 'kysely'
import type { Db, Tx } from './db.ts'

export interface NewAck {
  readonly jti: string
  /** `data` of the exchange as JSON, {outcomes: […]}, sealed. */
  readonly data: Buffer
  /** Sealed. */
  readonly token: Buffer
  readonly expiresAtMs: number
}

/** Stores an acknowledgement that is yet to be sent. The same jti twice keeps the first. */
export async function insertAck(tx: Tx, consumer: string, ack: NewAck): Promise<void> {
  await sql`
    INSERT INTO ack_outbox (consumer, jti, data, token, expires_at)
    VALUES (${consumer}, ${ack.jti}, ${ack.data}, ${ack.token}, ${new Date(ack.expiresAtMs)})
    ON CONFLICT DO NOTHING`.execute(tx)
}

export interface DueAck {
  readonly jti: string
  readonly data: Buffer
  readonly token: Buffer
  readonly expires_at: Date
  readonly attempt: number
}

/** Takes acknowledgements that are due for `leaseMs`; whoever dies with them leaves them due again. */
export async function claimAcks(db: Db, consumer: string, leaseMs: number, limit: number): Promise<readonly DueAck[]> {
  const { rows } = await sql<DueAck>`/* prepared:claim_acks */
    WITH due AS (
      SELECT jti FROM ack_outbox
      WHERE consumer = ${consumer} AND next_at <= now()
      ORDER BY next_at LIMIT ${limit} FOR UPDATE SKIP LOCKED)
    UPDATE ack_outbox a SET next_at = now() + ${leaseMs}::float8 * interval '1 millisecond', attempt = attempt + 1
    FROM due WHERE a.consumer = ${consumer} AND a.jti = due.jti
    RETURNING a.jti, a.data, a.token, a.expires_at, a.attempt`.execute(db)
  return rows
}

/** Replaces an expired token by one with the same jti and content. */
export async function renewAckToken(
  db: Db,
  consumer: string,
  jti: string,
  token: Buffer,
  expiresAtMs: number,
): Promise<void> {
  await sql`
    UPDATE ack_outbox SET token = ${token}, expires_at = ${new Date(expiresAtMs)}
    WHERE consumer = ${consumer} AND jti = ${jti}`.execute(db)
}

export async function storeAckReceipt(db: Db, consumer: string, jti: string, receipt: string): Promise<void> {
  await sql`
    UPDATE ack_outbox SET receipt = ${receipt}, receipted_at = now(), next_at = NULL, last_code = NULL
    WHERE consumer = ${consumer} AND jti = ${jti}`.execute(db)
}

export async function postponeAck(db: Db, consumer: string, jti: string, inMs: number, code: string): Promise<void> {
  await sql`
    UPDATE ack_outbox SET next_at = now() + ${inMs}::float8 * interval '1 millisecond', last_code = ${code}
    WHERE consumer = ${consumer} AND jti = ${jti}`.execute(db)
}
