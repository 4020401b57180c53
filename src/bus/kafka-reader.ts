import type { BusMessage, SubscribeOptions, Subscription } from './bus.ts'
import { busError, isMemberUnknown } from './kafka-errors.ts'
import { createHolds } from './kafka-holds.ts'
import type { FetchedBatch, FetchedRecord, KafkaClient, Lane } from './kafka-port.ts'
import { type ReaderSettings, supervise } from './kafka-supervisor.ts'
import { quietly } from './quietly.ts'

export interface Reader extends Subscription {
  /** Why this reader does not do its work, or undefined. */
  readonly notReady: () => string | undefined
}

/**
 * Reads for one subscription through a consumer that is rebuilt whenever it ends. The handler runs on short batches;
 * nothing it throws reaches the client, which would retry a record for ever or end for good: the lane pauses, and the
 * same records come again. Rejects when the first start fails.
 */
export async function startReader(
  client: KafkaClient,
  request: SubscribeOptions,
  settings: ReaderSettings,
): Promise<Reader> {
  const report = (error: unknown): void => quietly(() => request.onError?.(error))
  let paused = false
  let closing = false
  /** Moves with each rebalance and each new consumer: what was begun in an earlier one must not be committed. */
  let epoch = 0
  const inHand = new Set<Promise<void>>()
  const isZombie = createZombieWatch()

  const holdBack = (lane: Lane, ms: number): void => {
    quietly(() => supervised.consumer()?.pause(lane))
    holds.hold(lane, ms)
  }
  // Refused while the consumer has not joined: what is paused is paused again when it has.
  const applyPause = (): void => {
    for (const topic of request.topics) {
      quietly(() => (paused ? supervised.consumer()?.pause({ topic }) : supervised.consumer()?.resume({ topic })))
    }
  }
  const handle = async (batch: FetchedBatch): Promise<void> => {
    const began = epoch
    const mayGoOn = (): boolean => epoch === began && batch.isCurrent()
    try {
      for (const portion of portions(batch.records, settings.batchSize)) {
        if (closing || paused || !mayGoOn()) return
        if (!(await work(request, settings, batch, portion, () => epoch === began))) return
        holds.succeeded(batch)
      }
    } catch (error) {
      report(error)
      holdBack(batch, holds.failed(batch))
      if (epoch === began && isZombie(batch, began, error)) supervised.renew(busError(error, request.group))
    }
  }

  const holds = createHolds(settings.holds, (lane) => {
    if (!paused) quietly(() => supervised.consumer()?.resume(lane))
  })
  const supervised = supervise(client, request, settings, {
    onBatch: (batch) => {
      const handling = handle(batch).finally(() => inHand.delete(handling))
      inHand.add(handling)
      return handling
    },
    onEpoch: () => {
      epoch++
      if (paused) applyPause()
    },
    onReset: (lane, alert) => {
      report(alert)
      holdBack(lane, settings.resetPauseMs)
    },
    onError: report,
    isBusy: () => inHand.size > 0,
  })
  await supervised.started

  const setPaused = (value: boolean): void => {
    paused = value
    applyPause()
  }
  return {
    pause: () => setPaused(true),
    resume: () => setPaused(false),
    notReady: supervised.notReady,
    async close() {
      closing = true
      await Promise.all(inHand)
      holds.clear()
      await supervised.close()
    },
  }
}

/**
 * Hands one portion over, then commits, then goes on: in this order a crash repeats records and never skips any. False
 * when the group has moved on in between; then whoever has the lane now reads from what is committed.
 */
async function work(
  { onBatch }: SubscribeOptions,
  { heartbeatMs }: ReaderSettings,
  batch: FetchedBatch,
  portion: readonly FetchedRecord[],
  isOurs: () => boolean,
): Promise<boolean> {
  const last = portion.at(-1)
  if (last === undefined) return true
  const beat = setInterval(() => void batch.heartbeat().catch(() => undefined), heartbeatMs)
  try {
    await onBatch(portion.map((record) => asMessage(batch, record)))
  } finally {
    clearInterval(beat)
  }
  if (!isOurs()) return false
  await batch.commit((last === batch.records.at(-1) ? batch.lastOffset : last.offset) + 1n)
  if (!isOurs()) return false
  batch.resolve(last.offset)
  return true
}

function portions(records: readonly FetchedRecord[], size: number): readonly (readonly FetchedRecord[])[] {
  return Array.from({ length: Math.ceil(records.length / size) }, (_, n) => records.slice(n * size, (n + 1) * size))
}

const asMessage = ({ topic, partition }: Lane, record: FetchedRecord): BusMessage => ({ ...record, topic, partition })

/**
 * kafkajs joins anew when its heartbeat is told that the member is unknown; but when that joining fails it reads on in its
 * old lanes, sends no heartbeat any more and can commit nothing. Told twice of one lane in one epoch, it is such a one.
 */
function createZombieWatch(): (lane: Lane, epoch: number, error: unknown) => boolean {
  const toldIn = new Map<string, number>()
  return ({ topic, partition }, epoch, error) => {
    if (!isMemberUnknown(error)) return false
    const lane = `${topic}/${partition}`
    const isToldAgain = toldIn.get(lane) === epoch
    toldIn.set(lane, epoch)
    return isToldAgain
  }
}
