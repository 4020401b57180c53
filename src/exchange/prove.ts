import { HubError, violated } from '#kernel/errors.ts'
import type { JsonObject } from '#kernel/json.ts'
import { ORIGINS, type Origin } from '#kernel/origin.ts'
import type { ExchangeClaims, TokenType } from '#trust/claims.ts'
import { type CompactToken, parseCompact } from '#trust/compact.ts'
import { verifySignature } from '#trust/verify.ts'
import type { PartyLimits } from './party-limits.ts'
import type { Party, PartyRegister, RegisteredKey } from './party-register.ts'

/** How far a token came; a refusal says and records only what was reached. */
export interface Progress {
  /**
   * Set once the token passed the strict parse: from here on a refusal is signed. Of a plain request, once its MAC is
   * proven: what its headers say, and the digest of its body.
   */
  token?: { readonly digest: string; readonly claims: JsonObject }
  /** Set once its signature proved a party: from here on a refusal is recorded. */
  party?: Party
  /** Set once the claims were read: from here on an earlier exchange is looked for before anything is refused. */
  claims?: ExchangeClaims
}

export interface Proven {
  readonly token: CompactToken
  readonly party: Party
  readonly key: RegisteredKey
}

export interface ProveDeps {
  readonly register: PartyRegister
  /** Undefined where the hub sets the pace: at the Kafka door, and for its own notices. */
  readonly limits: PartyLimits | undefined
}

interface Expected {
  readonly typ: TokenType
  readonly maxBytes: number
  /** The least state of the key, default active; `pending` for the proof that the holder has its private half. */
  readonly keyState?: 'active' | 'pending'
  /** Of the hub itself, default false: what it signed others hold as well, and none of it proves who brings it. */
  readonly isOwn?: boolean
}

/**
 * The front half of every way in: strict parse, in which the owner of the kid must have some of its allowance left before
 * the payload is read → typ → kid's owner is iss → pinned algorithm → signature over the bytes that arrived → the party
 * spends of its allowance and may act. Throws HubError `token.*`, `limit.exceeded`, `party.suspended`.
 */
export function proveParty(
  { register, limits }: ProveDeps,
  text: string,
  expected: Expected,
  progress: Progress,
): Proven {
  const token = parseCompact(text, expected.maxBytes, ({ kid }) => {
    const owner = register.key(kid)?.party
    if (owner !== undefined) limits?.requireAllowance(owner)
  })
  progress.token = token
  if (token.header.typ !== expected.typ) {
    throw violated('token.type_wrong', '/typ', 'typ', `typ 应为 ${expected.typ}`, `typ must be ${expected.typ}`)
  }
  const key = register.key(token.header.kid)
  if (key === undefined) throw new HubError('token.key_unknown')
  if (token.claims['iss'] !== key.party) throw new HubError('token.key_foreign')
  if (!isUsable(key, expected.keyState ?? 'active', token)) throw new HubError('token.key_inactive')
  const party = register.party(key.party)
  if (party === undefined) throw new HubError('token.key_unknown')
  if (party.roles.includes('hub') !== (expected.isOwn ?? false)) throw new HubError('token.key_foreign')
  verifySignature(token, key.publicKey)
  progress.party = party
  limits?.spend(party, text.length)
  if (party.status === 'suspended') throw new HubError('party.suspended')
  return { token, party, key }
}

/** A key that was followed by another one, `verify-only`, still serves for what was signed before. */
function isUsable(key: RegisteredKey, least: 'active' | 'pending', { claims }: CompactToken): boolean {
  if (key.state === 'active' || key.state === least) return true
  const iat = claims['iat']
  return key.state === 'verify-only' && typeof iat === 'number' && iat * 1_000 < key.stateSinceMs
}

/**
 * Once more, when an answer took time: throws what `proveParty` would throw by now, so that an answer under way is
 * withheld from a party that was suspended or lost its key meanwhile.
 */
export function requireStanding(register: PartyRegister, { token, party }: Pick<Proven, 'token' | 'party'>): void {
  const key = register.key(token.header.kid)
  if (key === undefined || !isUsable(key, 'active', token)) throw new HubError('token.key_inactive')
  if (register.party(party.id)?.status !== 'active') throw new HubError('party.suspended')
}

/** Who sends an exchange, by whichever door. */
export interface Sender {
  readonly party: Party
  /** The agent that holds the party's key. */
  readonly agent: string | undefined
  /** Stated in receipt, status and case. */
  readonly origin: Origin
}

export const senderOf = ({ party, key }: Proven): Sender => ({ party, agent: key.agent, origin: originOf(party, key) })

function originOf(party: Party, key: RegisteredKey): Origin {
  if (key.agent !== undefined) return 'agent-signed'
  return party.roles.includes('connector') ? 'connector-attested' : 'party-signed'
}

export const originSuffices = (origin: Origin, least: Origin): boolean =>
  ORIGINS.indexOf(origin) >= ORIGINS.indexOf(least)
