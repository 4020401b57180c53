import type { Contract } from '#contracts/contract.ts'
import { HubError, violated } from '#kernel/errors.ts'
import { atPointer } from '#kernel/json.ts'
import type { ExchangeClaims } from '#trust/claims.ts'
import type { PartyRegister } from './party-register.ts'
import { originSuffices, type Sender } from './prove.ts'

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
  const provides = contract.providers.some((provider) =>
    'party' in provider ? provider.party === principal?.id : principal?.roles.includes(provider.role) === true,
  )
  if (!provides) {
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

/** `sub` and `caseNo` equal what the contract's pointers find; only an own exchange can be superseded. */
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
