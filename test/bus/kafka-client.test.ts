import { globSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { beforeEach, expect, test, vi } from 'vitest'
import { openKafkaClient } from '#bus/kafka-client.ts'
import type { ConsumerOptions } from '#bus/kafka-port.ts'

type Recorded = Readonly<Record<string, unknown>>

/** What kafkajs was given, by constructor or method. */
const given = vi.hoisted(() => ({
  kafka: [] as Recorded[],
  producer: [] as Recorded[],
  send: [] as Recorded[],
  consumer: [] as Recorded[],
  subscribe: [] as Recorded[],
  run: [] as Recorded[],
  disconnect: [] as Recorded[],
  joins: { promise: Promise.resolve() },
}))

vi.mock('kafkajs', () => {
  class Kafka {
    constructor(config: Recorded) {
      given.kafka.push(config)
    }
    producer(config: Recorded) {
      given.producer.push(config)
      return { connect: async () => {}, send: async (record: Recorded) => void given.send.push(record) }
    }
    consumer(config: Recorded) {
      given.consumer.push(config)
      return {
        events: {},
        on: () => {},
        connect: async () => {},
        subscribe: async (subscription: Recorded) => void given.subscribe.push(subscription),
        run: (options: Recorded) => {
          given.run.push(options)
          return given.joins.promise
        },
        disconnect: async () => void given.disconnect.push({}),
      }
    }
  }
  return { default: { Kafka, logLevel: { ERROR: 1 }, ConfigResourceTypes: { TOPIC: 2 } } }
})

const SETTINGS = { brokers: ['127.0.0.1:9092'], clientId: 'test' }
const nothing = (): void => undefined
const CONSUMER: ConsumerOptions = {
  group: 'g',
  topics: ['t'],
  onBatch: async () => undefined,
  onPoll: nothing,
  onJoin: nothing,
  onCrash: nothing,
  onReset: nothing,
}

beforeEach(() => {
  for (const list of Object.values(given)) if (Array.isArray(list)) list.length = 0
  given.joins.promise = Promise.resolve()
})

test('records are acknowledged by all replicas, to a partition that is named, by a producer that is not idempotent', async () => {
  const record = { key: 'k', value: Buffer.from('v'), headers: {} }
  await openKafkaClient(SETTINGS).producer().send({ topic: 't', partition: 3 }, [record])
  expect(given.send).toMatchObject([{ topic: 't', acks: -1, messages: [{ key: 'k', partition: 3 }] }])
  const [options] = given.producer
  expect(options).toMatchObject({ allowAutoTopicCreation: false })
  expect(options).not.toHaveProperty('idempotent')
  expect(options).not.toHaveProperty('transactionalId')
  const partitioner = options?.['createPartitioner'] as () => (args: { message: Recorded }) => number
  expect(partitioner()({ message: { partition: 3 } })).toBe(3)
  expect(() => partitioner()({ message: {} })).toThrow(/explicit partition/)
})

test('a consumer commits nothing by itself, begins at the beginning and never restarts in place', async () => {
  await openKafkaClient(SETTINGS).consumer(CONSUMER).start()
  expect(given.subscribe).toEqual([{ topics: ['t'], fromBeginning: true }])
  expect(given.run).toMatchObject([{ autoCommit: false, eachBatchAutoResolve: false }])
  const [options] = given.consumer
  expect(options).toMatchObject({ groupId: 'g', allowAutoTopicCreation: false, retry: { retries: 8 } })
  expect(Number(options?.['maxBytesPerPartition'])).toBeLessThanOrEqual(262_144)
  expect(Number(options?.['maxWaitTimeInMs'])).toBeLessThanOrEqual(250)
  const retry = options?.['retry'] as { restartOnFailure(): Promise<boolean> } | undefined
  expect(await retry?.restartOnFailure()).toBe(false)
})

test('nothing waits without a limit', () => {
  openKafkaClient(SETTINGS).consumer(CONSUMER)
  for (const config of given.kafka) {
    expect(config).toMatchObject({
      connectionTimeout: 3_000,
      requestTimeout: 30_000,
      enforceRequestTimeout: true,
      retry: { initialRetryTime: 200, maxRetryTime: 10_000, retries: 8 },
    })
  }
  expect(given.consumer).toMatchObject([{ sessionTimeout: 30_000, heartbeatInterval: 3_000, rebalanceTimeout: 60_000 }])
})

test('each consumer has a kafkajs of its own, because members of one group would share committed offsets', () => {
  const client = openKafkaClient(SETTINGS)
  const before = given.kafka.length
  client.consumer(CONSUMER)
  client.consumer(CONSUMER)
  expect(given.kafka).toHaveLength(before + 2)
})

test('starting does not wait for the group, and closing waits for the join before it leaves', async () => {
  let joined = (): void => undefined
  given.joins.promise = new Promise((resolve) => {
    joined = resolve
  })
  const consumer = openKafkaClient(SETTINGS).consumer(CONSUMER)
  await consumer.start()
  const closing = consumer.close()
  await new Promise((resolve) => setTimeout(resolve, 20))
  expect(given.disconnect).toHaveLength(0)
  joined()
  await closing
  expect(given.disconnect).toHaveLength(1)
})

test('credentials and authorities are handed on', () => {
  openKafkaClient({ ...SETTINGS, tls: { ca: 'PEM' }, sasl: { username: 'u', password: 'p' } })
  expect(given.kafka).toMatchObject([
    { ssl: { ca: ['PEM'] }, sasl: { mechanism: 'scram-sha-512', username: 'u', password: 'p' } },
  ])
})

test('one file of src uses kafkajs, and one other mends it', () => {
  const root = join(import.meta.dirname, '../..')
  const importing = globSync('src/**/*.ts', { cwd: root }).filter((file) =>
    /from 'kafkajs|require\('kafkajs|import\('kafkajs/.test(readFileSync(join(root, file), 'utf8')),
  )
  expect(importing).toEqual(['src/bus/kafka-client.ts', 'src/bus/kafka-request-queue.ts'])
})
