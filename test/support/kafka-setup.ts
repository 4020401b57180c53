import { existsSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { createServer } from 'node:http'
import { type AddressInfo, createServer as createSocketServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { TestProject } from 'vitest/node'
import { startLocalKafka } from '#sandbox/kafka-broker.ts'
import { missingForKafka } from '#sandbox/kafka-jars.ts'

declare module 'vitest' {
  export interface ProvidedContext {
    /** Where a test file asks for the broker of this run, or why there is none. */
    kafka: { readonly starterUrl: string } | { readonly missing: string }
    /** Where the jars are, for tests that need a broker of their own, or why there are none. */
    kafkaJars: { readonly cacheDir: string } | { readonly missing: string }
  }
}

interface Broker {
  readonly brokers: readonly string[]
  readonly end: () => Promise<void>
}

const ROOT = join(import.meta.dirname, '../..')
const CACHE = join(ROOT, '.cache/kafka')
const IMAGE = 'apache/kafka:4.1.1'

/**
 * One broker for the whole run, started when the first test file asks for it: KAFKA_BROKERS, else a container where
 * Docker answers, else Maven's jars on the installed JDK. Where there is none, its suites are skipped by name, unless
 * DIANQIAO_TEST_REQUIRE lists `kafka`.
 */
export async function setup(project: TestProject): Promise<() => Promise<void>> {
  const missing = await missingForKafka(CACHE)
  const isRequired = (process.env['DIANQIAO_TEST_REQUIRE'] ?? '').split(',').includes('kafka')
  project.provide('kafkaJars', missing === undefined ? { cacheDir: CACHE } : { missing })
  const start = await findStart(missing)
  if (start === undefined || (isRequired && missing !== undefined)) {
    const reason = missing ?? 'unknown'
    if (isRequired) throw new Error(`no Kafka for this run: ${reason}`)
    project.provide('kafka', { missing: reason })
    return async () => undefined
  }
  let broker: Promise<Broker> | undefined
  const server = createServer((_request, response) => {
    broker ??= start()
    broker.then(
      ({ brokers }) => response.end(JSON.stringify({ brokers })),
      (error: unknown) => response.writeHead(500).end(String(error)),
    )
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  project.provide('kafka', { starterUrl: `http://127.0.0.1:${port}` })
  return async () => {
    server.closeAllConnections()
    server.close()
    await broker?.then(({ end }) => end()).catch(() => undefined)
  }
}

async function findStart(missingJars: string | undefined): Promise<(() => Promise<Broker>) | undefined> {
  const given = process.env['KAFKA_BROKERS'] ?? ''
  if (given !== '') return async () => ({ brokers: given.split(','), end: async () => undefined })
  if (await dockerAnswers()) return startContainer
  return missingJars === undefined ? startJars : undefined
}

/** Loading testcontainers takes half a second, so it is not asked where Docker cannot be. */
async function dockerAnswers(): Promise<boolean> {
  if ((process.env['DOCKER_HOST'] ?? '') === '' && !existsSync('/var/run/docker.sock')) return false
  try {
    const { getContainerRuntimeClient } = await import('testcontainers')
    await getContainerRuntimeClient()
    return true
  } catch {
    return false
  }
}

async function startContainer(): Promise<Broker> {
  const { GenericContainer, getContainerRuntimeClient, Wait } = await import('testcontainers')
  const { host } = (await getContainerRuntimeClient()).info.containerRuntime
  const port = await freePort()
  const container = await new GenericContainer(IMAGE)
    .withExposedPorts({ container: port, host: port })
    .withEnvironment({
      KAFKA_NODE_ID: '1',
      KAFKA_PROCESS_ROLES: 'broker,controller',
      KAFKA_CONTROLLER_QUORUM_VOTERS: '1@localhost:9093',
      KAFKA_LISTENERS: `PLAINTEXT://0.0.0.0:${port},CONTROLLER://0.0.0.0:9093`,
      KAFKA_ADVERTISED_LISTENERS: `PLAINTEXT://${host}:${port}`,
      KAFKA_CONTROLLER_LISTENER_NAMES: 'CONTROLLER',
      KAFKA_INTER_BROKER_LISTENER_NAME: 'PLAINTEXT',
      KAFKA_LISTENER_SECURITY_PROTOCOL_MAP: 'PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT',
      KAFKA_OFFSETS_TOPIC_REPLICATION_FACTOR: '1',
      KAFKA_OFFSETS_TOPIC_NUM_PARTITIONS: '1',
      KAFKA_GROUP_INITIAL_REBALANCE_DELAY_MS: '0',
      KAFKA_AUTO_CREATE_TOPICS_ENABLE: 'false',
    })
    .withWaitStrategy(Wait.forLogMessage(/Kafka Server started/))
    .start()
  return { brokers: [`${host}:${port}`], end: async () => void (await container.stop()) }
}

async function startJars(): Promise<Broker> {
  const dataDir = await mkdtemp(join(tmpdir(), 'dianqiao-kafka-'))
  const kafka = await startLocalKafka({ cacheDir: CACHE, dataDir })
  return {
    brokers: kafka.brokers,
    end: async () => {
      await kafka.stop()
      await rm(dataDir, { recursive: true, force: true })
    },
  }
}

async function freePort(): Promise<number> {
  const probe = createSocketServer()
  await new Promise<void>((resolve) => probe.listen(0, '127.0.0.1', resolve))
  const { port } = probe.address() as AddressInfo
  await new Promise((resolve) => probe.close(resolve))
  return port
}
