import type { Bus, BusRecord } from '#bus/bus.ts'
import { partitionOf } from '#bus/murmur2.ts'
import { outTopic } from '#bus/topic-names.ts'
import { HubError } from '#kernel/errors.ts'
import { type FaultPoint, NO_FAULT } from '#kernel/fault-point.ts'
import { deliveryTraceparent } from '#kernel/traceparent.ts'
import type { Db } from '#store/db.ts'
import { endUnreadable, findPublishable, markPublished, type PublishableRow } from '#store/delivery-queries.ts'
import type { Lease } from '#store/lease-queries.ts'
import { claimGeneration } from '#store/topic-queries.ts'
import { isHeldBack } from './egress.ts'
import { statesBefore } from './states.ts'

const LANES = 8

/** What is leased for relaying: each recipient belongs to one lane, and one process at a time works on it. */
export const RELAY_LANES: readonly string[] = Array.from({ length: LANES }, (_, n) => `relay-${n}`)

const laneOf = (recipient: string): string => `relay-${partitionOf(recipient, LANES)}`

export interface RelayDeps {
  readonly db: Db
  readonly bus: Bus
  readonly hubId: string
  /** Every party that may be a recipient. */
  readonly recipients: () => readonly string[]
  readonly held: (lane: string) => Lease | undefined
  /** Another process works on this lane by now. */
  readonly lose: (lane: string) => void
  /** The token's bytes as they arrived, wrapped for the recipient where the contract is personal. */
  readonly valueOf: (row: PublishableRow) => Promise<BusValue>
  /** The Kafka key: a keyed hash of the order key under the secret of the topic. */
  readonly outboundKey: (topic: string, orderKey: string) => string
  readonly onError: (error: unknown) => void
  /** A recipient that took long has become free again. */
  readonly onFree: () => void
  readonly fault?: FaultPoint
}

/** `application/jwt`, or `application/jose` where the token is wrapped. */
export interface BusValue {
  readonly value: Buffer | string
  readonly contentType: string
}

export interface Relay {
  /** Publishes what is ready. Returns how many deliveries it marked. */
  readonly step: () => Promise<number>
  /** Waits for what is under way. */
  readonly idle: () => Promise<void>
}

const PER_RECIPIENT = 500
/** A step does not wait longer for one recipient's topic; the others go on. */
const PATIENCE_MS = 500
const PAUSE_AFTER_ERROR_MS = 1_000

/**
 * Publishes accepted deliveries, each recipient's in log order, then marks them. A crash between the two, or a process
 * that wakes up after it lost its lease, publishes again with the same event id, which the inbox knows. Whoever
 * publishes a delivery has published or found marked all before it, so the first occurrence of each is in order.
 */
export function createRelay(deps: RelayDeps): Relay {
  const busy = new Set<string>()
  const underWay = new Set<Promise<number>>()

  const begin = (recipient: string, rows: readonly PublishableRow[], lease: Lease): Promise<number> => {
    busy.add(recipient)
    const work = relayTo(deps, recipient, rows, lease)
      .then(
        (count) => {
          busy.delete(recipient)
          return count
        },
        (error: unknown) => {
          deps.onError(error)
          setTimeout(() => busy.delete(recipient), PAUSE_AFTER_ERROR_MS).unref()
          return 0
        },
      )
      .finally(() => underWay.delete(work))
    underWay.add(work)
    return patiently(work, deps.onFree)
  }

  return {
    async step() {
      const leases = new Map(RELAY_LANES.map((name) => [name, deps.held(name)]))
      const ready = deps.recipients().filter((id) => !busy.has(id) && leases.get(laneOf(id)) !== undefined)
      if (ready.length === 0) return 0
      const rows = await findPublishable(deps.db, ready, PER_RECIPIENT)
      const works = [...Map.groupBy(rows, (row) => row.recipient)].map(([recipient, group]) => {
        const lease = leases.get(laneOf(recipient))
        return lease === undefined ? 0 : begin(recipient, group, lease)
      })
      return (await Promise.all(works)).reduce((sum, count) => sum + count, 0)
    },
    async idle() {
      await Promise.all(underWay)
    },
  }
}

/** The work's count; zero when it takes long, and then `onFree` follows when it has ended. */
function patiently(work: Promise<number>, onFree: () => void): Promise<number> {
  return new Promise((resolve) => {
    const timer = setTimeout(() => {
      resolve(0)
      void work.then(onFree)
    }, PATIENCE_MS)
    void work.then((count) => {
      clearTimeout(timer)
      resolve(count)
    })
  })
}

async function relayTo(
  deps: RelayDeps,
  recipient: string,
  rows: readonly PublishableRow[],
  lease: Lease,
): Promise<number> {
  const fault = deps.fault ?? NO_FAULT
  let marked = 0
  for (const [generation, group] of Map.groupBy(rows, (row) => row.generation)) {
    const ids = group.map((row) => row.id)
    if (group.some((row) => row.is_draining) && !(await claim(deps.db, recipient, generation, ids))) continue
    fault('relay.before-publish')
    const topic = outTopic(recipient, generation)
    const { going, keyMissing } = apart(await Promise.all(group.map((row) => readied(deps, topic, row))))
    const records = going.flatMap(({ record }) => record ?? [])
    if (records.length > 0) await deps.bus.publish(topic, records)
    fault('relay.after-publish')
    const goingIds = going.map(({ row }) => row.id)
    const count = goingIds.length === 0 ? 0 : await markPublished(deps.db, lease, generation, goingIds)
    if (count === 0 && goingIds.length > 0) deps.lose(lease.name)
    marked += count
    if (keyMissing !== undefined) throw keyMissing
  }
  return marked
}

const claim = (db: Db, recipient: string, generation: number, ids: readonly string[]): Promise<boolean> =>
  db.transaction().execute((tx) => claimGeneration(tx, recipient, generation, ids))

interface Readied {
  readonly row: PublishableRow
  /** None for a recipient that pulls, and for what has just died. */
  readonly record?: BusRecord
  readonly keyMissing?: HubError
}

/** A delivery whose content is gone dies instead of going out, so that it does not stand before the others. */
async function readied(deps: RelayDeps, topic: string, row: PublishableRow): Promise<Readied> {
  if (row.channel !== 'bus') return { row }
  try {
    return { row, record: record(deps, topic, row, await deps.valueOf(row)) }
  } catch (error) {
    if (error instanceof HubError && error.code === 'party.encryption_key_missing') return { row, keyMissing: error }
    if (!isHeldBack(error)) throw error
    deps.onError(error)
    await endUnreadable(deps.db, [row.id], error.code, statesBefore('dead'))
    return { row }
  }
}

/** Without the key to wrap one delivery, all under its order key wait, so that none overtakes it; the others go. */
function apart(all: readonly Readied[]): { going: readonly Readied[]; keyMissing: HubError | undefined } {
  const waiting = new Set(all.filter((one) => one.keyMissing !== undefined).map(({ row }) => row.order_key))
  const keyMissing = all.find((one) => one.keyMissing !== undefined)?.keyMissing
  return { going: all.filter(({ row }) => !waiting.has(row.order_key)), keyMissing }
}

/** CloudEvents in Kafka binary mode (PROTOCOL, Kafka). */
function record({ hubId, outboundKey }: RelayDeps, topic: string, row: PublishableRow, wrapped: BusValue): BusRecord {
  return {
    key: outboundKey(topic, row.order_key),
    value: wrapped.value,
    headers: {
      ce_id: row.id,
      ce_source: `urn:dianqiao:${hubId}`,
      ce_type: row.contract,
      ce_specversion: '1.0',
      ce_time: row.accepted_at.toISOString(),
      'content-type': wrapped.contentType,
      traceparent: deliveryTraceparent(row.exchange, row.id),
      'dx-receipt': row.receipt,
      'dx-contract': row.contract,
      'dx-order-key': row.order_key,
      'dx-deliver-by': row.deliver_by.toISOString(),
    },
  }
}
