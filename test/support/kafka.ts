import { randomBytes } from 'node:crypto'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import kafkajs from 'kafkajs'
import { afterAll, beforeAll, describe, inject, vi } from 'vitest'
import type { KafkaTimes } from '#bus/kafka-settings.ts'
import { type LocalKafka, type LocalKafkaOptions, startLocalKafka } from '#sandbox/kafka-broker.ts'

/** Short where a test waits for them; six seconds is the least that a broker allows by default. */
export const QUICK_TIMES: Partial<KafkaTimes> = {
  sessionTimeoutMs: 6_000,
  heartbeatMs: 500,
  maxWaitMs: 100,
  retryInitialMs: 50,
  retryMaxMs: 500,
}

/**
 * A suite on the broker of the run, which is started for the first such suite. Skipped, with the reason in its title,
 * where no broker can run. `brokers` may be called in tests and hooks.
 */
export function withKafka(title: string, body: (brokers: () => readonly string[]) => void): void {
  const kafka = inject('kafka')
  if ('missing' in kafka) {
    describe.skip(`${title} (needs Kafka: ${kafka.missing})`, () => body(() => []))
    return
  }
  describe(title, () => {
    let brokers: readonly string[] = []
    beforeAll(async () => {
      const response = await fetch(kafka.starterUrl)
      if (!response.ok) throw new Error(`Kafka did not start: ${await response.text()}`)
      brokers = ((await response.json()) as { brokers: string[] }).brokers
    }, 660_000)
    body(() => brokers)
  })
}

/** A suite that runs processes of its own on Kafka's jars; skipped, with the reason in its title, where they are missing. */
export function needsKafkaJars(title: string, body: () => void): void {
  const jars = inject('kafkaJars')
  if ('missing' in jars) describe.skip(`${title} (needs Kafka's jars: ${jars.missing})`, body)
  else describe(title, body)
}

/** A suite with a cluster of its own that it may stop, kill and restart; skipped where the jars are missing. */
export function withLocalKafka(
  title: string,
  options: Pick<LocalKafkaOptions, 'nodes' | 'users'>,
  body: (kafka: () => LocalKafka) => void,
): void {
  const jars = inject('kafkaJars')
  if ('missing' in jars) {
    const none = (): never => {
      throw new Error('no Kafka')
    }
    describe.skip(`${title} (needs Kafka's jars: ${jars.missing})`, () => body(none))
    return
  }
  describe(title, () => {
    let kafka: LocalKafka | undefined
    let dataDir = ''
    beforeAll(async () => {
      dataDir = await mkdtemp(join(tmpdir(), 'dianqiao-kafka-'))
      kafka = await startLocalKafka({ cacheDir: jars.cacheDir, dataDir, ...options })
    }, 660_000)
    afterAll(async () => {
      await kafka?.stop()
      await rm(dataDir, { recursive: true, force: true })
    })
    body(() => {
      if (kafka === undefined) throw new Error('the cluster has not started yet')
      return kafka
    })
  })
}

/** A name that no other suite on the same broker has. */
export const unique = (name: string): string => `${name}-${randomBytes(5).toString('hex')}`

/** Runs something as an administrator, beside the code under test. */
export async function asAdmin<T>(brokers: readonly string[], use: (admin: kafkajs.Admin) => Promise<T>): Promise<T> {
  const admin = plainKafka(brokers).admin()
  await admin.connect()
  try {
    return await use(admin)
  } finally {
    await admin.disconnect()
  }
}

/** A bare kafkajs: what a party's own program may be. */
export const plainKafka = (brokers: readonly string[]): kafkajs.Kafka =>
  new kafkajs.Kafka({ brokers: [...brokers], logLevel: kafkajs.logLevel.NOTHING, retry: { initialRetryTime: 100 } })

export interface TopicShape {
  readonly partitions?: number
  readonly replication?: number
  readonly config?: Readonly<Record<string, string>>
}

export async function makeTopic(brokers: readonly string[], topic: string, shape: TopicShape = {}): Promise<void> {
  const { partitions = 3, replication = 1, config = {} } = shape
  const configEntries = Object.entries(config).map(([name, value]) => ({ name, value }))
  await asAdmin(brokers, async (admin) => {
    const topics = [{ topic, numPartitions: partitions, replicationFactor: replication, configEntries }]
    // The client's own wait for leaders fails when the broker it asks has not heard of the topic yet.
    await admin.createTopics({ topics, waitForLeaders: false })
    await vi.waitFor(() => requireLeaders(admin, topic, partitions), { timeout: 15_000, interval: 50 })
  })
}

async function requireLeaders(admin: kafkajs.Admin, topic: string, count: number): Promise<void> {
  const { topics } = await admin.fetchTopicMetadata({ topics: [topic] })
  const led = topics.flatMap(({ partitions }) => partitions.filter(({ leader }) => leader >= 0))
  if (led.length < count) throw new Error(`${led.length} of ${count} partitions of ${topic} have a leader`)
}
