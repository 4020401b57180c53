import type { Contract, ContractSet } from './contract.ts'

/** By the list of a set, which stays the same as long as the set does: every query asks. */
const known = new WeakMap<readonly Contract[], readonly string[]>()

/** Documents whose holders are codes of one person: by them a subject is known under its other codes too. */
export function identifyingContracts(contracts: Pick<ContractSet, 'list'>): readonly string[] {
  const list = contracts.list()
  const found = known.get(list) ?? list.flatMap(({ ref, document }) => (document?.identifies ? [ref] : []))
  known.set(list, found)
  return found
}
