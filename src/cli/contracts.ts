import { PROJECT_ROOT } from '#compose.ts'
import { lintContracts } from '#contracts/lint.ts'
import { readSources } from '#contracts/load.ts'
import { RELEASED_FILE, releaseSchemas } from '#contracts/released.ts'
import { systemClock } from '#kernel/clock.ts'
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
