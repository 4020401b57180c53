import type { LiveContractSet } from '#contracts/live-set.ts'
import type { Metrics } from '#gateway/metrics.ts'
import type { Log } from './compose.ts'

/**
 * Loads contracts and schemas again and says in the log what came of it: each fault has a line of its own, and a failed
 * reload stays visible in the metrics until one succeeds.
 */
export function reloadContracts(
  contracts: LiveContractSet,
  metrics: Pick<Metrics, 'contractsReloaded'>,
  log: Log,
): boolean {
  const result = contracts.reload()
  metrics.contractsReloaded(result.kind)
  if (result.kind === 'failed') {
    const { code, violations } = result.error
    for (const { pointer, rule, message } of violations) {
      log({ level: 'error', message: `contracts: ${message.en}`, fields: { pointer, rule } })
    }
    log({
      level: 'error',
      message: 'contracts not reloaded; the former ones stay in force',
      error: result.error,
      fields: { code, faults: violations.length, digest: contracts.digest },
    })
    return false
  }
  const { kind, digest, contracts: count } = result
  log({ level: 'info', message: `contracts reloaded: ${kind}`, fields: { digest, contracts: count } })
  return true
}
