import type {
  ConsumerOptions,
  FetchedBatch,
  KafkaAdmin,
  KafkaClient,
  KafkaConsumer,
  KafkaProducer,
  Lane,
} from '#bus/kafka-port.ts'

export interface ScriptedConsumer {
  readonly options: ConsumerOptions
  readonly calls: string[]
}

export interface Script {
  readonly start?: (n: number) => Promise<void>
  readonly send?: KafkaProducer['send']
  readonly admin?: Partial<KafkaAdmin>
}

/** A Kafka client that does what the test says, and remembers what it was asked. */
export function scriptedKafka(script: Script = {}): {
  readonly client: KafkaClient
  readonly consumers: ScriptedConsumer[]
  readonly producers: { closed: boolean }[]
} {
  const consumers: ScriptedConsumer[] = []
  const producers: { closed: boolean }[] = []
  const consumer = (options: ConsumerOptions): KafkaConsumer => {
    const calls: string[] = []
    const n = consumers.push({ options, calls })
    const note = (verb: string) => (lane: Lane | { readonly topic: string }) =>
      void calls.push('partition' in lane ? `${verb} ${lane.topic}/${lane.partition}` : `${verb} ${lane.topic}`)
    return {
      start: async () => {
        calls.push('start')
        await script.start?.(n)
      },
      pause: note('pause'),
      resume: note('resume'),
      close: async () => void calls.push('close'),
    }
  }
  const producer = (): KafkaProducer => {
    const state = { closed: false }
    producers.push(state)
    return {
      send: async (lane, records) => script.send?.(lane, records),
      close: async () => {
        state.closed = true
      },
    }
  }
  const admin = (): KafkaAdmin => ({
    partitions: async () => 4,
    config: async () => ({}),
    offsets: async () => [],
    topics: async () => [],
    createTopics: async () => undefined,
    setConfig: async () => undefined,
    grant: async () => undefined,
    close: async () => undefined,
    holds: async () => true,
    ...script.admin,
  })
  return { client: { consumer, producer, admin }, consumers, producers }
}

export interface ScriptedBatch {
  readonly batch: FetchedBatch
  /** `commit 3`, `resolve 2`, `heartbeat`, in the order they came. */
  readonly calls: string[]
}

/** Records 0 … size − 1 of t/0. */
export function scriptedBatch(size: number, overrides: Partial<FetchedBatch> = {}): ScriptedBatch {
  const calls: string[] = []
  const records = Array.from({ length: size }, (_, n) => ({
    key: 'k',
    value: Buffer.from(String(n)),
    headers: {},
    offset: BigInt(n),
    timestampMs: 0,
  }))
  const batch: FetchedBatch = {
    topic: 't',
    partition: 0,
    records,
    lastOffset: BigInt(size - 1),
    isCurrent: () => true,
    heartbeat: async () => void calls.push('heartbeat'),
    commit: async (offset) => void calls.push(`commit ${offset}`),
    resolve: (offset) => void calls.push(`resolve ${offset}`),
    ...overrides,
  }
  return { batch, calls }
}
