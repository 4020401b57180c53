import { randomBytes } from 'node:crypto'
import { existsSync } from 'node:fs'
import { mkdir, rename, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { type KafkaJars, kafkaJars } from './kafka-jars.ts'
import { type JavaProcess, javaArguments, launchJava, runJava } from './kafka-process.ts'
import { makeCertificate, type NodePlan, propertiesOf } from './kafka-properties.ts'
import { takePort } from './ports.ts'

export interface LocalKafkaOptions {
  /** Holds the jars; shared by all runs. */
  readonly cacheDir: string
  /** Holds properties and logs of this cluster; made if missing. The caller removes it. */
  readonly dataDir: string
  readonly nodes?: 1 | 3
  /** Users of a SASL_SSL listener, SCRAM-SHA-512. With them the ACLs are enforced, and the plain listener is an administrator. */
  readonly users?: Readonly<Record<string, string>>
}

/** Apache Kafka in KRaft mode on loopback, without Docker. */
export interface LocalKafka {
  readonly brokers: readonly string[]
  /** The SASL_SSL listeners and the certificate they show, where users were given. */
  readonly secure: { readonly brokers: readonly string[]; readonly ca: string } | undefined
  /** Ends one node: SIGTERM moves its leaderships first, SIGKILL does not. */
  readonly stopNode: (node: number, signal?: 'SIGTERM' | 'SIGKILL') => Promise<void>
  /** SIGSTOP: it keeps its connections and says nothing any more; SIGCONT: it goes on. */
  readonly signalNode: (node: number, signal: 'SIGSTOP' | 'SIGCONT') => void
  /** Starts it again on the same port and log. */
  readonly startNode: (node: number) => Promise<void>
  readonly stop: () => Promise<void>
}

/**
 * Starts a cluster of one or three nodes; resolves when every node takes connections. Nodes are numbered from 0.
 * Throws `bus.unavailable` with the broker's last words. The first start fetches the jars (about half a minute).
 */
export async function startLocalKafka(options: LocalKafkaOptions): Promise<LocalKafka> {
  const jars = await kafkaJars(options.cacheDir)
  const { dataDir, nodes = 1, users } = options
  await mkdir(dataDir, { recursive: true })
  const certificate = users === undefined ? undefined : await makeCertificate(dataDir)
  const taken = await Promise.all(Array.from({ length: nodes * 3 }, takePort))
  const ports = taken.map(({ port }) => port)
  const plans = Array.from({ length: nodes }, (_, n) => ({
    id: n + 1,
    ports: { plain: ports[3 * n] ?? 0, controller: ports[3 * n + 1] ?? 0, secure: ports[3 * n + 2] ?? 0 },
    directory: join(dataDir, `node-${n + 1}`),
  }))
  const clusterId = randomBytes(16).toString('base64url')
  await Promise.all(plans.map((plan) => format(jars, plan, propertiesOf(plan, plans, certificate), clusterId, users)))
  const record = `${jars.archive}.${clusterId}`
  const running = new Map<number, JavaProcess>()

  const startNode = async (node: number): Promise<void> => {
    const plan = plans[node]
    if (plan === undefined || running.has(node)) return
    const isRecorder = node === 0 && !existsSync(jars.archive)
    const args = [...javaArguments(jars, isRecorder ? record : undefined), 'kafka.Kafka', fileOf(plan)]
    running.set(node, await launchJava(args, plan.ports.plain))
  }
  const stopNode = async (node: number, signal: 'SIGTERM' | 'SIGKILL' = 'SIGTERM'): Promise<void> => {
    await running.get(node)?.stop(signal)
    running.delete(node)
    // The name says which cluster wrote it, so a file that is moved here is whole.
    if (node === 0) await rename(record, jars.archive).catch(() => undefined)
  }
  const stop = async (): Promise<void> => {
    // All at once: a node that leaves alone waits for others to take over what it leads.
    await Promise.all(plans.map((_, node) => stopNode(node)))
    await Promise.all(taken.map(({ release }) => release()))
  }
  try {
    await Promise.all(plans.map((_, node) => startNode(node)))
  } catch (error) {
    await stop()
    throw error
  }
  const addressesOf = (port: 'plain' | 'secure'): readonly string[] =>
    plans.map(({ ports }) => `127.0.0.1:${ports[port]}`)
  return {
    brokers: addressesOf('plain'),
    secure: certificate === undefined ? undefined : { brokers: addressesOf('secure'), ca: certificate.pem },
    stopNode,
    signalNode: (node, signal) => running.get(node)?.signal(signal),
    startNode,
    stop,
  }
}

const fileOf = (plan: NodePlan): string => join(plan.directory, 'server.properties')

async function format(
  jars: KafkaJars,
  plan: NodePlan,
  properties: string,
  clusterId: string,
  users: Readonly<Record<string, string>> = {},
): Promise<void> {
  await rm(plan.directory, { recursive: true, force: true })
  await mkdir(plan.directory, { recursive: true })
  await writeFile(fileOf(plan), properties, { mode: 0o600 })
  const scram = Object.entries(users).flatMap(([name, password]) => [
    '--add-scram',
    `SCRAM-SHA-512=[name="${name}",password="${password}"]`,
  ])
  const args = ['kafka.tools.StorageTool', 'format', `--cluster-id=${clusterId}`, '-c', fileOf(plan), ...scram]
  await runJava([...javaArguments(jars), ...args])
}
