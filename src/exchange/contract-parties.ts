import type { Contract, ContractSet, RoutingTarget } from '#contracts/contract.ts'
import type { PartyRegister } from './party-register.ts'
import { isProvider } from './providers.ts'

/** Who has to do with a contract, by party id. */
export interface ContractParties {
  /** Who may send under it, or ask. */
  readonly senders: readonly string[]
  /** Who may be sent it, or fetch it under a grant. */
  readonly recipients: readonly string[]
}

/** Whom a change of a contract's schema would break: by its providers, its routing, and the grants of queries for it. */
export function partiesOfContract(
  register: Pick<PartyRegister, 'parties' | 'grants'>,
  contracts: ContractSet,
  contract: Contract,
): ContractParties {
  const parties = register.parties()
  const senders = parties.filter((party) => isProvider(contract, party))
  const routed = parties.filter(({ roles }) => contract.routing.some((target) => mayReceive(target, roles)))
  const queries = contracts.list().filter(({ answers }) => asksFor(answers, contract.ref))
  const fetching = parties.filter(({ id }) => queries.some(({ ref }) => register.grants(id, ref).length > 0))
  const ids = (some: readonly { readonly id: string }[]): string[] => [...new Set(some.map(({ id }) => id))].sort()
  return { senders: ids(senders), recipients: ids([...routed, ...fetching]) }
}

function mayReceive(target: RoutingTarget, roles: readonly string[]): boolean {
  switch (target.to) {
    case 'case-utility':
    case 'division-utility':
      return roles.includes('utility')
    case 'division-platform':
      return roles.includes('approval-platform')
    case 'pointer':
      return true
    case 'none':
      return false
  }
}

const asksFor = (answers: Contract['answers'], ref: string): boolean =>
  answers?.parts.some(({ document }) => document === ref) === true
