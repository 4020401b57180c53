import { setTimeout as sleep } from 'node:timers/promises'
import { HubError } from '#kernel/errors.ts'
import { sqlState } from '#store/db.ts'
import type { CommitBatch, CommitOutcome, ExchangeRow } from '#store/log-commit.ts'
import { createPendingQueue, type Pending, type PendingQueue, type QueueBounds } from './pending-queue.ts'

/** What a submitter gets: its own receipt, or the original one of the same (iss, jti) with the same content. */
export interface Committed {
  readonly exchange: string
  readonly receipt: string
  /** Of a load's rows that were refused. */
  readonly refusal: string | undefined
  readonly replayed: boolean
}

export interface CommitterOptions extends QueueBounds {
  readonly commit: CommitBatch
  /** Batches under way at once. */
  readonly lanes: number
  /** The highest position of each batch that committed something. */
  readonly onCommitted?: (pos: number) => void
}

export interface Committer {
  /** Rejects with `hub.busy` beyond the bounds, `exchange.conflict`, `exchange.unstorable`, `hub.store_unavailable`. */
  submit(row: ExchangeRow): Promise<Committed>
  /** Resolves when nothing is queued or under way. */
  drain(): Promise<void>
}

export interface WatchedCommitter extends Committer {
  /** What has no answer yet; bytes of tokens and receipts. */
  load(): { readonly rows: number; readonly bytes: number }
}

/**
 * Gathers submissions and commits what has gathered as soon as a lane is free: no timer. Rows of one
 * (iss, orderKey) never stand in two lanes at once, so they commit in the order of their submission.
 */
export function createCommitter(options: CommitterOptions): WatchedCommitter {
  const queue = createPendingQueue(options)
  const drained: (() => void)[] = []
  let lanesBusy = 0
  let scheduled = false

  /** One turn of the event loop lets a burst gather before the first lane takes it. */
  function schedule(): void {
    if (scheduled || lanesBusy >= options.lanes || !queue.isWaiting()) return
    scheduled = true
    setImmediate(() => {
      scheduled = false
      while (lanesBusy < options.lanes) {
        const batch = queue.take()
        if (batch.length === 0) break
        lanesBusy++
        void runLane(batch)
      }
    })
  }

  async function runLane(batch: readonly Pending[]): Promise<void> {
    await commitOrBisect(options, queue, batch)
    queue.freeOrders(batch)
    lanesBusy--
    schedule()
    if (queue.size() === 0) for (const done of drained.splice(0)) done()
  }

  return {
    submit: (row) =>
      new Promise((resolve, reject) => {
        if (!queue.offer({ row, resolve, reject, followers: [] })) {
          reject(new HubError('hub.busy', { retryAfterSeconds: 1 }))
          return
        }
        schedule()
      }),
    load: queue.load,
    drain: () => (queue.size() === 0 ? Promise.resolve() : new Promise((done) => drained.push(done))),
  }
}

/** A row that PostgreSQL cannot take must not take its neighbours down: halve until it stands alone. Never throws. */
async function commitOrBisect(
  options: CommitterOptions,
  queue: PendingQueue,
  batch: readonly Pending[],
): Promise<void> {
  try {
    const outcomes = await commitWithRetry(options.commit, batch)
    settle(queue, batch, outcomes)
    const last = Math.max(...outcomes.map((outcome) => (outcome.kind === 'committed' ? outcome.pos : 0)))
    if (last > 0) options.onCommitted?.(last)
  } catch (error) {
    if (!isPoison(error)) {
      const outage = new HubError('hub.store_unavailable', { cause: error, retryAfterSeconds: 1 })
      for (const pending of batch) fail(queue, pending, outage)
      return
    }
    const [only] = batch
    if (batch.length === 1 && only !== undefined) {
      fail(queue, only, new HubError('exchange.unstorable', { cause: error }))
      return
    }
    const middle = batch.length >> 1
    await commitOrBisect(options, queue, batch.slice(0, middle))
    await commitOrBisect(options, queue, batch.slice(middle))
  }
}

const RETRY_DELAYS_MS = [5, 20, 80, 320]

async function commitWithRetry(commit: CommitBatch, batch: readonly Pending[]): Promise<readonly CommitOutcome[]> {
  const rows = batch.map(({ row }) => row)
  for (let attempt = 0; ; attempt++) {
    try {
      return await commit(rows)
    } catch (error) {
      const delay = RETRY_DELAYS_MS[attempt]
      if (!isSerialization(error) || delay === undefined) throw error
      await sleep(delay)
    }
  }
}

function settle(queue: PendingQueue, batch: readonly Pending[], outcomes: readonly CommitOutcome[]): void {
  for (const [index, outcome] of outcomes.entries()) {
    const pending = batch[index]
    if (pending === undefined) continue
    if (outcome.kind === 'refused') {
      fail(queue, pending, outcome.error)
      continue
    }
    const followers = queue.release(pending)
    if (outcome.kind === 'seen') {
      for (const each of [pending, ...followers]) answerSeen(each, outcome)
      continue
    }
    const { id, receipt, refusal, contentDigest } = pending.row
    pending.resolve({ exchange: id, receipt, refusal, replayed: false })
    for (const follower of followers) answerSeen(follower, { exchange: id, receipt, refusal, contentDigest })
  }
}

/** The row failed, so its followers are judged anew, the first of them in its place. */
function fail(queue: PendingQueue, pending: Pending, error: HubError): void {
  const followers = queue.release(pending).slice()
  pending.reject(error)
  for (const follower of followers) {
    if (!queue.offer({ ...follower, followers: [] }))
      follower.reject(new HubError('hub.busy', { retryAfterSeconds: 1 }))
  }
}

function answerSeen(pending: Pending, seen: Omit<Committed, 'replayed'> & { readonly contentDigest: string }): void {
  const { exchange, receipt, refusal, contentDigest } = seen
  if (pending.row.contentDigest === contentDigest) pending.resolve({ exchange, receipt, refusal, replayed: true })
  else pending.reject(new HubError('exchange.conflict'))
}

/** Data exceptions, integrity violations and program limits: the row is at fault, not the database. */
const isPoison = (error: unknown): boolean => /^(22|23|54)/.test(sqlState(error) ?? '')
const isSerialization = (error: unknown): boolean => /^(40P01|40001)$/.test(sqlState(error) ?? '')
