import { setTimeout as sleep } from 'node:timers/promises'
import { afterEach, expect, it } from 'vitest'
import type { Bus, BusMessage } from '#bus/bus.ts'
import { eventually } from './eventually.ts'

const record = (key: string, n: number) => ({ key, value: `value-${n}`, headers: { ce_id: String(n) } })
const numbers = (messages: readonly BusMessage[]): number[] =>
  messages.map((message) => Number(message.headers['ce_id']))

/**
 * What every implementation of the bus promises. `openBus` gives one more member on the same broker; `makeTopic` makes
 * a topic where that does not happen by itself.
 */
export function busSuite(openBus: () => Bus, makeTopic: (topic: string) => Promise<void> = async () => {}): void {
  const open: Bus[] = []
  const bus = (): Bus => {
    const opened = openBus()
    open.push(opened)
    return opened
  }
  // Members that read other topics rebalance a group: on a shared broker each suite has its own.
  const group = `suite-${process.pid}`
  let topic = ''
  let counter = 0
  const newTopic = async (): Promise<string> => {
    topic = `topic-${process.pid}-${counter++}`
    await makeTopic(topic)
    return topic
  }
  afterEach(async () => {
    await Promise.all(open.splice(0).map((opened) => opened.close()))
  })

  it('hands messages over in the order they were published, with key, headers and bytes', async () => {
    const seen: BusMessage[] = []
    const it1 = bus()
    await it1.subscribe({ topics: [await newTopic()], group, onBatch: async (batch) => void seen.push(...batch) })
    const bytes = Buffer.from([0xff, 0x00, 0x80])
    await it1.publish(topic, [record('a', 1), record('a', 2)])
    await it1.publish(topic, [{ key: 'a', value: bytes, headers: { ce_id: '3' } }])

    await eventually(() => expect(numbers(seen)).toEqual([1, 2, 3]))
    expect(seen[0]?.key).toBe('a')
    expect(seen[0]?.value.toString()).toBe('value-1')
    expect(seen[2]?.value.equals(bytes)).toBe(true)
    expect(seen.map((message) => message.offset)).toEqual([...seen.map((message) => message.offset)].sort())
  })

  it('gives a new group everything from the beginning', async () => {
    const it1 = bus()
    await it1.publish(await newTopic(), [record('a', 1), record('b', 2)])
    const seen: BusMessage[] = []
    await it1.subscribe({ topics: [topic], group: 'late', onBatch: async (batch) => void seen.push(...batch) })
    await eventually(() => expect(numbers(seen).sort()).toEqual([1, 2]))
  })

  it('brings a batch again after its handler failed, and passes nothing over', async () => {
    const attempts: number[][] = []
    const errors: unknown[] = []
    const it1 = bus()
    await it1.publish(await newTopic(), [record('a', 1), record('a', 2)])
    await it1.subscribe({
      topics: [topic],
      group,
      onBatch: async (batch) => {
        attempts.push(numbers(batch))
        if (attempts.length < 3) throw new TypeError('scripted')
      },
      onError: (error) => errors.push(error),
    })
    await eventually(() =>
      expect(attempts).toEqual([
        [1, 2],
        [1, 2],
        [1, 2],
      ]),
    )
    await eventually(async () => expect(await it1.lag(topic, group)).toBe(0))
    expect(errors).toHaveLength(2)
  })

  it('commits an offset only after the handler has resolved', async () => {
    const it1 = bus()
    await it1.publish(await newTopic(), [record('a', 1)])
    let release = (): void => undefined
    const handling = new Promise<void>((resolve) => {
      release = resolve
    })
    let started = false
    await it1.subscribe({
      topics: [topic],
      group,
      onBatch: () => {
        started = true
        return handling
      },
    })
    await eventually(() => expect(started).toBe(true))
    await sleep(50)
    expect(await it1.lag(topic, group)).toBe(1)
    release()
    await eventually(async () => expect(await it1.lag(topic, group)).toBe(0))
  })

  it('hands nothing over while paused and goes on where it was', async () => {
    const seen: BusMessage[] = []
    const it1 = bus()
    const subscription = await it1.subscribe({
      topics: [await newTopic()],
      group,
      onBatch: async (batch) => void seen.push(...batch),
    })
    subscription.pause()
    await sleep(50)
    await it1.publish(topic, [record('a', 1)])
    await sleep(200)
    expect(seen).toEqual([])
    subscription.resume()
    await eventually(() => expect(numbers(seen)).toEqual([1]))
  })

  it('lets another member of the group take over where a closed one stood', async () => {
    const first: BusMessage[] = []
    const second: BusMessage[] = []
    const it1 = bus()
    const gone = await it1.subscribe({
      topics: [await newTopic()],
      group,
      onBatch: async (batch) => void first.push(...batch),
    })
    await it1.publish(topic, [record('a', 1)])
    await eventually(async () => expect(await it1.lag(topic, group)).toBe(0))
    await gone.close()
    await it1.publish(topic, [record('a', 2)])
    await bus().subscribe({ topics: [topic], group, onBatch: async (batch) => void second.push(...batch) })
    await eventually(() => expect(numbers(second)).toEqual([2]))
    expect(numbers(first)).toEqual([1])
  })

  it('reads what a publisher elsewhere has published', async () => {
    const seen: BusMessage[] = []
    const [reader, writer] = [bus(), bus()]
    await reader.subscribe({
      topics: [await newTopic()],
      group,
      onBatch: async (batch) => void seen.push(...batch),
    })
    await writer.publish(topic, [record('a', 1)])
    await eventually(() => expect(numbers(seen)).toEqual([1]))
  })

  it('skips no message while many publishers commit at once', async () => {
    const seen = new Set<number>()
    const reader = bus()
    await reader.subscribe({
      topics: [await newTopic()],
      group,
      onBatch: async (batch) => {
        for (const n of numbers(batch)) seen.add(n)
      },
    })
    const writers = [bus(), bus(), bus(), bus()]
    await Promise.all(
      writers.map(async (writer, w) => {
        for (let n = 0; n < 50; n++) await writer.publish(topic, [record(`k${w}`, w * 1_000 + n)])
      }),
    )
    await eventually(() => expect(seen.size).toBe(200))
  })

  it('keeps the order of each key, whatever fails and comes again', async () => {
    const seen = new Map<string, number[]>()
    const it1 = bus()
    let calls = 0
    await it1.subscribe({
      topics: [await newTopic()],
      group,
      onBatch: async (batch) => {
        if (calls++ % 3 === 0) throw new RangeError('scripted')
        for (const message of batch) {
          const known = seen.get(message.key) ?? []
          const [n] = numbers([message])
          if (n !== undefined && !known.includes(n)) seen.set(message.key, [...known, n])
        }
      },
    })
    for (let n = 0; n < 60; n += 5) {
      await it1.publish(
        topic,
        [0, 1, 2, 3, 4].map((k) => record(`k${k}`, n + k)),
      )
    }
    await eventually(() => expect([...seen.values()].flat()).toHaveLength(60))
    for (const [key, order] of seen) {
      expect({ key, order }).toEqual({ key, order: order.toSorted((a, b) => a - b) })
    }
    await eventually(async () => expect(await it1.lag(topic, group)).toBe(0))
  })

  it('gives what a closed member could not finish to the next one', async () => {
    const seen: BusMessage[] = []
    let attempts = 0
    const it1 = bus()
    await it1.publish(await newTopic(), [record('a', 1)])
    const gone = await it1.subscribe({
      topics: [topic],
      group,
      onBatch: async () => {
        attempts++
        throw new SyntaxError('scripted')
      },
    })
    await eventually(() => expect(attempts).toBeGreaterThan(0))
    await gone.close()
    const before = attempts
    await bus().subscribe({ topics: [topic], group, onBatch: async (batch) => void seen.push(...batch) })
    await eventually(() => expect(numbers(seen)).toEqual([1]))
    expect(attempts).toBe(before)
  })

  it('closes after the batch in hand, and that batch does not come again', async () => {
    const second: BusMessage[] = []
    let started = false
    let ended = false
    const it1 = bus()
    await it1.publish(await newTopic(), [record('a', 1)])
    const subscription = await it1.subscribe({
      topics: [topic],
      group,
      onBatch: async () => {
        started = true
        await sleep(300)
        ended = true
      },
    })
    await eventually(() => expect(started).toBe(true))
    await subscription.close()
    expect(ended).toBe(true)
    await it1.publish(topic, [record('a', 2)])
    await bus().subscribe({ topics: [topic], group, onBatch: async (batch) => void second.push(...batch) })
    await eventually(() => expect(numbers(second)).toEqual([2]))
  })

  it('lets a listener for errors fail without losing its reader', async () => {
    const seen: BusMessage[] = []
    let failures = 0
    const it1 = bus()
    await it1.subscribe({
      topics: [await newTopic()],
      group,
      onBatch: async (batch) => {
        if (failures === 0) throw new TypeError('scripted')
        seen.push(...batch)
      },
      onError: () => {
        failures++
        throw new TypeError('scripted')
      },
    })
    await it1.publish(topic, [record('a', 1)])
    await eventually(() => expect(numbers(seen)).toEqual([1]))
  })
}
