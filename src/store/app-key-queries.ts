import { sql } from 'kysely'
import type { Db, Tx } from './db.ts'

export interface AppKeyRow {
  readonly id: string
  readonly party: string
  readonly method: string
  readonly networks: string[]
  /** Null: whatever its party may send. */
  readonly contracts: string[] | null
  readonly state: 'active' | 'revoked'
  readonly state_since: Date
}

export async function readAppKeys(db: Db): Promise<AppKeyRow[]> {
  const { rows } = await sql<AppKeyRow>`
    SELECT id, party, method, networks::text[] AS networks, contracts, state, state_since FROM app_key
    ORDER BY party, id`.execute(db)
  return rows
}

export async function insertAppKey(tx: Tx, key: Omit<AppKeyRow, 'state' | 'state_since'>): Promise<void> {
  await sql`
    INSERT INTO app_key (id, party, method, networks, contracts)
    VALUES (${key.id}, ${key.party}, ${key.method}, ${key.networks}::cidr[], ${key.contracts})`.execute(tx)
}

/** Revokes an active AppKey; returns its party, or undefined when there is no such active one. */
export async function revokeAppKey(tx: Tx, id: string): Promise<string | undefined> {
  const { rows } = await sql<{ party: string }>`
    UPDATE app_key SET state = 'revoked', state_since = now() WHERE id = ${id} AND state = 'active'
    RETURNING party`.execute(tx)
  return rows[0]?.party
}

/** False when this AppKey used the nonce before. */
export async function useNonce(db: Db, appKey: string, nonce: string): Promise<boolean> {
  const result = await sql`
    INSERT INTO plain_nonce (app_key, nonce) VALUES (${appKey}, ${nonce}) ON CONFLICT DO NOTHING`.execute(db)
  return Number(result.numAffectedRows ?? 0n) > 0
}

/** Forgets nonces so old that the timestamp signed with them is refused by itself; returns how many. */
export async function pruneNonces(db: Db, keepSeconds: number): Promise<number> {
  const result = await sql`
    DELETE FROM plain_nonce WHERE used_at < now() - make_interval(secs => ${keepSeconds})`.execute(db)
  return Number(result.numAffectedRows ?? 0n)
}

export interface PlainEvidenceRow {
  readonly iss: string
  readonly jti: string
  readonly contract: string
  readonly bodyDigest: string
  readonly appKey: string
  /** Sealed: the request as it arrived, in the form of message/http (RFC 9112 §10.1). */
  readonly request: Buffer
  readonly receivedAtMs: number
}

/** The first request with these bytes under a contract stands. */
export async function insertPlainEvidence(db: Db, row: PlainEvidenceRow): Promise<void> {
  await sql`
    INSERT INTO plain_evidence (iss, jti, contract, body_digest, app_key, request, received_at)
    VALUES (${row.iss}, ${row.jti}, ${row.contract}, ${row.bodyDigest}, ${row.appKey}, ${row.request}, ${new Date(row.receivedAtMs)})
    ON CONFLICT DO NOTHING`.execute(db)
}

export async function findPlainEvidence(
  db: Db,
  { iss, jti, contract, bodyDigest }: Pick<PlainEvidenceRow, 'iss' | 'jti' | 'contract' | 'bodyDigest'>,
): Promise<{ readonly app_key: string; readonly request: Buffer; readonly received_at: Date } | undefined> {
  const { rows } = await sql<{ app_key: string; request: Buffer; received_at: Date }>`
    SELECT app_key, request, received_at FROM plain_evidence
    WHERE iss = ${iss} AND jti = ${jti} AND contract = ${contract} AND body_digest = ${bodyDigest}`.execute(db)
  return rows[0]
}
