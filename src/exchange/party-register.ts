import type { PublicKey } from '#trust/keys.ts'
import type { SignMethod } from '#trust/mac.ts'

/** A party as acceptance needs it. */
export interface Party {
  readonly id: string
  readonly nameZh: string
  readonly nameEn: string
  /** Other names that it is known by. */
  readonly aliases: readonly string[]
  /** 自治区, 盟市, 旗县. */
  readonly level: 'region' | 'league' | 'county'
  readonly roles: readonly string[]
  readonly divisions: readonly string[]
  /** `bus`: a connector consumes for it; `inbox`: it pulls. */
  readonly channel: 'bus' | 'inbox'
  /** Whether it sends through its topic `dx.in.<party>` as well as by HTTP. */
  readonly busDoor: boolean
  readonly status: 'active' | 'suspended'
  /** Its own limits; undefined where the hub's defaults hold. */
  readonly limits: { readonly [Limit in keyof PartyLimit]: number | undefined }
}

/** What one party may do at one gateway. */
export interface PartyLimit {
  readonly perSecond: number
  readonly bytesPerSecond: number
  /** Requests and lines that are not answered yet. */
  readonly inFlight: number
}

export interface RegisteredKey {
  readonly party: string
  /** The agent that holds this key for the party, or undefined when the party holds it itself. */
  readonly agent: string | undefined
  readonly state: 'pending' | 'active' | 'verify-only' | 'retired' | 'revoked'
  /** Unix milliseconds. */
  readonly stateSinceMs: number
  readonly publicKey: PublicKey
}

/** What a party sends plain JSON with; its secret is derived, and stands nowhere. */
export interface RegisteredAppKey {
  readonly id: string
  readonly party: string
  readonly method: SignMethod
  readonly state: 'active' | 'revoked'
  /** Whether a request may come from this IP address. */
  readonly isFrom: (address: string) => boolean
  /** Undefined: whatever its party may send. */
  readonly contracts: readonly string[] | undefined
}

export interface Grant {
  readonly id: string
  readonly contract: string
  readonly purpose: string
  readonly fields: readonly string[]
  readonly legalBases: readonly string[]
  /** Unix milliseconds; the end is exclusive, undefined for ever. */
  readonly validFromMs: number
  readonly validToMs: number | undefined
  /** CIDR blocks that it may be used from; undefined: any. */
  readonly networks: readonly string[] | undefined
  /** How often a day (Asia/Shanghai) it may be used; undefined: without a cap. */
  readonly caps: { readonly [Scope in 'party' | 'operator' | 'subject']: number | undefined }
  /** The agreement that it rests on. */
  readonly agreement: string | undefined
}

/**
 * The register as a consistent picture in memory. Every question throws `hub.store_unavailable` when the picture
 * could not be refreshed in time: nobody is let in on stale rights.
 */
export interface PartyRegister {
  party(id: string): Party | undefined
  parties(): readonly Party[]
  /** By its id or any of its names, however they are spaced; nobody's name is another's too. */
  partyNamed(name: string): Party | undefined
  key(kid: string): RegisteredKey | undefined
  appKey(id: string): RegisteredAppKey | undefined
  hasMandate(agent: string, principal: string, contract: string, atMs: number): boolean
  /** The agent itself and everybody it may send this contract for. */
  actsFor(agent: string, contract: string, atMs: number): readonly string[]
  /** Past and future ones too. */
  grants(party: string, contract: string): readonly Grant[]
  /** The utility that serves a division: longest prefix, dated. */
  utilityOf(division: string, atMs: number): string | undefined
  /** The approval platform of a division: the one named for the longest prefix of the code. */
  platformOf(division: string): string | undefined
}
