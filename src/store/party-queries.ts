import { sql } from 'kysely'
import { type AppKeyRow, readAppKeys } from './app-key-queries.ts'
import type { Db, Tx } from './db.ts'

interface PartyRow {
  readonly id: string
  readonly name_zh: string
  readonly name_en: string
  readonly name_aliases: string[]
  readonly level: 'region' | 'league' | 'county'
  readonly divisions: string[]
  readonly roles: string[]
  readonly channel: 'bus' | 'inbox'
  readonly bus_door: boolean
  readonly status: 'active' | 'suspended'
  readonly limit_per_second: number | null
  readonly limit_bytes_per_second: number | null
  readonly limit_in_flight: number | null
}

export type KeyState = 'pending' | 'active' | 'verify-only' | 'retired' | 'revoked'

interface PartyKeyRow {
  readonly kid: string
  readonly party: string
  readonly agent: string | null
  readonly public_jwk: { [member: string]: string }
  readonly state: KeyState
  readonly state_since: Date
  /** Since when what a revoked key signed is in doubt. */
  readonly revoked_from: Date | null
}

interface EncryptionKeyRow {
  readonly kid: string
  readonly party: string
  readonly public_jwk: { [member: string]: string }
}

export interface MandateRow {
  readonly agent: string
  readonly principal: string
  readonly contract: string
  readonly valid_from: Date
  readonly valid_to: Date | null
}

export interface GrantRow {
  readonly id: string
  readonly party: string
  readonly contract: string
  readonly purpose: string
  readonly fields: string[]
  readonly legal_bases: string[]
  readonly valid_from: Date
  readonly valid_to: Date | null
  readonly cap_party: number | null
  readonly cap_operator: number | null
  readonly cap_subject: number | null
  readonly networks: string[] | null
  readonly agreement: string | null
}

export interface UtilityAreaRow {
  readonly prefix: string
  readonly utility: string
  readonly is_override: boolean
  readonly valid_from: Date
  readonly valid_to: Date | null
}

export interface RegisterRows {
  readonly version: number
  readonly parties: readonly PartyRow[]
  readonly keys: readonly PartyKeyRow[]
  /** The newest of each party. */
  readonly encryptionKeys: readonly EncryptionKeyRow[]
  readonly appKeys: readonly AppKeyRow[]
  readonly mandates: readonly MandateRow[]
  readonly grants: readonly GrantRow[]
  readonly areas: readonly UtilityAreaRow[]
}

export async function registerVersion(db: Db): Promise<number> {
  const { rows } = await sql<{ version: number }>`SELECT version::float8 AS version FROM register_version`.execute(db)
  return rows[0]?.version ?? 0
}

/** The whole register as of one snapshot. */
export async function readRegister(db: Db): Promise<RegisterRows> {
  return db
    .transaction()
    .setIsolationLevel('repeatable read')
    .execute(async (tx) => ({
      version: await registerVersion(tx),
      parties: (
        await sql<PartyRow>`SELECT *, limit_bytes_per_second::float8 AS limit_bytes_per_second FROM party`.execute(tx)
      ).rows,
      keys: (
        await sql<PartyKeyRow>`SELECT kid, party, agent, public_jwk, state, state_since, revoked_from FROM party_key`.execute(
          tx,
        )
      ).rows,
      encryptionKeys: (
        await sql<EncryptionKeyRow>`
          SELECT DISTINCT ON (party) kid, party, public_jwk FROM party_encryption_key
          ORDER BY party, added_at DESC`.execute(tx)
      ).rows,
      appKeys: await readAppKeys(tx),
      mandates: (await sql<MandateRow>`SELECT * FROM mandate`.execute(tx)).rows,
      grants: (await sql<GrantRow>`SELECT *, networks::text[] AS networks FROM access_grant ORDER BY id`.execute(tx))
        .rows,
      areas: (await sql<UtilityAreaRow>`SELECT * FROM utility_area`.execute(tx)).rows,
    }))
}

/** Every name that a party has, with its owner. */
export async function partyNames(db: Db): Promise<{ readonly party: string; readonly name: string }[]> {
  const { rows } = await sql<{ party: string; name: string }>`
    SELECT id AS party, unnest(ARRAY[name_zh, name_en] || name_aliases) AS name FROM party`.execute(db)
  return rows
}

export async function partyExists(db: Db, id: string): Promise<boolean> {
  return (await sql`SELECT FROM party WHERE id = ${id}`.execute(db)).rows.length > 0
}

export interface PartyKeyInput {
  readonly kid: string
  readonly party: string
  readonly agent?: string | undefined
  readonly publicJwk: object
  /** Default active; pending until its holder proved that it has the private half. */
  readonly state?: 'pending' | 'active'
}

/** Registers a public key of a registered party; false when this key is registered already, for whomever, which changes nothing. */
export async function insertPartyKey(db: Db, key: PartyKeyInput): Promise<boolean> {
  const result = await sql`
    INSERT INTO party_key (kid, party, agent, public_jwk, state)
    VALUES (${key.kid}, ${key.party}, ${key.agent ?? null}, ${JSON.stringify(key.publicJwk)}, ${key.state ?? 'active'})
    ON CONFLICT (kid) DO NOTHING`.execute(db)
  return Number(result.numAffectedRows ?? 0n) > 0
}

/** Registers the key that values for a party are wrapped for from now on; false when it is registered already. */
export async function insertEncryptionKey(
  db: Db,
  key: { readonly kid: string; readonly party: string; readonly publicJwk: object },
): Promise<boolean> {
  const result = await sql`
    INSERT INTO party_encryption_key (kid, party, public_jwk)
    VALUES (${key.kid}, ${key.party}, ${JSON.stringify(key.publicJwk)}) ON CONFLICT (kid) DO NOTHING`.execute(db)
  return Number(result.numAffectedRows ?? 0n) > 0
}

type Period = { readonly validFrom: Date; readonly validTo: Date | null }

interface PartyInput {
  readonly id: string
  readonly zh: string
  readonly en: string
  readonly aliases: readonly string[]
  readonly level: string
  readonly divisions: readonly string[]
  readonly roles: readonly string[]
  readonly channel: string
  readonly busDoor: boolean
}

export interface RegisterInput {
  readonly divisions: readonly {
    readonly code: string
    readonly zh: string
    readonly en: string
    readonly parent?: string | undefined
  }[]
  readonly parties: readonly PartyInput[]
  readonly areas: readonly (Period & {
    readonly prefix: string
    readonly utility: string
    readonly isOverride: boolean
  })[]
  readonly mandates: readonly (Period & {
    readonly agent: string
    readonly principal: string
    readonly contract: string
  })[]
  readonly grants: readonly (Period & {
    readonly id: string
    readonly party: string
    readonly contract: string
    readonly purpose: string
    readonly fields: readonly string[]
    readonly legalBases: readonly string[]
    readonly networks?: readonly string[] | undefined
    readonly caps?: Partial<Readonly<Record<'party' | 'operator' | 'subject', number | undefined>>> | undefined
    readonly agreement?: string | undefined
  })[]
}

/** Registers a party; false when its id is taken, which changes nothing. */
export async function insertParty(tx: Tx, party: PartyInput): Promise<boolean> {
  const result = await sql`
    INSERT INTO party (id, name_zh, name_en, name_aliases, level, divisions, roles, channel, bus_door)
    VALUES (${party.id}, ${party.zh}, ${party.en}, ${party.aliases}, ${party.level}, ${party.divisions}, ${party.roles},
            ${party.channel}, ${party.busDoor})
    ON CONFLICT DO NOTHING`.execute(tx)
  return Number(result.numAffectedRows ?? 0n) > 0
}

/** Adds what is not there yet and changes nothing that is: what operators changed since stays. */
export async function insertRegister(tx: Tx, input: RegisterInput): Promise<void> {
  for (const { code, zh, en, parent } of input.divisions) {
    await sql`INSERT INTO division VALUES (${code}, ${zh}, ${en}, ${parent ?? null}) ON CONFLICT DO NOTHING`.execute(tx)
  }
  for (const one of input.parties) await insertParty(tx, one)
  for (const { prefix, utility, validFrom, validTo, isOverride } of input.areas) {
    await sql`
      INSERT INTO utility_area (prefix, utility, valid_from, valid_to, is_override)
      VALUES (${prefix}, ${utility}, ${validFrom}, ${validTo}, ${isOverride}) ON CONFLICT DO NOTHING`.execute(tx)
  }
  for (const { agent, principal, contract, validFrom, validTo } of input.mandates) {
    await sql`
      INSERT INTO mandate VALUES (${agent}, ${principal}, ${contract}, ${validFrom}, ${validTo})
      ON CONFLICT DO NOTHING`.execute(tx)
  }
  for (const { id, party, contract, purpose, validFrom, validTo, caps, ...grant } of input.grants) {
    await sql`
      INSERT INTO access_grant (id, party, contract, purpose, fields, legal_bases, valid_from, valid_to, cap_party,
        cap_operator, cap_subject, networks, agreement)
      VALUES (${id}, ${party}, ${contract}, ${purpose}, ${grant.fields}, ${grant.legalBases}, ${validFrom}, ${validTo},
        ${caps?.party ?? null}, ${caps?.operator ?? null}, ${caps?.subject ?? null},
        ${grant.networks ?? null}::cidr[], ${grant.agreement ?? null})
      ON CONFLICT DO NOTHING`.execute(tx)
  }
}
