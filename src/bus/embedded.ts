import { setTimeout as sleep } from 'node:timers/promises'
import {
  appendToTopic,
  type BusRow,
  commitPosition,
  joinGroup,
  readTopic,
  topicLag,
  trimTopics,
} from '#store/bus-queries.ts'
import type { Db } from '#store/db.ts'
import type { Bus, BusMessage, BusRecord, SubscribeOptions, Subscription } from './bus.ts'
import { quietly } from './quietly.ts'
import { createWaker } from './waker.ts'

/** Seals what stands in the table; the other rooms of technology know nothing of keys. */
export interface BusSeal {
  readonly seal: (value: Buffer) => Buffer
  /** Undefined where the value is gone: its place is passed over. */
  readonly open: (sealed: Buffer) => Buffer | undefined
}

interface EmbeddedBusOptions {
  /** How often a reader looks for what another process published; publishers in this process wake it at once. */
  readonly pollMs?: number
  readonly batchSize?: number
  /** Rows that all groups have passed are kept this long. */
  readonly retentionMs?: number
  readonly trimEveryMs?: number
  readonly onError?: (error: unknown) => void
}

const ERROR_BACKOFF_MS = { first: 50, max: 5_000 } as const
const TRIM_ROWS = 2_000

/**
 * The bus on PostgreSQL: one partition per topic, positions in commit order, at-least-once. Readers of one group
 * in several processes are safe but not faster: the committed position moves by compare-and-set.
 */
export function openEmbeddedBus(db: Db, sealing: BusSeal, options: EmbeddedBusOptions = {}): Bus {
  const wakers = new Map<string, Set<() => void>>()
  const subscriptions = new Set<Subscription>()
  const stopTrimming = startTrimming(db, options)

  const publish = async (topic: string, messages: readonly BusRecord[]): Promise<void> => {
    if (messages.length === 0) return
    const rows = messages.map(({ key, value, headers }) => ({
      key,
      headers,
      value: sealing.seal(typeof value === 'string' ? Buffer.from(value) : value),
    }))
    await appendToTopic(db, topic, rows)
    for (const wake of wakers.get(topic) ?? []) wake()
  }

  const subscribe = async (request: SubscribeOptions): Promise<Subscription> => {
    for (const topic of request.topics) await joinGroup(db, topic, request.group)
    const readers = request.topics.map((topic) =>
      startReader({ db, topic, sealing }, request, options, wakersOf(wakers, topic)),
    )
    const setPaused = (paused: boolean): void => {
      for (const reader of readers) reader.setPaused(paused)
    }
    const subscription: Subscription = {
      pause: () => setPaused(true),
      resume: () => setPaused(false),
      close: async () => {
        subscriptions.delete(subscription)
        await Promise.all(readers.map((reader) => reader.close()))
      },
    }
    subscriptions.add(subscription)
    return subscription
  }

  return {
    publish,
    subscribe,
    lag: (topic, group) => topicLag(db, topic, group),
    // The database has its own probe.
    notReady: () => [],
    close: async () => {
      await Promise.all([...subscriptions].map((subscription) => subscription.close()))
      await stopTrimming()
    },
  }
}

function wakersOf(wakers: Map<string, Set<() => void>>, topic: string): Set<() => void> {
  const known = wakers.get(topic) ?? new Set()
  wakers.set(topic, known)
  return known
}

interface Reader {
  readonly setPaused: (paused: boolean) => void
  readonly close: () => Promise<void>
}

interface SealedTopic {
  readonly db: Db
  readonly topic: string
  readonly sealing: BusSeal
}

function startReader(
  { db, topic, sealing }: SealedTopic,
  { group, onBatch, onError }: SubscribeOptions,
  { pollMs = 250, batchSize = 200 }: EmbeddedBusOptions,
  wakers: Set<() => void>,
): Reader {
  let closing = false
  let paused = false
  const news = createWaker()
  const end = createWaker()
  const step = async (): Promise<boolean> => {
    const { committed, rows } = await readTopic(db, topic, group, batchSize)
    const last = rows.at(-1)
    if (last === undefined || closing || paused) return false
    const messages = rows.flatMap((row) => asMessage(topic, row, sealing.open(row.value)))
    if (messages.length > 0) await onBatch(messages)
    await commitPosition(db, topic, group, committed, last.pos)
    return true
  }
  const run = async (): Promise<void> => {
    let backoffMs: number = ERROR_BACKOFF_MS.first
    while (!closing) {
      try {
        if (paused || !(await step())) await news.wait(pollMs)
        backoffMs = ERROR_BACKOFF_MS.first
      } catch (error) {
        quietly(() => onError?.(error))
        // Not cut short by new messages: the batch that failed still comes first.
        await end.wait(backoffMs)
        backoffMs = Math.min(backoffMs * 2, ERROR_BACKOFF_MS.max)
      }
    }
  }
  wakers.add(news.wake)
  const running = run()
  return {
    setPaused: (value) => {
      paused = value
      news.wake()
    },
    close: async () => {
      closing = true
      wakers.delete(news.wake)
      news.wake()
      end.wake()
      await running
    },
  }
}

function asMessage(topic: string, row: BusRow, value: Buffer | undefined): BusMessage[] {
  if (value === undefined) return []
  const { key, headers } = row
  return [{ topic, key, partition: 0, offset: BigInt(row.pos), value, headers, timestampMs: row.at.getTime() }]
}

function startTrimming(db: Db, options: EmbeddedBusOptions): () => Promise<void> {
  const { retentionMs = 7 * 86_400_000, trimEveryMs = 60_000 } = options
  const stop = new AbortController()
  const run = async (): Promise<void> => {
    while (!stop.signal.aborted) {
      await sleep(trimEveryMs, undefined, { signal: stop.signal, ref: false }).catch(() => undefined)
      if (stop.signal.aborted) return
      await trimTopics(db, retentionMs, TRIM_ROWS).catch((error: unknown) => options.onError?.(error))
    }
  }
  const running = run()
  return async () => {
    stop.abort()
    await running
  }
}
