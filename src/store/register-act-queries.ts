import { sql } from 'kysely'
import type { Db, Tx } from './db.ts'
import type { KeyState } from './party-queries.ts'

/** What somebody did to the register; kept for ever. */
export interface RegisterAct {
  readonly by: string
  readonly act: string
  readonly party: string
  readonly kid?: string | undefined
  readonly reason?: string | undefined
}

export async function insertRegisterAct(tx: Tx, act: RegisterAct): Promise<void> {
  await sql`
    INSERT INTO register_act (by, act, party, kid, reason)
    VALUES (${act.by}, ${act.act}, ${act.party}, ${act.kid ?? null}, ${act.reason ?? null})`.execute(tx)
}

export interface RegisterActRow {
  readonly at: Date
  readonly by: string
  readonly act: string
  readonly kid: string | null
  readonly reason: string | null
}

/** The acts on a party, oldest first. */
export async function registerActs(db: Db, party: string): Promise<RegisterActRow[]> {
  const { rows } = await sql<RegisterActRow>`
    SELECT at, by, act, kid, reason FROM register_act WHERE party = ${party} ORDER BY id`.execute(db)
  return rows
}

/** The status it had before, or undefined when there is no such party. */
export async function setPartyStatus(
  tx: Tx,
  party: string,
  status: 'active' | 'suspended',
): Promise<'active' | 'suspended' | undefined> {
  const { rows } = await sql<{ status: 'active' | 'suspended' }>`
    SELECT status FROM party WHERE id = ${party} FOR UPDATE`.execute(tx)
  const before = rows[0]?.status
  if (before !== undefined && before !== status) {
    await sql`UPDATE party SET status = ${status} WHERE id = ${party}`.execute(tx)
  }
  return before
}

export interface PartyLimitInput {
  readonly perSecond: number | null
  readonly bytesPerSecond: number | null
  readonly inFlight: number | null
}

export async function setPartyLimits(tx: Tx, party: string, limits: PartyLimitInput): Promise<boolean> {
  const result = await sql`
    UPDATE party SET limit_per_second = ${limits.perSecond}, limit_bytes_per_second = ${limits.bytesPerSecond},
      limit_in_flight = ${limits.inFlight}
    WHERE id = ${party}`.execute(tx)
  return Number(result.numAffectedRows ?? 0n) > 0
}

/** Moves a key to another state, from one of these; returns its party, or undefined when it was in none of them. */
export async function setKeyState(
  tx: Tx,
  kid: string,
  to: KeyState,
  from: readonly KeyState[],
  revokedFrom?: Date,
): Promise<string | undefined> {
  const { rows } = await sql<{ party: string }>`
    UPDATE party_key SET state = ${to}, state_since = now(),
      revoked_from = CASE WHEN ${to} = 'revoked' THEN coalesce(${revokedFrom ?? null}::timestamptz, now()) END
    WHERE kid = ${kid} AND state = ANY (${from})
    RETURNING party`.execute(tx)
  return rows[0]?.party
}

export interface SignedSince {
  readonly id: string
  readonly contract: string
  readonly accepted_at: Date
}

/** Exchanges of a party from this id on (UUIDv7, so from its time on). */
export async function exchangesSince(db: Db, party: string, fromId: string): Promise<SignedSince[]> {
  const { rows } = await sql<SignedSince>`
    SELECT id, contract, accepted_at FROM exchange WHERE id >= ${fromId} AND iss = ${party} ORDER BY id`.execute(db)
  return rows
}
