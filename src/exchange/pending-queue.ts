import type { HubError } from '#kernel/errors.ts'
import type { ExchangeRow } from '#store/log-commit.ts'
import type { Committed } from './committer.ts'

/** A submission that has no answer yet. */
export interface Pending {
  readonly row: ExchangeRow
  readonly resolve: (committed: Committed) => void
  readonly reject: (error: HubError) => void
  /** Later submissions of the same (iss, jti): they get this row's answer, or a conflict. */
  readonly followers: Pending[]
}

export interface QueueBounds {
  readonly maxRows: number
  readonly maxBytes: number
  readonly maxQueuedRows: number
  readonly maxQueuedBytes: number
}

export interface PendingQueue {
  /** False beyond the bounds: nothing is kept of it then. */
  offer(pending: Pending): boolean
  /** The next batch in order of submission; its order keys are busy until `freeOrders`. */
  take(): Pending[]
  /** The row has its answer; what followed it is handed back. */
  release(pending: Pending): readonly Pending[]
  freeOrders(batch: readonly Pending[]): void
  /** Distinct (iss, jti) without an answer. */
  size(): number
  /** What the bounds are measured against. */
  load(): { readonly rows: number; readonly bytes: number }
  isWaiting(): boolean
}

/**
 * Submissions in order. The same (iss, jti) stands in it once, and rows of one (iss, orderKey) are never handed out
 * while an earlier one is under way, so that they commit in their order.
 */
export function createPendingQueue(bounds: QueueBounds): PendingQueue {
  const queue: Pending[] = []
  const byKey = new Map<string, Pending>()
  const busyOrders = new Set<string>()
  let rows = 0
  let bytes = 0

  return {
    offer(pending) {
      if (rows >= bounds.maxQueuedRows || bytes + sizeOf(pending) > bounds.maxQueuedBytes) return false
      rows++
      bytes += sizeOf(pending)
      const first = byKey.get(replayKey(pending.row))
      if (first !== undefined) {
        first.followers.push(pending)
        return true
      }
      byKey.set(replayKey(pending.row), pending)
      queue.push(pending)
      return true
    },
    take() {
      const batch: Pending[] = []
      let batchBytes = 0
      let kept = 0
      let at = 0
      for (; at < queue.length; at++) {
        const pending = queue[at] as Pending
        const full = batch.length > 0 && batchBytes + sizeOf(pending) > bounds.maxBytes
        if (full || batch.length >= bounds.maxRows) break
        if (busyOrders.has(orderOf(pending.row))) {
          queue[kept++] = pending
          continue
        }
        batchBytes += sizeOf(pending)
        batch.push(pending)
      }
      queue.splice(kept, at - kept)
      for (const { row } of batch) busyOrders.add(orderOf(row))
      return batch
    },
    release(pending) {
      byKey.delete(replayKey(pending.row))
      for (const one of [pending, ...pending.followers]) {
        rows--
        bytes -= sizeOf(one)
      }
      return pending.followers
    },
    freeOrders(batch) {
      for (const { row } of batch) busyOrders.delete(orderOf(row))
    },
    size: () => byKey.size,
    load: () => ({ rows, bytes }),
    isWaiting: () => queue.length > 0,
  }
}

const sizeOf = ({ row }: Pending): number => row.token.length + row.receipt.length
const replayKey = (row: ExchangeRow): string => `${row.iss} ${row.jti}`
const orderOf = (row: ExchangeRow): string => `${row.iss} ${row.orderKey}`
