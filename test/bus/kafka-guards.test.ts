import { once } from 'node:events'
import { type AddressInfo, createServer, type Socket } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import kafkajs from 'kafkajs'
import { afterEach, expect, test, vi } from 'vitest'
import type { Bus, BusMessage } from '#bus/bus.ts'
import { type KafkaBusOptions, openKafkaBus } from '#bus/kafka.ts'
import { openKafkaClient } from '#bus/kafka-client.ts'
import { partitionOf } from '#bus/murmur2.ts'
import { asAdmin, makeTopic, plainKafka, QUICK_TIMES, unique, withKafka } from '../support/kafka.ts'
import { eventually } from './eventually.ts'

const record = (key: string, value: string) => ({ key, value, headers: {} })
const values = (messages: readonly BusMessage[]): string[] => messages.map(({ value }) => value.toString())

/** Members that read other topics rebalance a group: on a shared broker each suite has its own. */
const group = unique('guards')

const opened: Bus[] = []
const open = (options: Partial<KafkaBusOptions> & Pick<KafkaBusOptions, 'brokers'>): Bus => {
  const bus = openKafkaBus({ clientId: 'guards', times: QUICK_TIMES, ...options })
  opened.push(bus)
  return bus
}
afterEach(async () => {
  vi.restoreAllMocks()
  await Promise.all(opened.splice(0).map((bus) => bus.close()))
})

withKafka('on a real broker the Kafka bus', (brokers) => {
  test('puts keys where the Java client puts them', async () => {
    const topic = unique('partitions')
    await makeTopic(brokers(), topic, { partitions: 7 })
    const bus = open({ brokers: brokers() })
    const keys = ['21', 'foobar', 'a-little-bit-long-string', '电桥', '内蒙古150402']
    await bus.publish(
      topic,
      keys.map((key) => record(key, key)),
    )
    const seen: BusMessage[] = []
    await bus.subscribe({ topics: [topic], group, onBatch: async (batch) => void seen.push(...batch) })
    await eventually(() => expect(seen).toHaveLength(keys.length))
    for (const { key, partition } of seen) expect({ key, partition }).toEqual({ key, partition: partitionOf(key, 7) })
  })

  test('arms no timer while its connections are idle', async () => {
    const topic = unique('idle')
    await makeTopic(brokers(), topic)
    const bus = open({ brokers: brokers() })
    await bus.publish(topic, [record('a', '1')])
    const timers = vi.spyOn(globalThis, 'setTimeout')
    await sleep(500)
    expect(timers.mock.calls.filter(([, ms]) => (ms ?? 0) < 5)).toEqual([])
    expect(timers.mock.calls.length).toBeLessThan(10)
  })

  test('says so and rests when the log no longer holds what the group would read next', async () => {
    const topic = unique('reset')
    await makeTopic(brokers(), topic, { partitions: 1 })
    const bus = open({ brokers: brokers(), reader: { resetPauseMs: 1_000 } })
    await bus.publish(topic, [record('a', '1')])
    const first = await bus.subscribe({ topics: [topic], group, onBatch: async () => undefined })
    await eventually(async () => expect(await bus.lag(topic, group)).toBe(0))
    await first.close()
    await bus.publish(
      topic,
      ['2', '3', '4'].map((value) => record('a', value)),
    )
    await asAdmin(brokers(), async (admin) => {
      await admin.fetchTopicOffsets(topic)
      await admin.deleteTopicRecords({ topic, partitions: [{ partition: 0, offset: '3' }] })
    })

    const seen: string[] = []
    const errors: unknown[] = []
    let toldAt = 0
    let readAt = 0
    await bus.subscribe({
      topics: [topic],
      group,
      onBatch: async (batch) => {
        readAt = performance.now()
        seen.push(...values(batch))
      },
      onError: (error) => {
        toldAt = performance.now()
        errors.push(error)
      },
    })
    await eventually(() => expect(seen).toEqual(['4']))
    expect(errors).toMatchObject([{ code: 'bus.offset_reset' }])
    expect(readAt - toldAt).toBeGreaterThan(900)
  })

  test('refuses to read a topic that the broker compresses with another codec, or that is missing', async () => {
    const topic = unique('codec')
    await makeTopic(brokers(), topic, { config: { 'compression.type': 'zstd' } })
    const bus = open({ brokers: brokers() })
    const subscribe = (to: string) => bus.subscribe({ topics: [to], group, onBatch: async () => undefined })
    await expect(subscribe(topic)).rejects.toMatchObject({ code: 'bus.topic_faulty' })
    await expect(subscribe(unique('missing'))).rejects.toMatchObject({ code: 'bus.topic_faulty' })
    await expect(bus.publish(unique('missing'), [record('a', '1')])).rejects.toMatchObject({ code: 'bus.topic_faulty' })
  })

  test('reads gzip, repeated headers, missing keys and tombstones of foreign producers', async () => {
    const topic = unique('foreign')
    await makeTopic(brokers(), topic, { partitions: 1 })
    const producer = plainKafka(brokers()).producer()
    await producer.connect()
    await producer.send({
      topic,
      compression: kafkajs.CompressionTypes.GZIP,
      messages: [
        { value: 'zipped', headers: { h: ['first', 'last'] } },
        { key: 'k', value: null },
      ],
    })
    await producer.disconnect()
    const seen: BusMessage[] = []
    await open({ brokers: brokers() }).subscribe({
      topics: [topic],
      group,
      onBatch: async (batch) => void seen.push(...batch),
    })
    await eventually(() => expect(seen).toHaveLength(2))
    expect(seen[0]).toMatchObject({ key: '', headers: { h: 'last' } })
    expect(values(seen)).toEqual(['zipped', ''])
  })

  test('refuses a record that the topic is too small for, and goes on with others', async () => {
    const topic = unique('small')
    await makeTopic(brokers(), topic, { config: { 'max.message.bytes': '2000' } })
    const bus = open({ brokers: brokers() })
    await expect(bus.publish(topic, [record('a', 'x'.repeat(4_000))])).rejects.toMatchObject({
      code: 'bus.record_refused',
    })
    await bus.publish(topic, [record('a', 'small')])
  })

  test('refuses a record without an explicit partition even below the port', async () => {
    const topic = unique('explicit')
    await makeTopic(brokers(), topic)
    const producer = openKafkaClient({ brokers: brokers(), clientId: 'guards' }).producer()
    // what a caller in JavaScript could do
    const lane = { topic } as { topic: string; partition: number }
    const sent = producer.send(lane, [{ key: 'k', value: Buffer.from('v'), headers: {} }])
    await expect(sent).rejects.toMatchObject({ code: 'bus.record_refused' })
    await producer.close()
  })

  test('loses nothing and keeps the order of keys while members come and go', async () => {
    const topic = unique('members')
    await makeTopic(brokers(), topic, { partitions: 6 })
    const seen = new Map<string, number[]>()
    const onBatch = async (batch: readonly BusMessage[]): Promise<void> => {
      await sleep(2)
      for (const { key, value } of batch) {
        const known = seen.get(key) ?? []
        const n = Number(value.toString())
        if (!known.includes(n)) seen.set(key, [...known, n])
      }
    }
    const member = async () => {
      const bus = open({ brokers: brokers(), reader: { batchSize: 5 } })
      return bus.subscribe({ topics: [topic], group, onBatch })
    }
    const publisher = open({ brokers: brokers() })
    const publishing = (async () => {
      for (let n = 0; n < 100; n++) {
        await publisher.publish(
          topic,
          Array.from({ length: 10 }, (_, k) => record(`k${k}`, String(n))),
        )
      }
    })()
    const first = await member()
    await sleep(300)
    await member()
    await sleep(300)
    await first.close()
    await member()
    await publishing
    await eventually(() => expect([...seen.values()].flat()).toHaveLength(1_000))
    for (const order of seen.values()) expect(order).toEqual(Array.from({ length: 100 }, (_, n) => n))
    await eventually(async () => expect(await publisher.lag(topic, group)).toBe(0))
  })
})

test.each([
  { limited: 'each request', times: { requestTimeoutMs: 200, callTimeoutMs: 20_000 } },
  { limited: 'the whole call', times: { requestTimeoutMs: 20_000, callTimeoutMs: 500 } },
])(
  'a broker that takes connections and never answers is given up: $limited has its limit',
  async ({ times: limits }) => {
    const sockets = new Set<Socket>()
    const silent = createServer((socket) => void sockets.add(socket))
    silent.listen(0, '127.0.0.1')
    await once(silent, 'listening')
    const { port } = silent.address() as AddressInfo
    const times = { ...QUICK_TIMES, connectionTimeoutMs: 200, ...limits }
    const bus = open({ brokers: [`127.0.0.1:${port}`], times })
    const begun = performance.now()
    const calls = [
      bus.publish('t', [record('a', '1')]),
      bus.subscribe({ topics: ['t'], group, onBatch: async () => undefined }),
      bus.lag('t', group),
    ]
    for (const outcome of await Promise.allSettled(calls)) {
      expect(outcome).toMatchObject({ status: 'rejected', reason: { code: 'bus.unavailable', retriable: true } })
    }
    expect(performance.now() - begun).toBeLessThan(4_000)
    for (const socket of sockets) socket.destroy()
    silent.close()
  },
)
