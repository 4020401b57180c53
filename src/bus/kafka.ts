import { HubError } from '#kernel/errors.ts'
import type { Bus, SubscribeOptions, Subscription } from './bus.ts'
import { openKafkaClient } from './kafka-client.ts'
import { topicFaulty } from './kafka-errors.ts'
import type { KafkaAdmin, KafkaClient } from './kafka-port.ts'
import { createPublisher } from './kafka-publisher.ts'
import { type Reader, startReader } from './kafka-reader.ts'
import { KAFKA_TIMES, type KafkaSettings } from './kafka-settings.ts'
import type { ReaderSettings } from './kafka-supervisor.ts'
import { type Renewable, renewable } from './renewable.ts'

export interface KafkaBusOptions extends KafkaSettings {
  /** The longest that a reader rests after its offset was reset or its consumer had to be replaced; default 30 s. */
  readonly pauseMaxMs?: number
  readonly reader?: Partial<ReaderSettings>
  /** The consumer has crashed too often for a reason that waiting does not remove: the process should end. */
  readonly onFatal?: (error: HubError) => void
}

const READER: Omit<ReaderSettings, 'heartbeatMs' | 'readyMs' | 'watchdogMs'> = Object.freeze({
  batchSize: 200,
  holds: { firstMs: 50, maxMs: 5_000 },
  resetPauseMs: 30_000,
  rebuild: { firstMs: 500, maxMs: 30_000 },
  maxCrashes: 5,
  stableMs: 60_000,
})

/** Codecs that kafkajs cannot read: one such record would stop its partition for ever. */
const FOREIGN_CODECS: ReadonlySet<string | undefined> = new Set(['snappy', 'lz4', 'zstd'])

/**
 * The bus on Kafka: at-least-once, order per key, one group per consumer. Topics must exist (`dianqiao topics apply`).
 * Opens no connection before it is used. Rejections are `bus.*` errors; `subscribe` rejects when a topic is missing or
 * cannot be read or the brokers do not answer, and looks after its consumer from then on.
 */
export function openKafkaBus(options: KafkaBusOptions, client: KafkaClient = openKafkaClient(options)): Bus {
  const producer = renewable(client.producer)
  const admin = renewable(client.admin)
  const readers = new Set<Reader>()
  const { heartbeatMs, sessionTimeoutMs, rebalanceTimeoutMs } = { ...KAFKA_TIMES, ...options.times }
  const settings: ReaderSettings = {
    ...READER,
    ...restsWithin(options.pauseMaxMs ?? READER.resetPauseMs),
    heartbeatMs,
    readyMs: sessionTimeoutMs,
    // Longer than a rebalance may take: a member that waits for the others is not dead.
    watchdogMs: 2 * rebalanceTimeoutMs,
    ...(options.onFatal === undefined ? {} : { onFatal: options.onFatal }),
    ...options.reader,
  }

  const subscribe = async (request: SubscribeOptions): Promise<Subscription> => {
    // A member without topics would still take part in every rebalance of its group.
    if (request.topics.length === 0) return { pause: () => {}, resume: () => {}, close: async () => {} }
    for (const topic of request.topics) await requireReadable(admin, topic)
    const reader = await startReader(client, request, settings)
    readers.add(reader)
    const { pause, resume } = reader
    return {
      pause,
      resume,
      close: async () => {
        readers.delete(reader)
        await reader.close()
      },
    }
  }

  return {
    publish: createPublisher(producer, admin).publish,
    subscribe,
    lag: (topic, group) => lagOf(admin, topic, group),
    notReady: () => [...readers].flatMap((reader) => reader.notReady() ?? []),
    close: async () => {
      await Promise.all([...readers].map((reader) => reader.close()))
      readers.clear()
      await producer.close()
      await admin.close()
    },
  }
}

const restsWithin = (ms: number): Pick<ReaderSettings, 'holds' | 'resetPauseMs' | 'rebuild'> => ({
  holds: { ...READER.holds, maxMs: Math.min(READER.holds.maxMs, ms) },
  resetPauseMs: Math.min(READER.resetPauseMs, ms),
  rebuild: { ...READER.rebuild, maxMs: Math.min(READER.rebuild.maxMs, ms) },
})

async function requireReadable(admin: Renewable<KafkaAdmin>, topic: string): Promise<void> {
  const config = await admin
    .use((connected) => connected.config(topic))
    .catch((error: unknown) => {
      // A party may read its topics without the right to see how they are set up.
      if (error instanceof HubError && error.code === 'bus.not_authorised') return {}
      throw error
    })
  const codec = new Map(Object.entries(config)).get('compression.type')
  if (FOREIGN_CODECS.has(codec)) throw topicFaulty(topic, `压缩格式 ${codec} 无法读取`, `${codec} cannot be read`)
}

async function lagOf(admin: Renewable<KafkaAdmin>, topic: string, group: string): Promise<number> {
  const lanes = await admin.use((connected) => connected.offsets(topic, group))
  let lag = 0n
  for (const { low, high, committed } of lanes) {
    // What retention has removed is not waiting any more.
    const next = committed === undefined || committed < low ? low : committed
    if (high > next) lag += high - next
  }
  return Number(lag)
}
