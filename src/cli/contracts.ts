import { PROJECT_ROOT } from '#compose.ts'
import { checkVersions } from '#contracts/compat/check.ts'
import type { ContractSet } from '#contracts/contract.ts'
import { contractIndex, contractPage, type PageLanguage, schemaPage } from '#contracts/contract-page.ts'
import { contractTypes } from '#contracts/contract-types.ts'
import { validExamples } from '#contracts/examples.ts'
import { lintContracts } from '#contracts/lint.ts'
import { loadContracts, readSources } from '#contracts/load.ts'
import { RELEASED_FILE, releaseSchemas } from '#contracts/released.ts'
import { FORMAT_SCHEMA } from '#contracts/schema-files.ts'
import { systemClock } from '#kernel/clock.ts'
import { HubError } from '#kernel/errors.ts'
import type { JsonObject } from '#kernel/json.ts'
import { usage } from './json-file.ts'
import { printJson, say } from './output.ts'

/** One JSON line a fault; exit code 3 when there are any. */
export async function lint(): Promise<number> {
  const faults = lintContracts(PROJECT_ROOT, systemClock())
  for (const fault of faults) printJson(fault)
  say(`${faults.length} faults`)
  return faults.length === 0 ? 0 : 3
}

/** Locks schemas, one JSON line each; with `all` every version of those that contracts use, beside what is named. */
export function release(paths: readonly string[], all: boolean): void {
  const wanted = [...new Set([...paths, ...(all ? usedSchemas() : [])])]
  if (wanted.length === 0) throw usage('请给出模式路径或 --all', 'name schema paths, or --all')
  const added = releaseSchemas(PROJECT_ROOT, wanted)
  for (const path of added) printJson({ released: path })
  say(`${added.length} added to ${RELEASED_FILE}`)
}

function usedSchemas(): string[] {
  const { contracts, schemas } = readSources(PROJECT_ROOT)
  const names = new Set(contracts.map(({ schema }) => schema.split('/')[0]))
  return [...schemas.keys()].filter((path) => names.has(path.split('/')[0]))
}

/** TypeScript types of every contract's data, for connectors. */
export const types = (): void => void process.stdout.write(contractTypes(loadContracts(PROJECT_ROOT).list()))

/** Pages of the docs in Markdown: one contract's, that of the format of contracts, or the list of all. */
export function docs(ref: string | undefined, language: PageLanguage): void {
  const contracts = loadContracts(PROJECT_ROOT)
  process.stdout.write(pageOf(contracts, ref, language))
}

function pageOf(contracts: ContractSet, ref: string | undefined, language: PageLanguage): string {
  if (ref === undefined) return contractIndex(contracts.list(), language)
  if (ref === 'format') return schemaPage(formatOf(contracts), language)
  const contract = contracts.get(ref)
  if (contract === undefined) throw new HubError('contract.unknown')
  return contractPage(contract, validExamples(PROJECT_ROOT, contract.schema), language)
}

const formatOf = (contracts: ContractSet): JsonObject => contracts.schema(FORMAT_SCHEMA) ?? {}

/** Whether each version of a schema may follow those before it, a JSON line each; exit code 3 when one may not. */
export function check(): number {
  const { contracts, schemas, faults } = readSources(PROJECT_ROOT)
  if (faults.length > 0) throw new HubError('contract.set_invalid', { violations: faults })
  const checks = checkVersions(contracts, schemas)
  for (const one of checks) printJson(one)
  const refused = checks.filter(({ verdict }) => verdict !== 'compatible').length
  say(`${checks.length} steps between versions, ${refused} not compatible`)
  return refused === 0 ? 0 : 3
}
