import { setTimeout as sleep } from 'node:timers/promises'
import pc from 'picocolors'
import type { Log } from '#compose.ts'
import { type Config, configFromProcess } from '#config.ts'
import { boot, type RunningHub } from './boot.ts'
import { createLog } from './log.ts'
import { say } from './output.ts'

/**
 * `dianqiao start`: SIGHUP loads contracts and schemas again. Runs until SIGTERM or SIGINT; then it is not ready for DRAIN_MS, stops, and ends with 0, or with 1
 * when something did not stop within STOP_WITHIN_MS or failed to. A second signal ends it at once with 130.
 */
export async function start(roles?: string): Promise<number> {
  const config = configFromProcess(roles === undefined ? {} : { ROLES: roles })
  const log = createLog(config.logLevel)
  let running: RunningHub | undefined
  // From the first moment on: without a listener the signal would end the process.
  process.on('SIGHUP', () => running?.reloadContracts())
  const hub = await boot(config, log)
  running = hub
  const { digest } = hub.core.contracts
  log({ level: 'info', message: 'contracts', fields: { digest, contracts: hub.core.contracts.list().length } })
  tell(config, hub)
  await new Promise<void>((resolve) => {
    const end = (): void => {
      for (const signal of ['SIGTERM', 'SIGINT'] as const) {
        process.removeListener(signal, end)
        process.once(signal, () => process.exit(130))
      }
      resolve()
    }
    process.once('SIGTERM', end)
    process.once('SIGINT', end)
  })
  return end(config, log, hub)
}

async function end(config: Config, log: Log, hub: RunningHub): Promise<number> {
  hub.drain()
  if (config.drainMs > 0) {
    say(`draining for ${config.drainMs} ms`)
    await sleep(config.drainMs)
  }
  say('stopping')
  const late = setTimeout(() => {
    log({
      level: 'error',
      message: `did not stop within ${config.stopWithinMs} ms: ${hub.stopping() ?? 'the process'}`,
    })
    process.exit(1)
  }, config.stopWithinMs)
  const clean = await hub.stop()
  // Something that still holds the process keeps the alarm; nothing else does.
  late.unref()
  return clean ? 0 : 1
}

function tell(config: Config, hub: RunningHub): void {
  say(`${pc.bold('电桥 Dianqiao')}  roles: ${config.roles.join(', ')}`)
  if (hub.url !== undefined) {
    say(`  gateway   ${hub.url}`)
    say(`  OpenAPI   ${hub.url}/openapi.json`)
  }
  const operations = hub.operationsUrl ?? hub.url
  if (operations !== undefined) say(`  metrics   ${operations}/metrics`)
  for (const [name, peer] of [...hub.peers, ...hub.lookUpPeers]) say(`  sandbox   ${peer.url}  (${name})`)
  say(`  data      ${config.databaseUrl === undefined ? config.dataDir : 'DATABASE_URL'}`)
  if (hub.url !== undefined) say(`\n  curl -s ${hub.url}/v1/time\n  curl -s ${hub.url}/health/ready`)
}
