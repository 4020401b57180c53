import type { Clock } from '#kernel/clock.ts'
import { closeBreaker, delayProbe, openBreaker, readBreaker, takeProbe } from '#store/breaker-queries.ts'
import type { Db } from '#store/db.ts'
import { type AttemptClass, RETRY_CLASSES } from './retry-classes.ts'

export interface BreakerSettings {
  /** Opens at `failureRate` of at least `minCalls` within `windowMs`, or after `inARow` failures. */
  readonly minCalls: number
  readonly failureRate: number
  readonly windowMs: number
  readonly inARow: number
  readonly firstProbeMs: number
  readonly maxProbeMs: number
}

export const BREAKER_DEFAULTS: BreakerSettings = Object.freeze({
  minCalls: 10,
  failureRate: 0.7,
  windowMs: 300_000,
  inARow: 10,
  firstProbeMs: 30_000,
  maxProbeMs: 600_000,
})

/** Something an operator must know. No personal data. */
export interface HostAlert {
  readonly consumer: string
  readonly kind: 'breaker-open' | 'endpoint-disabled' | 'acknowledgement-refused' | 'delivery-parked'
  readonly cause: string
  /** For `delivery-parked`: the one that waits for an operator, and its key behind it. */
  readonly delivery?: string
}

interface BreakerOptions {
  readonly db: Db
  readonly consumer: string
  readonly clock: Clock
  readonly settings: BreakerSettings
  /** How long a probe may take before another one is sent. */
  readonly probeLeaseMs: number
  readonly onAlert?: (alert: HostAlert) => void
}

/** `all`: send; `probe`: one is due; `none`: open or disabled. */
type Permission = 'all' | 'probe' | 'none'

export interface Breaker {
  readonly permission: () => Promise<Permission>
  /** Claims the due probe for the caller; false when another host was faster. */
  readonly takeProbe: () => Promise<boolean>
  /** Takes note of one attempt. Whether the attempt counts against the schedule of its delivery. */
  readonly record: (attempt: { orderKey: string; class: AttemptClass; probe: boolean }) => Promise<boolean>
}

const MAX_CALLS = 1_000

interface Call {
  readonly atMs: number
  readonly failed: boolean
  readonly orderKey: string
}

/**
 * One breaker per endpoint. Its state is kept in the database and shared by all hosts; the window of calls is each
 * host's own. Failures count only when they come from more than one key: a single failing key blocks itself by its
 * schedule, never the others.
 */
export function createBreaker(options: BreakerOptions): Breaker {
  const { db, consumer, clock, settings, onAlert } = options
  let calls: Call[] = []

  const open = async (state: 'open' | 'disabled', cause: string): Promise<void> => {
    calls = []
    const opened = await openBreaker(db, consumer, state, cause, settings.firstProbeMs)
    if (opened) onAlert?.({ consumer, kind: state === 'open' ? 'breaker-open' : 'endpoint-disabled', cause })
  }

  const note = async (call: Call): Promise<void> => {
    calls.push(call)
    if (calls.length > MAX_CALLS) calls.shift()
    if (!call.failed) return
    calls = calls.filter(({ atMs }) => atMs > call.atMs - settings.windowMs)
    if (tooManyFailures(calls, settings)) await open('open', 'peer.unavailable')
  }

  const recordProbe = async (failed: boolean): Promise<boolean> => {
    if (failed) await delayProbe(db, consumer, settings.maxProbeMs)
    else await closeBreaker(db, consumer)
    return !failed
  }

  return {
    permission: async () => {
      const row = await readBreaker(db, consumer)
      if (row === undefined || row.state === 'closed') return 'all'
      return row.state === 'open' && row.probe_due ? 'probe' : 'none'
    },
    takeProbe: () => takeProbe(db, consumer, options.probeLeaseMs),
    record: async ({ orderKey, class: attemptClass, probe }) => {
      const { endpointFailed, consumesAttempt, code } = RETRY_CLASSES[attemptClass]
      if (attemptClass === 'gone') {
        await open('disabled', code ?? attemptClass)
        return false
      }
      if (probe) return (await recordProbe(endpointFailed)) && consumesAttempt
      if (attemptClass === 'unauthorized') await open('open', code ?? attemptClass)
      else await note({ atMs: clock(), failed: endpointFailed, orderKey })
      return consumesAttempt
    },
  }
}

/** An operator has seen to the endpoint: it is used again at once. */
export const resumeEndpoint = (db: Db, consumer: string): Promise<void> => closeBreaker(db, consumer)

function tooManyFailures(calls: readonly Call[], settings: BreakerSettings): boolean {
  const recent = calls.slice(-settings.inARow)
  if (recent.length === settings.inARow && recent.every((call) => call.failed) && severalKeys(recent)) return true
  const failures = calls.filter((call) => call.failed)
  return (
    calls.length >= settings.minCalls && failures.length >= settings.failureRate * calls.length && severalKeys(failures)
  )
}

const severalKeys = (calls: readonly Call[]): boolean => new Set(calls.map((call) => call.orderKey)).size > 1
