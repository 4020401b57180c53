import type { Contract } from '#contracts/contract.ts'
import { canonicalJson, sha256Digest } from '#kernel/canonical.ts'
import { HubError, violated } from '#kernel/errors.ts'
import { atPointer, type Json } from '#kernel/json.ts'
import type { ExchangeClaims } from '#trust/claims.ts'
import type { PartyRegister } from './party-register.ts'
import { originSuffices, type Sender } from './prove.ts'
import { isProvider } from './providers.ts'

/**
 * The right to send under a contract: the principal's role or name among its providers, a mandate where somebody acts
 * for it, and an origin that suffices. Throws `party.suspended`, and `right.*`, which names what is missing.
 */
export function checkRight(
  register: PartyRegister,
  sender: Sender,
  claims: ExchangeClaims,
  contract: Contract,
  nowMs: number,
): void {
  const principal = claims.obo === undefined ? sender.party : register.party(claims.obo)
  if (claims.obo !== undefined && !register.hasMandate(claims.iss, claims.obo, contract.ref, nowMs)) {
    throw violated(
      'right.no_mandate',
      '/obo',
      `mandate:${contract.ref}`,
      `没有代 ${claims.obo} 发送 ${contract.ref} 的授权`,
      `no mandate to send ${contract.ref} for ${claims.obo}`,
    )
  }
  if (principal?.status === 'suspended') throw new HubError('party.suspended')
  if (principal === undefined || !isProvider(contract, principal)) {
    throw violated(
      'right.missing',
      '/contract',
      `send:${contract.ref}`,
      `无权发送 ${contract.ref}`,
      `no right to send ${contract.ref}`,
    )
  }
  if (!originSuffices(sender.origin, contract.minOrigin)) {
    throw violated(
      'right.missing',
      '/contract',
      `origin:${contract.minOrigin}`,
      `${contract.ref} 至少要求 ${contract.minOrigin}`,
      `${contract.ref} asks for ${contract.minOrigin} at least`,
    )
  }
  if (claims.act !== sender.agent) {
    throw violated(
      'token.claims_invalid',
      '/act',
      'act',
      'act 须为登记的代签连接器',
      'act must be the agent the key is registered for',
    )
  }
}

/**
 * `sub` and `caseNo` equal what the contract's pointers find, the jti what follows from the business key where the
 * contract says so; only an own exchange can be superseded.
 */
export function checkBinding(contract: Contract, claims: ExchangeClaims): void {
  if (atPointer(claims.data, contract.sub) !== claims.sub) {
    throw violated(
      'contract.claim_mismatch',
      '/sub',
      'sub',
      `sub 须等于 data${contract.sub}`,
      `sub must equal data${contract.sub}`,
    )
  }
  if (
    contract.caseNo !== undefined &&
    claims.caseNo !== undefined &&
    atPointer(claims.data, contract.caseNo) !== claims.caseNo
  ) {
    throw violated(
      'contract.claim_mismatch',
      '/caseNo',
      'caseNo',
      `caseNo 须等于 data${contract.caseNo}`,
      `caseNo must equal data${contract.caseNo}`,
    )
  }
  checkJti(contract, claims)
  if (claims.supersedes !== undefined && claims.supersedes.iss !== claims.iss) {
    throw violated(
      'token.claims_invalid',
      '/supersedes/iss',
      'supersedes',
      '只能取代本方的交换',
      'only an own exchange can be superseded',
    )
  }
}

/** One exchange for each business key and revision: their jti is theirs, so the replay look-up finds the first. */
function checkJti({ ref, idempotency }: Contract, { jti, sub, data }: ExchangeClaims): void {
  if (idempotency?.by !== 'business-key') return
  if (jti === businessJti(ref, sub, atPointer(data, idempotency.revision))) return
  throw violated(
    'contract.claim_mismatch',
    '/jti',
    'jti',
    `jti 须为 base64url(SHA-256(规范 JSON [合同, sub, data${idempotency.revision}]))`,
    `jti must be base64url(SHA-256(canonical JSON [contract, sub, data${idempotency.revision}]))`,
  )
}

/** The jti of a contract's business key and revision; RFC 8785 makes its text the same everywhere. */
export const businessJti = (contract: string, sub: string, revision: Json | undefined): string =>
  sha256Digest(canonicalJson([contract, sub, revision ?? null])).slice('sha-256:'.length)
