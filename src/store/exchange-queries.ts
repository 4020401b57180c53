import { sql } from 'kysely'
import type { Db } from './db.ts'

export interface ReplayRow {
  readonly exchange: string
  readonly content_digest: string
  readonly receipt: string
  /** Of rows of a load that were refused. */
  readonly refusal: string | null
}

/** Who used this (iss, jti) before, if anybody. Never purged. */
export async function findReplay(db: Db, iss: string, jti: string): Promise<ReplayRow | undefined> {
  const { rows } = await sql<ReplayRow>`
    SELECT exchange, content_digest, receipt, refusal FROM replay WHERE iss = ${iss} AND jti = ${jti}`.execute(db)
  return rows[0]
}

export interface RefusalRow {
  readonly id: string
  readonly iss: string
  readonly jti: string | undefined
  readonly contract: string | undefined
  readonly tokenDigest: string
  readonly code: string
  /** The grant that decided, where one did; else the first of the rules below, or the code itself, says it. */
  readonly decidedBy: string | undefined
  /** Pointers and rules only: sentences can be made again, values never stand in them. */
  readonly violations: readonly { readonly pointer: string; readonly rule: string }[]
  readonly refusedAtMs: number
}

export async function insertRefusal(db: Db, row: RefusalRow): Promise<void> {
  await sql`
    INSERT INTO refusal (id, iss, jti, contract, token_digest, code, decided_by, violations, refused_at)
    VALUES (${row.id}, ${row.iss}, ${row.jti ?? null}, ${row.contract ?? null}, ${row.tokenDigest}, ${row.code},
            ${row.decidedBy ?? null}, ${JSON.stringify(row.violations)}, ${new Date(row.refusedAtMs)})`.execute(db)
}

/** The latest exchanges under a contract, newest first, with their sealed tokens. */
export async function latestUnder(
  db: Db,
  contract: string,
  limit: number,
): Promise<readonly Pick<StoredExchange, 'id' | 'token' | 'accepted_at'>[]> {
  const { rows } = await sql<Pick<StoredExchange, 'id' | 'token' | 'accepted_at'>>`
    SELECT id, token, accepted_at FROM exchange WHERE contract = ${contract} ORDER BY id DESC LIMIT ${limit}`.execute(
    db,
  )
  return rows
}

export interface StoredExchange {
  readonly id: string
  readonly pos: number
  readonly iss: string
  readonly jti: string
  readonly obo: string | null
  readonly contract: string
  readonly origin: string
  /** Sealed. */
  readonly token: Buffer
  readonly receipt: string
  readonly refusal: string | null
  readonly accepted_at: Date
}

/** One committed exchange with its position and its receipt. */
export async function findExchange(db: Db, id: string): Promise<StoredExchange | undefined> {
  const { rows } = await sql<StoredExchange>`
    SELECT e.id, l.pos::float8 AS pos, e.iss, e.jti, e.obo, e.contract, e.origin, e.token, r.receipt, r.refusal, e.accepted_at
    FROM exchange e
    JOIN log l ON l.exchange = e.id
    JOIN replay r ON r.iss = e.iss AND r.jti = e.jti
    WHERE e.id = ${id}`.execute(db)
  return rows[0]
}
