import { asHubError, type HubError } from '#kernel/errors.ts'
import type { ContractSet } from './contract.ts'
import { loadContracts } from './load.ts'

/** What became of a reload; a failed one left the set in force as it was. */
export type Reloaded =
  | { readonly kind: 'unchanged' | 'changed'; readonly digest: string; readonly contracts: number }
  | { readonly kind: 'failed'; readonly error: HubError }

/** The contracts in force. A whole new set takes their place at once, or nothing changes. */
export interface LiveContractSet extends ContractSet {
  /** Reads contracts and schemas again. Never throws. An exchange is judged by one set: its judgement is not interrupted. */
  readonly reload: () => Reloaded
  /** Throws what the check throws on the set in force, and lets no later set come into force that fails it. */
  readonly require: (check: (set: ContractSet) => void) => void
}

/** Throws `contract.set_invalid` with every fault, as `loadContracts`. */
export function openContracts(rootDir: string): LiveContractSet {
  let current = loadContracts(rootDir)
  const checks: ((set: ContractSet) => void)[] = []
  return {
    get: (ref) => current.get(ref),
    list: () => current.list(),
    schema: (path) => current.schema(path),
    get digest() {
      return current.digest
    },
    reload() {
      try {
        const next = loadContracts(rootDir)
        for (const check of checks) check(next)
        const kind = next.digest === current.digest ? 'unchanged' : 'changed'
        if (kind === 'changed') current = next
        return { kind, digest: current.digest, contracts: current.list().length }
      } catch (error) {
        return { kind: 'failed', error: asHubError(error) }
      }
    },
    require(check) {
      check(current)
      checks.push(check)
    },
  }
}
