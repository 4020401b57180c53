import { randomUUID } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import { createWaker } from '#bus/waker.ts'
import { steadyClock } from '#kernel/clock.ts'
import type { Db } from '#store/db.ts'
import { claimHeads, type InboxRow, releaseLanes } from '#store/inbox-queries.ts'
import { attemptDelivery, pausesEndpoint } from './attempt.ts'
import type { Completer } from './completions.ts'
import type { AttemptOptions, Claim, FinishedAttempt } from './target.ts'

interface SchedulerOptions extends AttemptOptions {
  readonly db: Db
  readonly consumer: string
  readonly completer: Completer
  /** Deliveries in flight at once; one per key in any case. */
  readonly concurrency: number
  /** At least twice the request time-out. */
  readonly leaseMs: number
  /** How often to look for what another process landed or a lapsed lease set free. */
  readonly pollMs: number
  readonly onError?: (error: unknown) => void
}

export interface Scheduler {
  /** Something was landed or set free. */
  readonly wake: () => void
  /** Takes no more work and waits for what is in flight, at most `drainMs`. */
  readonly stop: (drainMs: number) => Promise<void>
}

const MAX_PAUSE_MS = 3_600_000
const ERROR_PAUSE_MS = 500
/** A few at a time cost as many statements as many: while most places are taken, others may become free. */
const GATHER_MS = 5
/** Answered and not yet committed, as a multiple of what may be in flight: a slow database slows the sending down. */
const UNCOMMITTED_FACTOR = 8

/**
 * Sends what is due, the head of each key only, until stopped. A place in flight is free again when the peer has
 * answered, the key only when that is committed. A database that is down makes it wait, nothing else.
 */
export function startScheduler(options: SchedulerOptions): Scheduler {
  /** From the claim to the commit of what became of it. */
  const open = new Set<Promise<void>>()
  let inFlight = 0
  const news = createWaker()
  const retries = createAlarms(news.wake)
  let stopping = false
  let pausedUntilMs = 0
  /** The last look took as many as it might: a place that becomes free may find another. */
  let isMoreDue = false

  const afterwards = (finished: FinishedAttempt): void => {
    if (pausesEndpoint(finished)) pausedUntilMs = Math.max(pausedUntilMs, steadyClock() + askedPauseMs(finished))
    if (isDueSoon(finished, options.pollMs) && !stopping) retries.wakeIn(finished.nextInMs + 1)
  }

  const places = (): number =>
    Math.min(options.concurrency - inFlight, options.concurrency * UNCOMMITTED_FACTOR - open.size)

  const deliver = async (row: InboxRow, claimed: Claim): Promise<void> => {
    inFlight++
    try {
      const finished = await attemptDelivery(options, row, claimed).finally(() => {
        inFlight--
        if (isMoreDue) news.wake()
      })
      if (finished === undefined) return
      await options.completer.complete(finished)
      afterwards(finished)
    } catch (error) {
      // Only our own parts can fail here (breaker, fault point). The lease lapses and the head is tried again.
      options.onError?.(error)
    }
  }

  const claim = async (): Promise<void> => {
    isMoreDue = false
    if (steadyClock() < pausedUntilMs) return
    const limit = places()
    const { rows, claimed } = await claimDue(options, limit)
    isMoreDue = rows.length >= limit
    for (const row of rows) {
      const running: Promise<void> = deliver(row, claimed).finally(() => {
        open.delete(running)
        news.wake()
      })
      open.add(running)
    }
  }

  const run = async (): Promise<void> => {
    while (!stopping) {
      try {
        if (places() < options.concurrency / 2) await sleep(GATHER_MS)
        if (places() > 0) await claim()
        if (!isMoreDue || places() <= 0) await news.wait(options.pollMs)
      } catch (error) {
        options.onError?.(error)
        await news.wait(ERROR_PAUSE_MS)
      }
    }
  }

  const running = run()
  return {
    wake: news.wake,
    stop: async (drainMs) => {
      stopping = true
      news.wake()
      retries.clear()
      await running
      await within(drainMs, Promise.all(open))
      options.completer.stop()
    },
  }
}

function createAlarms(wake: () => void): { wakeIn(ms: number): void; clear(): void } {
  const timers = new Set<NodeJS.Timeout>()
  return {
    wakeIn(ms) {
      const timer = setTimeout(() => {
        timers.delete(timer)
        wake()
      }, ms)
      timers.add(timer)
    },
    clear() {
      for (const timer of timers) clearTimeout(timer)
    },
  }
}

interface Claimed {
  readonly rows: readonly InboxRow[]
  readonly claimed: Claim
}

/** Leases what is due as far as the breaker lets it: everything, one probe, or nothing. */
async function claimDue(options: SchedulerOptions, places: number): Promise<Claimed> {
  const { db, consumer, breaker, leaseMs } = options
  const permission = await breaker.permission()
  const claimed = { lease: randomUUID(), probe: permission === 'probe', sendByMs: sendBy(leaseMs) }
  if (permission === 'none') return { rows: [], claimed }
  const rows = await claimHeads(db, consumer, claimed.lease, leaseMs, claimed.probe ? 1 : places)
  if (claimed.probe && rows.length > 0 && !(await breaker.takeProbe())) {
    await releaseLanes(db, consumer, claimed.lease, rows)
    return { rows: [], claimed }
  }
  return { rows, claimed }
}

/** The request time-out is at most half the lease: what is sent within the first half ends before it lapses. */
const sendBy = (leaseMs: number): number => performance.now() + leaseMs / 2

const isDueSoon = ({ state, nextInMs }: FinishedAttempt, pollMs: number): boolean =>
  (state === 'retrying' || state === 'confirming') && nextInMs <= pollMs

const askedPauseMs = ({ verdict }: FinishedAttempt): number => Math.min(verdict.retryAfterMs ?? 0, MAX_PAUSE_MS)

async function within(ms: number, work: Promise<unknown>): Promise<void> {
  let timer: NodeJS.Timeout | undefined
  const limit = new Promise<void>((resolve) => {
    timer = setTimeout(resolve, ms)
  })
  await Promise.race([work, limit])
  clearTimeout(timer)
}
