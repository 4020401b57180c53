import type { BusRecord } from './bus.ts'
import { refused, unavailable } from './kafka-errors.ts'
import type { KafkaAdmin, KafkaProducer, KafkaRecord, Lane } from './kafka-port.ts'
import { partitionOf } from './murmur2.ts'
import type { Renewable } from './renewable.ts'

/** Far below the broker's default of 1 MiB a request; one larger record goes alone. */
const MAX_SEND_BYTES = 512 * 1024
const RECORD_OVERHEAD_BYTES = 64

export interface Publisher {
  readonly publish: (topic: string, records: readonly BusRecord[]) => Promise<void>
}

/**
 * Publishes with the Java client's partitions. Each send goes to one topic-partition and waits for the one before it
 * in that lane: one request to several brokers doubles records when one of them is slow and another fails, and two
 * requests of one lane under way may change places. After a rejection some of the records may stand in the log.
 */
export function createPublisher(producer: Renewable<KafkaProducer>, admin: Renewable<KafkaAdmin>): Publisher {
  const counts = new Map<string, number>()
  const inLane = createLanes()

  const partitionsOf = async (topic: string): Promise<number> => {
    const known = counts.get(topic)
    if (known !== undefined) return known
    const count = await admin.use((connected) => connected.partitions(topic))
    // A count of zero is a topic that is just being made: ask again the next time.
    if (count > 0) counts.set(topic, count)
    return count
  }

  const sendAll = async (lane: Lane, records: readonly KafkaRecord[]): Promise<void> => {
    for (const part of portions(records)) await producer.use((connected) => connected.send(lane, part))
  }

  return {
    async publish(topic, records) {
      if (records.length === 0) return
      if (records.some(({ key }) => key === '')) throw refused(topic)
      const count = await partitionsOf(topic)
      if (count === 0) throw unavailable(topic, 'the topic has no partition yet')
      const byPartition = Map.groupBy(records.map(asRecord), ({ key }) => partitionOf(key, count))
      const sends = [...byPartition].map(([partition, group]) =>
        inLane(`${topic}/${partition}`, () => sendAll({ topic, partition }, group)),
      )
      const outcomes = await Promise.allSettled(sends)
      const failure = outcomes.find((outcome) => outcome.status === 'rejected')
      if (failure === undefined) return
      // The topic may have been made anew with another number of partitions.
      counts.delete(topic)
      throw failure.reason
    },
  }
}

const asRecord = ({ key, value, headers }: BusRecord): KafkaRecord => ({
  key,
  headers,
  value: typeof value === 'string' ? Buffer.from(value) : value,
})

/** Runs the tasks of one lane after each other and those of several at once; a task that fails does not stop the next. */
function createLanes(): (lane: string, task: () => Promise<void>) => Promise<void> {
  const tails = new Map<string, Promise<void>>()
  return (lane, task) => {
    const run = (tails.get(lane) ?? Promise.resolve()).then(task)
    const tail = run
      .catch(() => undefined)
      .then(() => {
        if (tails.get(lane) === tail) tails.delete(lane)
      })
    tails.set(lane, tail)
    return run
  }
}

/** The records in order, in portions that a broker with default settings takes in one request. */
function portions(records: readonly KafkaRecord[]): readonly (readonly KafkaRecord[])[] {
  const all: KafkaRecord[][] = []
  let room = 0
  for (const record of records) {
    const bytes = sizeOf(record)
    const last = all.at(-1)
    if (last === undefined || bytes > room) {
      all.push([record])
      room = MAX_SEND_BYTES - bytes
    } else {
      last.push(record)
      room -= bytes
    }
  }
  return all
}

function sizeOf({ key, value, headers }: KafkaRecord): number {
  let bytes = RECORD_OVERHEAD_BYTES + value.length + Buffer.byteLength(key)
  for (const [name, text] of Object.entries(headers)) bytes += name.length + Buffer.byteLength(text)
  return bytes
}
