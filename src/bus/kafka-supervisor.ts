import { HubError } from '#kernel/errors.ts'
import type { HoldTimes } from './kafka-holds.ts'
import { beginLife, type Life, type LifeEvents } from './kafka-life.ts'
import type { KafkaClient, KafkaConsumer, Lane } from './kafka-port.ts'

export interface ReaderSettings {
  readonly batchSize: number
  readonly heartbeatMs: number
  readonly holds: HoldTimes
  /** How long a lane rests after its offset was reset, so that the alert comes before the records. */
  readonly resetPauseMs: number
  /** Without a poll for this long the reader is not ready; without one for `watchdogMs` its consumer is replaced. */
  readonly readyMs: number
  readonly watchdogMs: number
  /** Pause before a new consumer, doubling. */
  readonly rebuild: HoldTimes
  /** After this many crashes in a row that no outage explains, `onFatal` is called. */
  readonly maxCrashes: number
  /** A consumer that lived this long had nothing to do with earlier crashes. */
  readonly stableMs: number
  readonly onFatal?: (error: HubError) => void
}

interface Duties extends Pick<LifeEvents, 'onBatch' | 'isBusy'> {
  /** A new consumer, or a rebalance of the one there is. */
  readonly onEpoch: () => void
  readonly onReset: (lane: Lane, alert: HubError) => void
  readonly onError: (error: HubError) => void
}

interface Supervised {
  /** Rejects when the first start fails; later ones are tried again for ever. */
  readonly started: Promise<void>
  readonly consumer: () => KafkaConsumer | undefined
  readonly notReady: () => string | undefined
  /** Puts a new consumer in the place of the one there is. */
  readonly renew: (error: HubError) => void
  readonly close: () => Promise<void>
}

/**
 * Keeps one consumer alive: after a crash, and when it has not polled for too long, it is closed and a new one made.
 * A process whose consumer has ended but which lives on is worse than one that ends, hence `onFatal`.
 */
export function supervise(
  client: KafkaClient,
  subject: { readonly topics: readonly string[]; readonly group: string },
  settings: ReaderSettings,
  duties: Duties,
): Supervised {
  const { topics, group } = subject
  let closed = false
  let crashes = 0
  let rebuilds = 0
  let pause: NodeJS.Timeout | undefined
  let ending: Promise<void> = Promise.resolve()

  const live = (): Life => {
    duties.onEpoch()
    return beginLife(client, subject, settings.watchdogMs, {
      ...duties,
      onJoin: duties.onEpoch,
      onReset: (lane) => duties.onReset(lane, resetAlert(lane, group)),
      onDeath: replace,
    })
  }

  const replace = (error: HubError): void => {
    duties.onError(error)
    if (life.ageMs() >= settings.stableMs) {
      crashes = 0
      rebuilds = 0
    }
    if (!isOutage(error) && ++crashes === settings.maxCrashes) settings.onFatal?.(error)
    ending = life.end()
    pause = setTimeout(
      () => {
        void ending.then(() => {
          if (!closed) life = live()
        })
      },
      Math.min(settings.rebuild.firstMs * 2 ** rebuilds++, settings.rebuild.maxMs),
    )
  }

  const close = async (): Promise<void> => {
    closed = true
    clearTimeout(pause)
    await Promise.all([ending, life.end()])
  }

  let life = live()
  return {
    started: life.started.catch(async (error: unknown) => {
      await close()
      throw error
    }),
    consumer: () => life.consumer,
    renew: (error) => life.die(error),
    notReady: () => {
      const silentMs = life.silenceMs()
      if (silentMs < settings.readyMs) return undefined
      return `kafka: ${group} has not polled ${topics.join(', ')} for ${Math.round(silentMs / 1000)} s`
    },
    close,
  }
}

const isOutage = ({ code }: HubError): boolean => code === 'bus.unavailable'

const resetAlert = ({ topic, partition }: Lane, group: string): HubError =>
  new HubError('bus.offset_reset', {
    detail: {
      zh: `消费组 ${group} 在 ${topic}/${partition} 的位移已重置到最早`,
      en: `the offset of ${group} in ${topic}/${partition} was set to the beginning`,
    },
  })
