import type { HubError } from '#kernel/errors.ts'
import { busError, unavailable } from './kafka-errors.ts'
import type { FetchedBatch, KafkaClient, KafkaConsumer, Lane } from './kafka-port.ts'
import { closeQuietly } from './renewable.ts'

export interface LifeEvents {
  readonly onBatch: (batch: FetchedBatch) => Promise<void>
  /** The member has (re)joined its group. */
  readonly onJoin: () => void
  readonly onReset: (lane: Lane) => void
  /** At most once, and never after `end`: crashed, failed to start, or fell silent. */
  readonly onDeath: (error: HubError) => void
  /** A handler is at work, so that silence means nothing. */
  readonly isBusy: () => boolean
}

/** One consumer from its birth to its end. What it says after that is not heard. */
export interface Life {
  readonly consumer: KafkaConsumer
  /** Resolves when the brokers have answered; rejects when they did not. */
  readonly started: Promise<void>
  readonly ageMs: () => number
  readonly silenceMs: () => number
  /** Declares it dead. */
  readonly die: (error: HubError) => void
  /** Leaves the group, within bounds. */
  readonly end: () => Promise<void>
}

export function beginLife(
  client: KafkaClient,
  { topics, group }: { readonly topics: readonly string[]; readonly group: string },
  watchdogMs: number,
  events: LifeEvents,
): Life {
  const bornAt = performance.now()
  let lastPollAt = bornAt
  let alive = true
  const die = (error: HubError): void => {
    if (!alive) return
    alive = false
    clearInterval(watchdog)
    events.onDeath(error)
  }
  const consumer = client.consumer({
    topics,
    group,
    onBatch: async (batch) => {
      if (alive) await events.onBatch(batch)
    },
    onPoll: () => {
      lastPollAt = performance.now()
    },
    onJoin: () => {
      if (alive) events.onJoin()
    },
    onReset: (lane) => {
      if (alive) events.onReset(lane)
    },
    onCrash: (error) => die(busError(error, group)),
  })
  const silenceMs = (): number => performance.now() - lastPollAt
  // kafkajs can wait for ever, for an answer or for itself, without a sign of a crash.
  const watchdog = setInterval(() => {
    if (!events.isBusy() && silenceMs() >= watchdogMs) {
      die(unavailable(group, `no poll for ${Math.round(silenceMs())} ms`))
    }
  }, watchdogMs / 4)
  const started = consumer.start()
  started.catch((error: unknown) => die(busError(error, group)))
  return {
    consumer,
    started,
    ageMs: () => performance.now() - bornAt,
    silenceMs,
    die,
    async end() {
      alive = false
      clearInterval(watchdog)
      await closeQuietly(consumer)
    },
  }
}
