import type { JsonObject } from '#kernel/json.ts'
import type { Contract } from '../contract.ts'
import { compat } from './compare.ts'
import type { Change, Verdict } from './verdict.ts'

/** Whether a version of a schema may follow the one before it, as the contract that uses it demands. */
export interface VersionCheck {
  readonly contract: string
  readonly mode: Contract['compatibility']
  /** Paths under schemas/; the versions that it follows, the latest last. */
  readonly earlier: readonly string[]
  readonly schema: string
  readonly verdict: Verdict
  readonly changes: readonly Change[]
}

/**
 * Every step between versions of a schema with the major of its contract's own, up to that one. A new major may break
 * what it likes: it is another contract on the wire.
 */
export function checkVersions(
  contracts: readonly Contract[],
  schemas: ReadonlyMap<string, JsonObject>,
): readonly VersionCheck[] {
  return contracts.flatMap((contract) => {
    const versions = versionsUpTo(contract.schema, [...schemas.keys()])
    return versions.slice(1).flatMap((schema, n) => {
      const next = schemas.get(schema)
      const earlier = versions.slice(contract.compatibility === 'transitive' ? 0 : n, n + 1)
      const documents = earlier.map((path) => schemas.get(path)).filter((one) => one !== undefined)
      if (next === undefined) return []
      const { verdict, changes } = compat(documents, next, contract.compatibility)
      return [{ contract: contract.ref, mode: contract.compatibility, earlier, schema, verdict, changes }]
    })
  })
}

function versionsUpTo(schema: string, paths: readonly string[]): string[] {
  const [name = '', file = ''] = schema.split('/')
  const [major] = file.split('.')
  const { compare } = new Intl.Collator('en', { numeric: true })
  return paths.filter((path) => path.startsWith(`${name}/${major}.`) && compare(path, schema) <= 0).sort(compare)
}
