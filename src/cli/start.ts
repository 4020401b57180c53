import pc from 'picocolors'
import { configFromProcess } from '#config.ts'
import { boot } from './boot.ts'
import { createLog } from './log.ts'
import { say } from './output.ts'

/** `dianqiao start`: runs until SIGTERM or SIGINT, then drains. A second signal ends at once. */
export async function start(): Promise<void> {
  const config = configFromProcess()
  const hub = await boot(config, createLog(config.logLevel))
  say(`${pc.bold('电桥 Dianqiao')}  roles: ${config.roles.join(', ')}`)
  if (hub.url !== undefined) {
    say(`  gateway   ${hub.url}`)
    say(`  OpenAPI   ${hub.url}/openapi.json`)
  }
  const operations = hub.operationsUrl ?? hub.url
  if (operations !== undefined) say(`  metrics   ${operations}/metrics`)
  for (const [party, peer] of hub.peers) say(`  sandbox   ${peer.url}  (${party})`)
  say(`  data      ${config.databaseUrl === undefined ? config.dataDir : 'DATABASE_URL'}`)
  if (hub.url !== undefined) say(`\n  curl -s ${hub.url}/v1/time\n  curl -s ${hub.url}/health/ready`)
  await new Promise<void>((resolve) => {
    const end = (): void => {
      process.once('SIGINT', () => process.exit(130))
      resolve()
    }
    process.once('SIGTERM', end)
    process.once('SIGINT', end)
  })
  say('stopping')
  await hub.stop()
}
