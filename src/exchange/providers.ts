import type { Contract, Provider } from '#contracts/contract.ts'
import type { Party } from './party-register.ts'

/** Whether a party is among those who may send under a contract: by name, or by role, level and division. */
export const isProvider = (contract: Pick<Contract, 'providers'>, party: Party): boolean =>
  contract.providers.some((provider) => names(provider, party))

function names(provider: Provider, { id, roles, level, divisions }: Party): boolean {
  if ('party' in provider) return provider.party === id
  const { division } = provider
  return (
    roles.includes(provider.role) &&
    (provider.level === undefined || provider.level === level) &&
    (division === undefined || divisions.some((own) => own.startsWith(prefixOf(division))))
  )
}

/** What the codes of a division and of all inside it begin with (GB/T 2260): 150000 → 15, 150400 → 1504. */
const prefixOf = (division: string): string => division.replace(/(?:00)+$/, '')
