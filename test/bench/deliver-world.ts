import { spawn } from 'node:child_process'
import path from 'node:path'
import { createInterface } from 'node:readline'
import { makeTopics } from '#cli/demo/real.ts'
import { startLocalKafka } from '#sandbox/kafka-broker.ts'
import { missingForKafka } from '#sandbox/kafka-jars.ts'
import { type HubProcess, startHub } from './hub.ts'
import { ROOT } from './message.ts'
import type { World } from './world.ts'

/** What a delivery needs beside a gateway: a broker, a process that relays and connects, and the utilities' systems. */
export interface DeliveryWorld {
  readonly gateway: HubProcess
  /** Relay, cases and connectors. */
  readonly worker: HubProcess
  stop(): Promise<void>
}

const CACHE = path.join(ROOT, '.cache/kafka')

/** The second hub of a bench: its database is another one than the world's own. */
export async function openDeliveries(world: World, databaseUrl: string): Promise<DeliveryWorld> {
  const missing = await missingForKafka(CACHE)
  if (missing !== undefined) throw new Error(`no Kafka can run on this machine: ${missing}`)
  const stops: (() => Promise<void>)[] = []
  const stop = async (): Promise<void> => {
    for (const one of stops.splice(0).reverse()) await one()
  }
  try {
    const kafka = await startLocalKafka({ cacheDir: CACHE, dataDir: path.join(world.directory, 'kafka') })
    stops.push(kafka.stop)
    await makeTopics({ databaseUrl, brokers: kafka.brokers })
    const peers = await startPeers()
    stops.push(peers.stop)
    const env = { ...world.hubEnv, DATABASE_URL: databaseUrl, KAFKA_BROKERS: kafka.brokers.join(',') }
    const gateway = await startHub(env)
    stops.push(gateway.stop)
    const roles = { ROLES: 'relay,cases,connect', OPERATIONS_PORT: '0' }
    const worker = await startHub({ ...env, ...roles, ...peers.endpoints })
    stops.push(worker.stop)
    return { gateway, worker, stop }
  } catch (error) {
    await stop()
    throw error
  }
}

interface Peers {
  /** ENDPOINT_<NAME> of each system. */
  readonly endpoints: Readonly<Record<string, string>>
  stop(): Promise<void>
}

const PEER_LINE = /^([a-z-]+) {2}(http:\/\/\S+)$/

/** `dianqiao sandbox` as a process of its own. */
async function startPeers(): Promise<Peers> {
  const child = spawn(process.execPath, [path.join(ROOT, 'src/main.ts'), 'sandbox'], {
    env: { PATH: process.env['PATH'], PORT: '0' },
    stdio: ['ignore', 'ignore', 'pipe'],
  })
  process.once('exit', () => child.kill('SIGKILL'))
  const ended = new Promise<void>((resolve) => child.once('exit', () => resolve()))
  const endpoints: Record<string, string> = {}
  await new Promise<void>((resolve, reject) => {
    createInterface({ input: child.stderr }).on('line', (line) => {
      const [, utility, url] = PEER_LINE.exec(line) ?? []
      if (utility === undefined || url === undefined) return
      endpoints[`ENDPOINT_${utility.toUpperCase().replaceAll('-', '_')}_MARKETING`] = url
      if (Object.keys(endpoints).length === 2) resolve()
    })
    void ended.then(() => reject(new Error('the sandbox ended before it listened')))
  })
  return {
    endpoints,
    async stop() {
      child.kill('SIGTERM')
      await ended
    },
  }
}
