import { PROJECT_ROOT } from '#compose.ts'
import { lintContracts } from '#contracts/lint.ts'
import { systemClock } from '#kernel/clock.ts'
import { printJson, say } from './output.ts'

/** One JSON line a fault; exit code 3 when there are any. */
export async function lint(): Promise<number> {
  const faults = lintContracts(PROJECT_ROOT, systemClock())
  for (const fault of faults) printJson(fault)
  say(`${faults.length} faults`)
  return faults.length === 0 ? 0 : 3
}
