import { createNetworks } from '#exchange/networks.ts'
import type { Grant, Party, PartyRegister, RegisteredAppKey, RegisteredKey } from '#exchange/party-register.ts'
import type { Clock } from '#kernel/clock.ts'
import { HubError } from '#kernel/errors.ts'
import type { AppKeyRow } from '#store/app-key-queries.ts'
import type { Db } from '#store/db.ts'
import {
  type GrantRow,
  type MandateRow,
  type RegisterRows,
  readRegister,
  registerVersion,
  type UtilityAreaRow,
} from '#store/party-queries.ts'
import { type EncryptionKey, importEncryptionJwk } from '#trust/encryption-keys.ts'
import { importPublicJwk } from '#trust/keys.ts'
import type { SignMethod } from '#trust/mac.ts'
import { plainName } from './names.ts'

/** How long a picture may be used after it was last seen to be current. */
const STALE_AFTER_MS = 5_000
const POLL_MS = 1_000

export interface LiveRegister extends PartyRegister {
  /** Reads the register now, whatever its version; for tests and after own changes. */
  refresh(): Promise<void>
  isCurrent(): boolean
  /** What values on a broker are wrapped for, undefined where the party has registered none. */
  encryptionKey(party: string): EncryptionKey | undefined
  close(): void
}

/** `clock` measures lapses of time only (a steady one). Loads the register and follows its version each second; stale for 5 s, every question is refused. */
export async function openRegister(db: Db, clock: Clock): Promise<LiveRegister> {
  let picture = index(await readRegister(db))
  let checkedAt = clock()

  async function refresh(): Promise<void> {
    const askedAt = clock()
    const read = index(await readRegister(db))
    // Of two readings under way at once the older may come last.
    if (read.version >= picture.version) picture = read
    checkedAt = Math.max(checkedAt, askedAt)
  }

  async function poll(): Promise<void> {
    const askedAt = clock()
    try {
      if ((await registerVersion(db)) === picture.version) checkedAt = Math.max(checkedAt, askedAt)
      else await refresh()
    } catch {
      // The picture ages; past STALE_AFTER_MS every question is refused and readiness says so.
    }
    timer = setTimeout(() => void poll(), POLL_MS).unref()
  }
  let timer = setTimeout(() => void poll(), POLL_MS).unref()

  const current = (): Picture => {
    if (clock() - checkedAt > STALE_AFTER_MS) throw new HubError('hub.store_unavailable', { retryAfterSeconds: 1 })
    return picture
  }
  return {
    party: (id) => current().parties.get(id),
    parties: () => [...current().parties.values()],
    partyNamed: (name) => current().parties.get(name) ?? current().byName.get(plainName(name)),
    key: (kid) => current().keys.get(kid),
    appKey: (id) => current().appKeys.get(id),
    hasMandate: (agent, principal, contract, atMs) =>
      (current().mandates.get(`${agent} ${contract}`) ?? []).some(
        (row) => row.principal === principal && isValidAt(row, atMs),
      ),
    actsFor: (agent, contract, atMs) => [
      agent,
      ...(current().mandates.get(`${agent} ${contract}`) ?? [])
        .filter((row) => isValidAt(row, atMs))
        .map((row) => row.principal),
    ],
    grants: (party, contract) => current().grants.get(`${party} ${contract}`) ?? [],
    utilityOf: (division, atMs) => utilityOf(current().areas, division, atMs),
    platformOf: (division) => platformOf(current().platforms, division),
    encryptionKey: (party) => current().encryptionKeys.get(party),
    refresh,
    isCurrent: () => clock() - checkedAt <= STALE_AFTER_MS,
    close: () => clearTimeout(timer),
  }
}

interface Picture {
  readonly version: number
  readonly parties: ReadonlyMap<string, Party>
  /** By plain name. */
  readonly byName: ReadonlyMap<string, Party>
  readonly keys: ReadonlyMap<string, RegisteredKey>
  readonly encryptionKeys: ReadonlyMap<string, EncryptionKey>
  readonly appKeys: ReadonlyMap<string, RegisteredAppKey>
  /** By `<agent> <contract>`. */
  readonly mandates: ReadonlyMap<string, readonly MandateRow[]>
  /** By `<party> <contract>`. */
  readonly grants: ReadonlyMap<string, readonly Grant[]>
  readonly areas: readonly UtilityAreaRow[]
  readonly platforms: readonly { readonly division: string; readonly party: string }[]
}

function index(rows: RegisterRows): Picture {
  const parties = rows.parties.map(
    (row): Party => ({
      id: row.id,
      nameZh: row.name_zh,
      nameEn: row.name_en,
      aliases: row.name_aliases,
      level: row.level,
      roles: row.roles,
      divisions: row.divisions,
      channel: row.channel,
      busDoor: row.bus_door,
      status: row.status,
      limits: {
        perSecond: row.limit_per_second ?? undefined,
        bytesPerSecond: row.limit_bytes_per_second ?? undefined,
        inFlight: row.limit_in_flight ?? undefined,
      },
    }),
  )
  return {
    version: rows.version,
    parties: new Map(parties.map((party) => [party.id, party])),
    byName: new Map(parties.flatMap((party) => namesOf(party).map((name) => [plainName(name), party]))),
    keys: new Map(
      rows.keys.map((row) => [
        row.kid,
        {
          party: row.party,
          agent: row.agent ?? undefined,
          state: row.state,
          stateSinceMs: row.state_since.getTime(),
          publicKey: importPublicJwk(row.public_jwk),
        },
      ]),
    ),
    encryptionKeys: new Map(rows.encryptionKeys.map((row) => [row.party, importEncryptionJwk(row.public_jwk)])),
    appKeys: new Map(rows.appKeys.map((row) => [row.id, appKeyOf(row)])),
    mandates: Map.groupBy(rows.mandates, (row) => `${row.agent} ${row.contract}`),
    grants: new Map(
      [...Map.groupBy(rows.grants, (row) => `${row.party} ${row.contract}`)].map(([of, group]) => [
        of,
        group.map(grantOf),
      ]),
    ),
    areas: rows.areas.toSorted(
      (a, b) => Number(b.is_override) - Number(a.is_override) || b.prefix.length - a.prefix.length,
    ),
    platforms: parties
      .filter((party) => party.roles.includes('approval-platform'))
      .flatMap((party) => party.divisions.map((division) => ({ division, party: party.id }))),
  }
}

/** The column takes no other method. */
const appKeyOf = (row: AppKeyRow): RegisteredAppKey => ({
  id: row.id,
  party: row.party,
  method: row.method as SignMethod,
  state: row.state,
  isFrom: createNetworks(row.networks),
  contracts: row.contracts ?? undefined,
})

const namesOf = ({ nameZh, nameEn, aliases }: Party): string[] => [nameZh, nameEn, ...aliases]

const isValidAt = (row: { readonly valid_from: Date; readonly valid_to: Date | null }, atMs: number): boolean =>
  row.valid_from.getTime() <= atMs && (row.valid_to === null || atMs < row.valid_to.getTime())

const grantOf = (row: GrantRow): Grant => ({
  id: row.id,
  contract: row.contract,
  purpose: row.purpose,
  fields: row.fields,
  legalBases: row.legal_bases,
  validFromMs: row.valid_from.getTime(),
  validToMs: row.valid_to?.getTime(),
  networks: row.networks ?? undefined,
  caps: {
    party: row.cap_party ?? undefined,
    operator: row.cap_operator ?? undefined,
    subject: row.cap_subject ?? undefined,
  },
  agreement: row.agreement ?? undefined,
})

const utilityOf = (areas: readonly UtilityAreaRow[], division: string, atMs: number): string | undefined =>
  areas.find((area) => division.startsWith(area.prefix) && isValidAt(area, atMs))?.utility

/** A county's own platform, else its league's, else the region's: 150429 → 150400 → 150000. */
function platformOf(platforms: Picture['platforms'], division: string): string | undefined {
  for (const code of [division.slice(0, 6), `${division.slice(0, 4)}00`, `${division.slice(0, 2)}0000`]) {
    const found = platforms.find((platform) => platform.division === code)
    if (found !== undefined) return found.party
  }
  return undefined
}
