import { setTimeout as sleep } from 'node:timers/promises'
import { afterEach, expect, test } from 'vitest'
import type { Bus, BusMessage } from '#bus/bus.ts'
import { openKafkaBus } from '#bus/kafka.ts'
import { makeTopic, QUICK_TIMES, unique, withLocalKafka } from '../support/kafka.ts'
import { eventually } from './eventually.ts'

const READER = { rebuild: { firstMs: 100, maxMs: 500 }, readyMs: 2_000 }
const record = (key: string, n: number) => ({ key, value: String(n), headers: {} })

const opened: Bus[] = []
const open = (brokers: readonly string[]): Bus => {
  const times = { ...QUICK_TIMES, requestTimeoutMs: 3_000, connectionTimeoutMs: 1_000, callTimeoutMs: 5_000 }
  const bus = openKafkaBus({ brokers, clientId: 'outages', times, reader: READER })
  opened.push(bus)
  return bus
}
afterEach(async () => {
  await Promise.all(opened.splice(0).map((bus) => bus.close()))
})

/** Just before the time limit of the test, which could not tell what failed. */
const PUBLISHED_WITHIN_MS = 85_000

/** Publishes in order and, as the relay does, tries each step until it is through before the next one. */
async function publishAll(bus: Bus, topic: string, count: number, keys: number): Promise<void> {
  const deadline = performance.now() + PUBLISHED_WITHIN_MS
  for (let n = 0; n < count; n++) {
    for (;;) {
      const step = bus.publish(
        topic,
        Array.from({ length: keys }, (_, k) => record(`k${k}`, n)),
      )
      const failure = await step.then(() => undefined).catch((error: unknown) => error)
      if (failure === undefined) break
      if (performance.now() > deadline) throw new Error(`step ${n} was never published`, { cause: failure })
    }
  }
}

/** First occurrences by key, as an inbox sees them. */
function inbox(): {
  readonly seen: Map<string, number[]>
  readonly onBatch: (m: readonly BusMessage[]) => Promise<void>
} {
  const seen = new Map<string, number[]>()
  return {
    seen,
    onBatch: async (messages) => {
      for (const { key, value } of messages) {
        const known = seen.get(key) ?? []
        const n = Number(value.toString())
        if (!known.includes(n)) seen.set(key, [...known, n])
      }
    },
  }
}

const upTo = (count: number): number[] => Array.from({ length: count }, (_, n) => n)

withLocalKafka('a single broker that goes away', {}, (kafka) => {
  test.each(['SIGTERM', 'SIGKILL'] as const)(
    'and comes back after %s: nothing is lost, keys keep their order, and readiness tells of it',
    { timeout: 90_000 },
    async (signal) => {
      const topic = unique('outage')
      await makeTopic(kafka().brokers, topic)
      const bus = open(kafka().brokers)
      const { seen, onBatch } = inbox()
      await bus.subscribe({ topics: [topic], group: unique('g'), onBatch })
      const publishing = publishAll(open(kafka().brokers), topic, 200, 5)
      await sleep(200)
      await kafka().stopNode(0, signal)
      await expect.poll(() => bus.notReady(), { timeout: 15_000 }).toHaveLength(1)
      await kafka().startNode(0)
      await publishing
      await expect.poll(() => [...seen.values()].flat().length, { timeout: 40_000 }).toBe(1_000)
      for (const order of seen.values()) expect(order).toEqual(upTo(200))
      await eventually(() => expect(bus.notReady()).toEqual([]))
    },
  )
})

withLocalKafka('three brokers of which one dies', { nodes: 3 }, (kafka) => {
  test('lose nothing that was published, and keys keep their order', { timeout: 120_000 }, async () => {
    const topic = unique('failover')
    await makeTopic(kafka().brokers, topic, {
      partitions: 6,
      replication: 3,
      config: { 'min.insync.replicas': '2' },
    })
    const { seen, onBatch } = inbox()
    await open(kafka().brokers).subscribe({ topics: [topic], group: unique('g'), onBatch })
    const publishing = publishAll(open(kafka().brokers), topic, 150, 12)
    await sleep(500)
    await kafka().stopNode(1, 'SIGKILL')
    await sleep(2_000)
    await kafka().startNode(1)
    await kafka().stopNode(2, 'SIGKILL')
    await publishing
    await expect.poll(() => [...seen.values()].flat().length, { timeout: 60_000 }).toBe(1_800)
    for (const order of seen.values()) expect(order).toEqual(upTo(150))
  })
})
