import { setTimeout as sleep } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { openKafkaBus } from '#bus/kafka.ts'
import { unavailable } from '#bus/kafka-errors.ts'
import type { KafkaRecord, Lane } from '#bus/kafka-port.ts'
import { partitionOf } from '#bus/murmur2.ts'
import { HubError } from '#kernel/errors.ts'
import { type Script, scriptedKafka } from './scripted-kafka.ts'

const OPTIONS = { brokers: ['127.0.0.1:1'], clientId: 'test' }
const record = (key: string, value = 'v') => ({ key, value, headers: {} })
const keys = Array.from({ length: 40 }, (_, n) => `key-${n}`)

interface Sent {
  readonly lane: Lane
  readonly records: readonly KafkaRecord[]
  readonly underWay: readonly string[]
}

/** A bus whose producer takes its time, with what was sent and which lanes were under way then. */
function slowBus(script: Script = {}) {
  const sent: Sent[] = []
  const underWay: string[] = []
  const scripted = scriptedKafka({
    send: async (lane, records) => {
      sent.push({ lane, records, underWay: [...underWay] })
      const name = `${lane.topic}/${lane.partition}`
      underWay.push(name)
      await sleep(20)
      underWay.splice(underWay.indexOf(name), 1)
    },
    ...script,
  })
  return { bus: openKafkaBus(OPTIONS, scripted.client), sent, ...scripted }
}

test('each send goes to one topic-partition, the one that its keys have in Java', async () => {
  const { bus, sent } = slowBus()
  await bus.publish(
    't',
    keys.map((key) => record(key)),
  )
  expect(sent).toHaveLength(4)
  for (const { lane, records } of sent) {
    for (const { key } of records) expect(partitionOf(key, 4)).toBe(lane.partition)
  }
  expect(sent.flatMap(({ records }) => records)).toHaveLength(keys.length)
})

test('a lane has one send under way, while lanes do not wait for each other', async () => {
  const { bus, sent } = slowBus()
  await Promise.all(
    Array.from({ length: 5 }, () =>
      bus.publish(
        't',
        keys.map((key) => record(key)),
      ),
    ),
  )
  expect(sent).toHaveLength(20)
  for (const { lane, underWay } of sent) expect(underWay).not.toContain(`t/${lane.partition}`)
  expect(sent.some(({ underWay }) => underWay.length === 3)).toBe(true)
})

test('records of one lane keep the order in which they were published', async () => {
  const { bus, sent } = slowBus()
  await Promise.all([1, 2, 3].map((n) => bus.publish('t', [record('a', `${n}.1`), record('a', `${n}.2`)])))
  const values = sent.flatMap(({ records }) => records.map(({ value }) => value.toString()))
  expect(values).toEqual(['1.1', '1.2', '2.1', '2.2', '3.1', '3.2'])
})

test('what is too much for one request goes in several, in order', async () => {
  const { bus, sent } = slowBus()
  const large = 'x'.repeat(300_000)
  await bus.publish('t', [record('a', `1${large}`), record('a', `2${large}`), record('a', '3'), record('a', '4')])
  expect(sent.map(({ records }) => records.map(({ value }) => value.toString()[0]).join(''))).toEqual(['1', '234'])
})

test('a record without a key is refused before anything is sent', async () => {
  const { bus, sent } = slowBus()
  await expect(bus.publish('t', [record('a'), record('')])).rejects.toMatchObject({ code: 'bus.record_refused' })
  expect(sent).toEqual([])
})

test('after an outage the producer is a new one, after a refusal it is the same', async () => {
  const failures = [new HubError('bus.record_refused'), unavailable('t', 'scripted')]
  const { bus, producers } = slowBus({
    send: async () => {
      const failure = failures.shift()
      if (failure !== undefined) throw failure
    },
  })
  await expect(bus.publish('t', [record('a')])).rejects.toMatchObject({ code: 'bus.record_refused' })
  await expect(bus.publish('t', [record('a')])).rejects.toMatchObject({ code: 'bus.unavailable' })
  await bus.publish('t', [record('a')])
  expect(producers).toEqual([{ closed: true }, { closed: false }])
})

test('a failure in one lane rejects the publish after the other lanes have ended, and the next publish goes through', async () => {
  const sent: number[] = []
  let failing = true
  const { bus } = slowBus({
    send: async ({ partition }) => {
      if (failing && partition === 0) throw unavailable('t', 'scripted')
      await sleep(20)
      sent.push(partition)
    },
  })
  await expect(
    bus.publish(
      't',
      keys.map((key) => record(key)),
    ),
  ).rejects.toMatchObject({ code: 'bus.unavailable' })
  expect(sent.toSorted()).toEqual([1, 2, 3])
  failing = false
  await bus.publish(
    't',
    keys.map((key) => record(key)),
  )
  expect(sent.toSorted()).toEqual([0, 1, 1, 2, 2, 3, 3])
})

test('the number of partitions is asked again after a failure', async () => {
  const counts = [4, 2]
  const lanes: number[] = []
  let failing = true
  const { bus } = slowBus({
    admin: { partitions: async () => counts.shift() ?? 2 },
    send: async ({ partition }) => {
      if (failing) throw new HubError('bus.topic_faulty')
      lanes.push(partition)
    },
  })
  await expect(
    bus.publish(
      't',
      keys.map((key) => record(key)),
    ),
  ).rejects.toMatchObject({ code: 'bus.topic_faulty' })
  failing = false
  await bus.publish(
    't',
    keys.map((key) => record(key)),
  )
  expect(lanes.toSorted()).toEqual([0, 1])
})
