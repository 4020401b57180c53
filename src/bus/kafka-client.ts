import kafkajs, { type AclEntry, type Admin, type EachBatchPayload, type IHeaders, type KafkaMessage } from 'kafkajs'
import { HubError } from '#kernel/errors.ts'
import { busError, guarded, within } from './kafka-errors.ts'
import type {
  ConsumerOptions,
  FetchedBatch,
  FetchedRecord,
  Grant,
  KafkaAdmin,
  KafkaClient,
  KafkaConsumer,
  KafkaProducer,
} from './kafka-port.ts'
import { calmRequestQueue } from './kafka-request-queue.ts'
import { KAFKA_TIMES, type KafkaSettings, type KafkaTimes } from './kafka-settings.ts'

// The only file that uses kafkajs. What kafkajs gets wrong is named where it is held.

const RETRIES = 8
/** Low, because `maxBytes` is only a wish: a fetch may bring this much of every partition of every topic. */
const MAX_BYTES_PER_PARTITION = 256 * 1024
const MAX_BYTES = 4 * 1024 * 1024
const ALL_IN_SYNC = -1
/** One after another, each partition would wait until those before it are landed. */
const PARTITIONS_AT_ONCE = 4

/** Opens no connection. One kafkajs client serves producers and administrators; each consumer has its own. */
export function openKafkaClient(settings: KafkaSettings): KafkaClient {
  calmRequestQueue()
  const times = { ...KAFKA_TIMES, ...settings.times }
  const shared = newKafka(settings, times)
  return {
    producer: () => openProducer(shared, times),
    // kafkajs shares the committed offsets of a group between the consumers of one client, and a second member or a
    // rebuilt one would wipe those of the first.
    consumer: (options) => openConsumer(settings, times, options),
    admin: () => openAdmin(shared, times),
  }
}

type OnLog = (entry: { readonly namespace: string; readonly log: Readonly<Record<string, unknown>> }) => void

function newKafka(settings: KafkaSettings, times: KafkaTimes, onLog: OnLog = () => {}): kafkajs.Kafka {
  const { brokers, clientId, tls, sasl } = settings
  return new kafkajs.Kafka({
    brokers: [...brokers],
    clientId,
    connectionTimeout: times.connectionTimeoutMs,
    authenticationTimeout: times.connectionTimeoutMs,
    requestTimeout: times.requestTimeoutMs,
    enforceRequestTimeout: true,
    retry: retryOf(times),
    logLevel: kafkajs.logLevel.ERROR,
    // Its log repeats what reaches us as errors; the one line that comes no other way is read in `openConsumer`.
    logCreator: () => onLog,
    ...(tls === undefined ? {} : { ssl: tls.ca === undefined ? true : { ca: [tls.ca] } }),
    ...(sasl === undefined ? {} : { sasl: { mechanism: 'scram-sha-512', ...sasl } }),
  })
}

const retryOf = (times: KafkaTimes): { initialRetryTime: number; maxRetryTime: number; retries: number } => ({
  initialRetryTime: times.retryInitialMs,
  maxRetryTime: times.retryMaxMs,
  retries: RETRIES,
})

function openProducer(kafka: kafkajs.Kafka, times: KafkaTimes): KafkaProducer {
  // Neither idempotent nor transactional: both have open faults in kafkajs (reuse of sequence numbers after a
  // time-out). At-least-once and the recipient's inbox stand in their place.
  const producer = kafka.producer({
    allowAutoTopicCreation: false,
    createPartitioner:
      () =>
      ({ message }) =>
        explicitPartition(message.partition),
  })
  let connected: Promise<void> | undefined
  return {
    async send({ topic, partition }, records) {
      const messages = records.map((record) => ({ ...record, partition }))
      const sending = async (): Promise<void> => {
        connected ??= producer.connect()
        await connected
        await producer.send({ topic, messages, acks: ALL_IN_SYNC, timeout: times.requestTimeoutMs })
      }
      await within(times.callTimeoutMs, topic, guarded(topic, sending))
    },
    close: () => producer.disconnect(),
  }
}

/** A partitioner that chose anew on a retry would move records between partitions, lose some and double others. */
function explicitPartition(partition: number | undefined): number {
  if (partition !== undefined) return partition
  throw new HubError('bus.record_refused', {
    detail: { zh: '记录未指明分区', en: 'a record without an explicit partition' },
  })
}

const RESET = /^Offset out of range, resetting/

function openConsumer(settings: KafkaSettings, times: KafkaTimes, options: ConsumerOptions): KafkaConsumer {
  const kafka = newKafka(settings, times, ({ log }) => {
    const { message, topic, partition } = log
    if (typeof message !== 'string' || !RESET.test(message)) return
    if (typeof topic === 'string' && typeof partition === 'number') options.onReset({ topic, partition })
  })
  const consumer = kafka.consumer({
    groupId: options.group,
    sessionTimeout: times.sessionTimeoutMs,
    heartbeatInterval: times.heartbeatMs,
    rebalanceTimeout: times.rebalanceTimeoutMs,
    maxWaitTimeInMs: times.maxWaitMs,
    maxBytesPerPartition: MAX_BYTES_PER_PARTITION,
    maxBytes: MAX_BYTES,
    allowAutoTopicCreation: false,
    // A restart in place after a crash misbehaves: the supervisor disconnects and makes a new one.
    retry: { ...retryOf(times), restartOnFailure: async () => false },
  })
  consumer.on(consumer.events.FETCH, options.onPoll)
  consumer.on(consumer.events.GROUP_JOIN, options.onJoin)
  consumer.on(consumer.events.CRASH, ({ payload }) => options.onCrash(busError(payload.error, options.group)))
  let joining: Promise<void> = Promise.resolve()
  const start = async (): Promise<void> => {
    await consumer.connect()
    // Without `fromBeginning` what was published before the group's first join is skipped.
    await consumer.subscribe({ topics: [...options.topics], fromBeginning: true })
    // Not awaited: the group may wait for a dead member as long as its session lasts.
    joining = consumer
      .run({
        autoCommit: false,
        eachBatchAutoResolve: false,
        partitionsConsumedConcurrently: PARTITIONS_AT_ONCE,
        eachBatch: (payload) => options.onBatch(asBatch(payload)),
      })
      .catch(options.onCrash)
  }
  return {
    start: () => within(times.callTimeoutMs, options.group, guarded(options.group, start)),
    pause: (lane) => consumer.pause([asSelection(lane)]),
    resume: (lane) => consumer.resume([asSelection(lane)]),
    async close() {
      // A member that is stopped while it joins forgets its runner, joins, and then holds its partitions for ever.
      await joining
      await consumer.disconnect()
    },
  }
}

const asSelection = (
  lane: { readonly topic: string } | { readonly topic: string; readonly partition: number },
): { topic: string; partitions?: number[] } =>
  'partition' in lane ? { topic: lane.topic, partitions: [lane.partition] } : { topic: lane.topic }

function asBatch(payload: EachBatchPayload): FetchedBatch {
  const { batch, heartbeat, resolveOffset } = payload
  const { topic, partition } = batch
  return {
    topic,
    partition,
    records: batch.messages.map(asRecord),
    lastOffset: BigInt(batch.lastOffset()),
    isCurrent: () => payload.isRunning() && !payload.isStale(),
    heartbeat,
    // Not `consumer.commitOffsets`: that one retries under whatever generation the member has by then.
    commit: (offset) =>
      guarded(topic, () =>
        payload.commitOffsetsIfNecessary({ topics: [{ topic, partitions: [{ partition, offset: String(offset) }] }] }),
      ),
    resolve: (offset) => resolveOffset(String(offset)),
  }
}

const asRecord = (message: KafkaMessage): FetchedRecord => ({
  key: message.key?.toString('utf8') ?? '',
  value: message.value ?? Buffer.alloc(0),
  headers: asHeaders(message.headers),
  offset: BigInt(message.offset),
  timestampMs: Number(message.timestamp),
})

/** Of a header that is given twice the last counts, as for the Java client's `lastHeader`. */
function asHeaders(headers: IHeaders | undefined): Record<string, string> {
  return Object.fromEntries(
    Object.entries(headers ?? {}).flatMap(([name, value]) => {
      const last = Array.isArray(value) ? value.at(-1) : value
      return last === undefined ? [] : [[name, last.toString('utf8')]]
    }),
  )
}

function openAdmin(kafka: kafkajs.Kafka, times: KafkaTimes): KafkaAdmin {
  const admin = kafka.admin({ retry: { ...retryOf(times), retries: 3 } })
  let connected: Promise<void> | undefined
  const call = <T>(where: string, ask: (connected: Admin) => Promise<T>): Promise<T> => {
    const asking = async (): Promise<T> => {
      connected ??= admin.connect()
      await connected
      return ask(admin)
    }
    return within(times.callTimeoutMs, where, guarded(where, asking))
  }
  const type = kafkajs.ConfigResourceTypes.TOPIC
  return {
    partitions: (topic) =>
      call(topic, async () => {
        const { topics } = await admin.fetchTopicMetadata({ topics: [topic] })
        return topics[0]?.partitions.length ?? 0
      }),
    config: (topic) =>
      call(topic, async () => {
        const { resources } = await admin.describeConfigs({
          resources: [{ type, name: topic }],
          includeSynonyms: false,
        })
        const entries = resources[0]?.configEntries ?? []
        return Object.fromEntries(entries.map(({ configName, configValue }) => [configName, configValue]))
      }),
    offsets: (topic, group) =>
      call(topic, async () => {
        const lanes = await admin.fetchTopicOffsets(topic)
        const [answer] = await admin.fetchOffsets({ groupId: group, topics: [topic] })
        const committed = new Map(answer?.partitions.map(({ partition, offset }) => [partition, BigInt(offset)]))
        return lanes.map(({ partition, low, high }) => {
          const offset = committed.get(partition)
          const known = offset === undefined || offset < 0n ? undefined : offset
          return { partition, low: BigInt(low), high: BigInt(high), committed: known }
        })
      }),
    topics: () => call('topics', () => admin.listTopics()),
    createTopics: (specs) =>
      call('topics', async () => {
        const topics = specs.map(({ topic, partitions, replicationFactor, config }) => ({
          topic,
          numPartitions: partitions,
          replicationFactor,
          configEntries: Object.entries(config).map(([name, value]) => ({ name, value })),
        }))
        // Waiting for leaders is ours: the client's own wait fails when a broker has not heard of the topic yet.
        await admin.createTopics({ topics, waitForLeaders: false, timeout: times.requestTimeoutMs })
      }),
    setConfig: (topic, config) =>
      call(topic, async () => {
        const configEntries = Object.entries(config).map(([name, value]) => ({ name, value }))
        await admin.alterConfigs({ validateOnly: false, resources: [{ type, name: topic, configEntries }] })
      }),
    grant: (grants) => call('acls', async () => void (await admin.createAcls({ acl: grants.map(asAcl) }))),
    holds: (grant) => call('acls', async () => (await admin.describeAcls(asAcl(grant))).resources.length > 0),
    close: () => admin.disconnect(),
  }
}

function asAcl({ principal, operation, on }: Grant): AclEntry {
  const { AclOperationTypes, AclPermissionTypes, AclResourceTypes, ResourcePatternTypes } = kafkajs
  return {
    principal: `User:${principal}`,
    host: '*',
    operation: operation === 'read' ? AclOperationTypes.READ : AclOperationTypes.WRITE,
    permissionType: AclPermissionTypes.ALLOW,
    ...('topic' in on
      ? {
          resourceType: AclResourceTypes.TOPIC,
          resourceName: on.topic,
          resourcePatternType: ResourcePatternTypes.LITERAL,
        }
      : {
          resourceType: AclResourceTypes.GROUP,
          resourceName: on.groupPrefix,
          resourcePatternType: ResourcePatternTypes.PREFIXED,
        }),
  }
}
