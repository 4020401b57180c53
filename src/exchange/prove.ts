import { HubError, violated } from '#kernel/errors.ts'
import { ORIGINS, type Origin } from '#kernel/origin.ts'
import type { TokenType } from '#trust/claims.ts'
import { type CompactToken, parseCompact } from '#trust/compact.ts'
import { verifySignature } from '#trust/verify.ts'
import type { Party, PartyRegister, RegisteredKey } from './party-register.ts'

/** How far a token came; a refusal says and records only what was reached. */
export interface Progress {
  /** Set once the token passed the strict parse: from here on a refusal is signed. */
  token?: CompactToken
  /** Set once its signature proved a party: from here on a refusal is recorded. */
  party?: Party
}

export interface Proven {
  readonly token: CompactToken
  readonly party: Party
  readonly key: RegisteredKey
}

/**
 * The front half of every way in: strict parse → typ → kid's owner is iss → pinned algorithm → signature over the
 * bytes that arrived → the party may act. Throws HubError `token.*`, `party.suspended`.
 */
export function proveParty(
  register: PartyRegister,
  text: string,
  expected: { readonly typ: TokenType; readonly maxBytes: number },
  progress: Progress,
): Proven {
  const token = parseCompact(text, expected.maxBytes)
  progress.token = token
  if (token.header.typ !== expected.typ) {
    throw violated('token.type_wrong', '/typ', 'typ', `typ 应为 ${expected.typ}`, `typ must be ${expected.typ}`)
  }
  const key = register.key(token.header.kid)
  if (key === undefined) throw new HubError('token.key_unknown')
  if (token.claims['iss'] !== key.party) throw new HubError('token.key_foreign')
  if (key.state !== 'active') throw new HubError('token.key_inactive')
  verifySignature(token, key.publicKey)
  const party = register.party(key.party)
  if (party === undefined) throw new HubError('token.key_unknown')
  progress.party = party
  if (party.status === 'suspended') throw new HubError('party.suspended')
  return { token, party, key }
}

/** How an exchange came to be signed; stated in its receipt, status and case. */
export function originOf({ party, key }: Proven): Origin {
  if (key.agent !== undefined) return 'agent-signed'
  return party.roles.includes('connector') ? 'connector-attested' : 'party-signed'
}

export const originSuffices = (origin: Origin, least: Origin): boolean =>
  ORIGINS.indexOf(origin) >= ORIGINS.indexOf(least)
