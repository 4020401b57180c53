/** One message as a subscriber sees it. `offset` counts within (topic, partition); `value` holds the bytes that arrived. */
export interface BusMessage {
  readonly topic: string
  readonly key: string
  readonly partition: number
  readonly offset: bigint
  readonly value: Buffer
  readonly headers: Readonly<Record<string, string>>
  readonly timestampMs: number
}

/** One message to publish. The key decides the order: messages of one key are read in the order they were published. */
export interface BusRecord {
  readonly key: string
  readonly value: string | Buffer
  readonly headers: Readonly<Record<string, string>>
}

export interface SubscribeOptions {
  readonly topics: readonly string[]
  /** Members of one group share the reading of a topic; each group reads everything from the beginning. */
  readonly group: string
  /** Messages of one topic in order. Their offset is committed once this resolves; a rejection brings them again. */
  readonly onBatch: (messages: readonly BusMessage[]) => Promise<void>
  readonly onError?: (error: unknown) => void
}

export interface Subscription {
  readonly pause: () => void
  readonly resume: () => void
  /** Ends after the batch in hand. */
  readonly close: () => Promise<void>
}

/** At-least-once transport. A subscriber must tell a repeated message by its own means (the inbox does). */
export interface Bus {
  /** Resolves when the messages are durable. All of them go to one topic and keep their order. */
  readonly publish: (topic: string, messages: readonly BusRecord[]) => Promise<void>
  readonly subscribe: (options: SubscribeOptions) => Promise<Subscription>
  /** How many messages of the topic the group has not finished. */
  readonly lag: (topic: string, group: string) => Promise<number>
  /** Why the subscriptions do not do their work, a sentence each; empty when they do. */
  readonly notReady: () => readonly string[]
  /** Closes every subscription. */
  readonly close: () => Promise<void>
}
