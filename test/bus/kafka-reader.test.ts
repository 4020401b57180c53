import { setTimeout as sleep } from 'node:timers/promises'
import { afterEach, expect, test } from 'vitest'
import type { Bus, BusMessage } from '#bus/bus.ts'
import { type KafkaBusOptions, openKafkaBus } from '#bus/kafka.ts'
import { unavailable } from '#bus/kafka-errors.ts'
import { eventually } from './eventually.ts'
import { type Script, scriptedBatch, scriptedKafka } from './scripted-kafka.ts'

const READER: NonNullable<KafkaBusOptions['reader']> = {
  batchSize: 2,
  holds: { firstMs: 10, maxMs: 40 },
  resetPauseMs: 30,
  rebuild: { firstMs: 5, maxMs: 10 },
  heartbeatMs: 10,
  maxCrashes: 3,
}

const opened: Bus[] = []
afterEach(async () => {
  await Promise.all(opened.splice(0).map((bus) => bus.close()))
})

/** A subscription to t on a scripted client. */
async function reader(
  onBatch: (messages: readonly BusMessage[]) => Promise<void>,
  options: Partial<KafkaBusOptions> & { readonly script?: Script } = {},
) {
  const scripted = scriptedKafka(options.script)
  const errors: unknown[] = []
  const reader = { ...READER, ...options.reader }
  const bus = openKafkaBus({ brokers: ['127.0.0.1:1'], clientId: 'test', ...options, reader }, scripted.client)
  opened.push(bus)
  const subscription = await bus.subscribe({
    topics: ['t'],
    group: 'g',
    onBatch,
    onError: (error) => errors.push(error),
  })
  const consumer = (n: number) => {
    const found = scripted.consumers[n]
    if (found === undefined) throw new Error(`no consumer ${n}`)
    return found
  }
  return { bus, subscription, errors, consumers: scripted.consumers, consumer }
}

const values = (messages: readonly BusMessage[]): string => messages.map(({ value }) => value.toString()).join('')
const nothing = async (): Promise<void> => undefined

test('the handler gets short portions, each committed before the reading goes on', async () => {
  const seen: string[] = []
  const { consumer } = await reader(async (messages) => void seen.push(values(messages)))
  const { batch, calls } = scriptedBatch(5)
  await consumer(0).options.onBatch(batch)
  expect(seen).toEqual(['01', '23', '4'])
  expect(calls).toEqual(['commit 2', 'resolve 1', 'commit 4', 'resolve 3', 'commit 5', 'resolve 4'])
})

test('control records behind the last record are committed with it', async () => {
  const { consumer } = await reader(nothing)
  const { batch, calls } = scriptedBatch(2, { lastOffset: 6n })
  await consumer(0).options.onBatch(batch)
  expect(calls).toEqual(['commit 7', 'resolve 1'])
})

test.each([{ Failure: TypeError }, { Failure: RangeError }, { Failure: ReferenceError }, { Failure: Error }])(
  'a handler that throws a $Failure.name never reaches the client: the lane rests, then goes on',
  async ({ Failure }) => {
    const { consumer, errors } = await reader(async () => {
      throw new Failure('scripted')
    })
    const { batch, calls } = scriptedBatch(2)
    await consumer(0).options.onBatch(batch)
    expect(calls).toEqual([])
    expect(errors).toHaveLength(1)
    expect(consumer(0).calls).toEqual(['start', 'pause t/0'])
    await eventually(() => expect(consumer(0).calls).toEqual(['start', 'pause t/0', 'resume t/0']))
  },
)

test('a lane that keeps failing rests longer each time, up to a bound', async () => {
  const { consumer } = await reader(async () => {
    throw new Error('scripted')
  })
  const rests: number[] = []
  for (let n = 0; n < 4; n++) {
    const begun = performance.now()
    await consumer(0).options.onBatch(scriptedBatch(1).batch)
    await eventually(() => expect(consumer(0).calls.at(-1)).toBe('resume t/0'))
    rests.push(performance.now() - begun)
  }
  expect(rests[2]).toBeGreaterThanOrEqual(39)
  expect(rests[3]).toBeGreaterThanOrEqual(39)
  expect(consumer(0).calls.filter((call) => call === 'pause t/0')).toHaveLength(4)
})

test('a commit that fails leaves the records where they are', async () => {
  const { consumer, errors } = await reader(nothing)
  const { batch, calls } = scriptedBatch(2, {
    commit: async () => {
      throw unavailable('t', 'scripted')
    },
  })
  await consumer(0).options.onBatch(batch)
  expect(calls).toEqual([])
  expect(errors).toHaveLength(1)
})

test('a member that its group does not know twice in a row is replaced; once it may join anew by itself', async () => {
  const { consumer, consumers, errors } = await reader(nothing)
  const unknown = Object.assign(new Error('scripted'), { type: 'UNKNOWN_MEMBER_ID' })
  const batch = (partition: number) =>
    scriptedBatch(1, {
      partition,
      commit: async () => {
        throw unavailable('t', 'scripted', unknown)
      },
    }).batch
  await Promise.all([0, 1].map((partition) => consumer(0).options.onBatch(batch(partition))))
  consumer(0).options.onJoin()
  await consumer(0).options.onBatch(batch(0))
  await sleep(30)
  expect(consumers).toHaveLength(1)
  await consumer(0).options.onBatch(batch(0))
  await eventually(() => expect(consumers).toHaveLength(2))
  expect(consumer(0).calls).toContain('close')
  expect(errors.length).toBeGreaterThanOrEqual(4)
})

test('what was begun before a rebalance is not committed after it', async () => {
  let rebalance = (): void => undefined
  const { consumer } = await reader(async () => rebalance())
  rebalance = () => consumer(0).options.onJoin()
  const { batch, calls } = scriptedBatch(4)
  await consumer(0).options.onBatch(batch)
  expect(calls).toEqual([])
})

test('a batch that is no longer ours is left between two portions', async () => {
  let current = true
  const seen: string[] = []
  const { consumer } = await reader(async (messages) => {
    seen.push(values(messages))
    current = false
  })
  const { batch } = scriptedBatch(4, { isCurrent: () => current })
  await consumer(0).options.onBatch(batch)
  expect(seen).toEqual(['01'])
})

test('a slow handler keeps its membership by heartbeats', async () => {
  const { consumer } = await reader(() => sleep(60))
  const { batch, calls } = scriptedBatch(1)
  await consumer(0).options.onBatch(batch)
  expect(calls.filter((call) => call === 'heartbeat').length).toBeGreaterThanOrEqual(2)
  expect(calls.slice(-2)).toEqual(['commit 1', 'resolve 0'])
})

test('a crash is answered with a new consumer, never with the old one', async () => {
  const seen: string[] = []
  const { consumer, consumers, errors } = await reader(async (messages) => void seen.push(values(messages)))
  consumer(0).options.onCrash(new TypeError('scripted'))
  await eventually(() => expect(consumers).toHaveLength(2))
  expect(consumer(0).calls).toEqual(['start', 'close'])
  expect(errors).toHaveLength(1)
  await consumer(0).options.onBatch(scriptedBatch(1).batch)
  expect(seen).toEqual([])
  await consumer(1).options.onBatch(scriptedBatch(1).batch)
  expect(seen).toEqual(['0'])
})

test('after so many crashes that no outage explains the process is told to end; outages do not count', async () => {
  const fatal: unknown[] = []
  const { consumer, consumers } = await reader(nothing, { onFatal: (error) => fatal.push(error) })
  for (let n = 0; n < 10; n++) {
    consumer(n).options.onCrash(n % 2 === 0 ? unavailable('g', 'scripted') : new TypeError('scripted'))
    await eventually(() => expect(consumers).toHaveLength(n + 2))
    expect(fatal).toHaveLength(n < 5 ? 0 : 1)
  }
})

test('crashes long before do not count', async () => {
  const fatal: unknown[] = []
  const { consumer, consumers } = await reader(nothing, {
    onFatal: (error) => fatal.push(error),
    reader: { ...READER, stableMs: 20 },
  })
  for (let n = 0; n < 5; n++) {
    await sleep(30)
    consumer(n).options.onCrash(new TypeError('scripted'))
    await eventually(() => expect(consumers).toHaveLength(n + 2))
  }
  expect(fatal).toEqual([])
})

test('a consumer that cannot start again is tried again, and a first one that cannot start rejects', async () => {
  let failing = 2
  const script: Script = {
    start: async (n) => {
      if (n > 1 && failing-- > 0) throw unavailable('g', 'scripted')
    },
  }
  const { consumer, consumers } = await reader(nothing, { script })
  consumer(0).options.onCrash(unavailable('g', 'scripted'))
  await eventually(() => expect(consumers).toHaveLength(4))
  const refusing: Script = { start: () => Promise.reject(unavailable('g', 'scripted')) }
  await expect(reader(nothing, { script: refusing })).rejects.toMatchObject({ code: 'bus.unavailable' })
})

test('a consumer that falls silent is replaced, but not while its handler is at work', async () => {
  let release = (): void => undefined
  const held = new Promise<void>((resolve) => {
    release = resolve
  })
  const { consumer, consumers } = await reader(() => held, { reader: { ...READER, watchdogMs: 60 } })
  const handling = consumer(0).options.onBatch(scriptedBatch(1).batch)
  await sleep(150)
  expect(consumers).toHaveLength(1)
  release()
  await handling
  await eventually(() => expect(consumers.length).toBeGreaterThan(1))
})

test('readiness is the age of the last poll', async () => {
  const { bus, consumer } = await reader(nothing, { reader: { ...READER, readyMs: 50 } })
  expect(bus.notReady()).toEqual([])
  await sleep(70)
  expect(bus.notReady()).toEqual([expect.stringMatching(/^kafka: g has not polled t for \d+ s$/)])
  consumer(0).options.onPoll()
  expect(bus.notReady()).toEqual([])
})

test('a reset of the offset is told, and the lane rests before it begins anew', async () => {
  const { consumer, errors } = await reader(nothing)
  consumer(0).options.onReset({ topic: 't', partition: 2 })
  expect(errors).toMatchObject([{ code: 'bus.offset_reset' }])
  expect(consumer(0).calls).toEqual(['start', 'pause t/2'])
  await eventually(() => expect(consumer(0).calls.at(-1)).toBe('resume t/2'))
})

test('a pause holds through rebalances and through a new consumer', async () => {
  const seen: string[] = []
  const { subscription, consumer, consumers } = await reader(async (messages) => void seen.push(values(messages)))
  subscription.pause()
  consumer(0).options.onJoin()
  expect(consumer(0).calls).toEqual(['start', 'pause t', 'pause t'])
  consumer(0).options.onCrash(unavailable('g', 'scripted'))
  await eventually(() => expect(consumers).toHaveLength(2))
  consumer(1).options.onJoin()
  expect(consumer(1).calls).toContain('pause t')
  await consumer(1).options.onBatch(scriptedBatch(1).batch)
  expect(seen).toEqual([])
  subscription.resume()
  expect(consumer(1).calls.at(-1)).toBe('resume t')
})

test('closing waits for the batch in hand, commits it and takes nothing more', async () => {
  const seen: string[] = []
  const { subscription, consumer } = await reader(async (messages) => {
    await sleep(30)
    seen.push(values(messages))
  })
  const { batch, calls } = scriptedBatch(4)
  const handling = consumer(0).options.onBatch(batch)
  await subscription.close()
  await handling
  expect(seen).toEqual(['01'])
  expect(calls.slice(-2)).toEqual(['commit 2', 'resolve 1'])
  expect(consumer(0).calls).toEqual(['start', 'close'])
})

test.each(['snappy', 'lz4', 'zstd'])('a topic that the broker compresses with %s is refused at once', async (codec) => {
  const script: Script = { admin: { config: async () => ({ 'compression.type': codec }) } }
  await expect(reader(nothing, { script })).rejects.toMatchObject({ code: 'bus.topic_faulty' })
})
