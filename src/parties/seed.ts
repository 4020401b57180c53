import { openDb } from '#store/db.ts'
import { insertEncryptionKey, insertPartyKey, insertRegister, type RegisterInput } from '#store/party-queries.ts'
import type { Algorithm, PublicKey } from '#trust/keys.ts'
import { openPartyEncryption, openPartySigner } from './key-files.ts'
import { readSeeds, type SeedData } from './seed-files.ts'

export interface SeedOptions {
  readonly seedsDir: string
  /** Private keys of the seeded parties are made here (0600) and stay here. */
  readonly keysDir: string
  readonly hubId: string
  readonly hubKeys: readonly PublicKey[]
}

/** Registers the seeded parties, rights and areas with keys of their own. Running it again changes nothing. */
export async function applySeeds(databaseUrl: string, options: SeedOptions): Promise<void> {
  const seeds = readSeeds(options.seedsDir)
  const db = openDb(databaseUrl, { max: 1 })
  try {
    await db.transaction().execute(async (tx) => {
      await insertRegister(tx, registerOf(seeds, options.hubId))
      for (const { kid, jwk } of options.hubKeys) {
        await insertPartyKey(tx, { kid, party: options.hubId, publicJwk: jwk })
      }
      for (const { id, roles } of seeds.parties) {
        if (roles.includes('hub')) continue
        const { kid, publicJwk } = openPartySigner(options.keysDir, id, algorithmFor(roles))
        await insertPartyKey(tx, { kid, party: id, publicJwk })
        const { current } = openPartyEncryption(options.keysDir, id, true)
        await insertEncryptionKey(tx, { kid: current.kid, party: id, publicJwk: current.jwk })
      }
    })
  } finally {
    await db.destroy()
  }
}

/** One of each family among the seeds, so that every path is walked. */
function algorithmFor(roles: readonly string[]): Algorithm {
  if (roles.includes('licence-authority')) return 'PS256'
  return roles.includes('housing-authority') ? 'Ed25519' : 'ES256'
}

/** The hub's own row in the seeds takes the id of this environment. */
function registerOf(seeds: SeedData, hubId: string): RegisterInput {
  const period = (row: { validFrom: string; validTo?: string | undefined }) => ({
    validFrom: shanghaiMidnight(row.validFrom),
    validTo: row.validTo === undefined ? null : dayAfter(shanghaiMidnight(row.validTo)),
  })
  return {
    divisions: seeds.divisions,
    parties: seeds.parties.map(({ id, name, roles, ...rest }) => ({
      ...rest,
      id: roles.includes('hub') ? hubId : id,
      zh: name.zh,
      en: name.en,
      roles,
    })),
    areas: [
      ...seeds.utilityAreas.areas.map((row) => ({ ...row, validFrom: new Date(0), validTo: null, isOverride: false })),
      ...seeds.utilityAreas.overrides.map((row) => ({ ...row, ...period(row), isOverride: true })),
    ],
    mandates: seeds.mandates.flatMap((row) => row.contracts.map((contract) => ({ ...row, ...period(row), contract }))),
    grants: seeds.grants.map((row) => ({ ...row, ...period(row), id: `${row.party}:${row.contract}:${row.purpose}` })),
  }
}

/** Days in seeds are Asia/Shanghai days (UTC+8) and inclusive. */
const shanghaiMidnight = (day: string): Date => new Date(`${day}T00:00:00+08:00`)
const dayAfter = (date: Date): Date => new Date(date.getTime() + 86_400_000)
