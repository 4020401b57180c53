/**
 * What the bus needs of a Kafka client, and nothing more, so that another client can take kafkajs's place and a
 * scripted one can stand in its place in tests. Every rejection is a HubError (`busError`).
 */
export interface KafkaClient {
  /** A new producer; `send` connects it. */
  readonly producer: () => KafkaProducer
  /** A new member of a group; it does nothing before `start`. */
  readonly consumer: (options: ConsumerOptions) => KafkaConsumer
  /** A new administrator; the first call connects it. */
  readonly admin: () => KafkaAdmin
}

export interface KafkaProducer {
  /** One request to one topic-partition, acknowledged by all in-sync replicas. */
  readonly send: (lane: Lane, records: readonly KafkaRecord[]) => Promise<void>
  readonly close: () => Promise<void>
}

export interface KafkaRecord {
  readonly key: string
  readonly value: Buffer
  readonly headers: Readonly<Record<string, string>>
}

/** One topic-partition: what Kafka keeps in order. */
export interface Lane {
  readonly topic: string
  readonly partition: number
}

export interface ConsumerOptions {
  readonly group: string
  readonly topics: readonly string[]
  readonly onBatch: (batch: FetchedBatch) => Promise<void>
  /** A fetch was answered, with records or without. */
  readonly onPoll: () => void
  /** The group has (re)balanced: what was begun before must not be committed. */
  readonly onJoin: () => void
  /** The consumer has ended for good. */
  readonly onCrash: (error: unknown) => void
  /** The group's offset was outside the log and was set to the beginning: records may be gone, or come again. */
  readonly onReset: (lane: Lane) => void
}

export interface KafkaConsumer {
  /** Resolves when the brokers have answered; the member joins its group from then on. */
  readonly start: () => Promise<void>
  readonly pause: (lane: Lane | { readonly topic: string }) => void
  readonly resume: (lane: Lane | { readonly topic: string }) => void
  /** Waits for a join under way, lets the batch in hand end and leaves the group. A closed consumer is never started again. */
  readonly close: () => Promise<void>
}

/** The records of one lane from one fetch. */
export interface FetchedBatch extends Lane {
  readonly records: readonly FetchedRecord[]
  /** The last offset that the fetch covered: past the last record where control records follow. */
  readonly lastOffset: bigint
  /** The member still may work on it. */
  readonly isCurrent: () => boolean
  readonly heartbeat: () => Promise<void>
  /** Commits `offset` as the next to read and goes on there. Rejects when the group has moved on. */
  readonly commit: (offset: bigint) => Promise<void>
  /** Goes on after `offset` without asking the broker. */
  readonly resolve: (offset: bigint) => void
}

export interface FetchedRecord {
  readonly key: string
  readonly value: Buffer
  readonly headers: Readonly<Record<string, string>>
  readonly offset: bigint
  readonly timestampMs: number
}

export interface TopicSpec {
  readonly topic: string
  readonly partitions: number
  readonly replicationFactor: number
  readonly config: Readonly<Record<string, string>>
}

export interface KafkaAdmin {
  /** How many partitions the topic has. Rejects with `bus.topic_faulty` when there is no such topic. */
  readonly partitions: (topic: string) => Promise<number>
  readonly config: (topic: string) => Promise<Readonly<Record<string, string>>>
  /** By partition: where the log begins and ends, and what the group has committed (undefined: nothing yet). */
  readonly offsets: (topic: string, group: string) => Promise<readonly LaneOffsets[]>
  readonly topics: () => Promise<readonly string[]>
  readonly createTopics: (specs: readonly TopicSpec[]) => Promise<void>
  /** Sets exactly these values; others go back to the broker's defaults. */
  readonly setConfig: (topic: string, config: Readonly<Record<string, string>>) => Promise<void>
  /** Adds rights; those that exist stay. */
  readonly grant: (grants: readonly Grant[]) => Promise<void>
  /** Whether the brokers know this right. */
  readonly holds: (grant: Grant) => Promise<boolean>
  readonly close: () => Promise<void>
}

/** A right on a topic, or on all groups whose names begin so, from any host. Reading and writing include describing. */
export interface Grant {
  readonly principal: string
  readonly operation: 'read' | 'write'
  readonly on: { readonly topic: string } | { readonly groupPrefix: string }
}

export interface LaneOffsets {
  readonly partition: number
  readonly low: bigint
  readonly high: bigint
  readonly committed: bigint | undefined
}
