import { setTimeout as sleep } from 'node:timers/promises'
import { createWaker } from '#bus/waker.ts'
import type { Clock } from '#kernel/clock.ts'
import { insertAck, type NewAck } from '#store/ack-outbox-queries.ts'
import type { Db } from '#store/db.ts'
import { insertDead } from '#store/dead-letter-queries.ts'
import { insertAttempts, lockLeased, moveLanes, writeStates } from '#store/inbox-queries.ts'
import type { Vault } from '#trust/vault.ts'
import { ACK_MAX_OUTCOMES, type AckSigner, signAck } from './acknowledgement.ts'
import { outcomeOf } from './attempt.ts'
import type { HostAlert } from './breaker.ts'
import type { FaultPoints } from './inbox.ts'
import type { FinishedAttempt } from './target.ts'

interface CompletionOptions {
  readonly db: Db
  readonly consumer: string
  readonly signer: AckSigner
  readonly vault: Vault
  readonly clock: Clock
  readonly leaseMs: number
  readonly onAck: () => void
  readonly onAlert?: (alert: HostAlert) => void
  readonly onError?: (error: unknown) => void
  readonly faults?: FaultPoints
}

export interface Completer {
  /** Resolves when the final state is committed, or when the lease is past and the attempt will be made again. */
  readonly complete: (finished: FinishedAttempt) => Promise<void>
  readonly stop: () => void
}

interface Waiting {
  readonly finished: FinishedAttempt
  readonly untilMs: number
  readonly done: () => void
}

const RETRY_WRITE_MS = 100
/** Until so many have finished, a transaction waits a moment for more: it costs the same for one as for many. */
const ENOUGH = 32
const GATHER_MS = 5

/** Gathers what finishes while a transaction runs, and commits it together in the next: one acknowledgement for all. */
export function createCompleter(options: CompletionOptions): Completer {
  let waiting: Waiting[] = []
  let writing = false
  let stopped = false
  const pause = createWaker()

  const flush = async (): Promise<void> => {
    if (writing) return
    writing = true
    while (waiting.length > 0 && !stopped) {
      if (waiting.length < ENOUGH) await sleep(GATHER_MS)
      const batch = waiting.splice(0, ACK_MAX_OUTCOMES)
      try {
        await commitCompletions(
          options,
          batch.map((entry) => entry.finished),
        )
        for (const entry of batch) entry.done()
      } catch (error) {
        options.onError?.(error)
        // The effect has happened and a lapsed lease would repeat it: keep trying while the lease may still hold.
        const nowMs = options.clock()
        for (const entry of batch.filter((candidate) => candidate.untilMs <= nowMs)) entry.done()
        waiting = [...batch.filter((candidate) => candidate.untilMs > nowMs), ...waiting]
        await pause.wait(RETRY_WRITE_MS)
      }
    }
    writing = false
    if (stopped) for (const entry of waiting.splice(0)) entry.done()
  }

  return {
    complete: (finished) =>
      new Promise((done) => {
        waiting.push({ finished, untilMs: options.clock() + options.leaseMs, done })
        void flush()
      }),
    stop: () => {
      stopped = true
      pause.wake()
    },
  }
}

/** Final states, attempts, dead letters, lanes and the signed acknowledgement in one transaction. */
async function commitCompletions(options: CompletionOptions, batch: readonly FinishedAttempt[]): Promise<void> {
  const { db, consumer, faults } = options
  const { acknowledged, parked } = await db.transaction().execute(async (tx) => {
    const valid = await lockLeased(tx, consumer, batch)
    if (valid.length === 0) return { acknowledged: false, parked: [] }
    const ack = await acknowledge(options, valid)
    await insertAttempts(tx, consumer, valid, (body) => options.vault.seal('delivered', body))
    await writeStates(tx, consumer, valid, ack?.jti)
    const letters = valid.filter(({ state }) => state === 'dead' || state === 'parked')
    if (letters.length > 0) await insertDead(tx, consumer, letters)
    if (ack !== undefined) await insertAck(tx, consumer, ack)
    await moveLanes(tx, consumer, valid)
    await faults?.('host.before-final')
    return { acknowledged: ack !== undefined, parked: valid.filter(({ state }) => state === 'parked') }
  })
  await faults?.('host.after-final')
  for (const { eventId, record } of parked) {
    options.onAlert?.({
      consumer,
      kind: 'delivery-parked',
      cause: record.code ?? 'peer.outcome_unknown',
      delivery: eventId,
    })
  }
  if (acknowledged) options.onAck()
}

async function acknowledge(
  signing: Pick<CompletionOptions, 'signer' | 'vault'>,
  valid: readonly FinishedAttempt[],
): Promise<NewAck | undefined> {
  const outcomes = valid.flatMap((finished) => {
    const outcome = outcomeOf(finished)
    if (outcome === undefined) return []
    const { recipientRef, code } = finished.verdict
    return [{ delivery: finished.eventId, outcome, recipientRef, code: outcome === 'rejected' ? code : undefined }]
  })
  const first = valid.find((finished) => outcomeOf(finished) !== undefined)
  if (first === undefined) return undefined
  // A replayed delivery acknowledges anew: its first jti stands for the rejection that the hub has already.
  const jti = first.round === 0 ? first.eventId : `${first.eventId}.r${first.round}`
  return signAck(signing, jti, outcomes)
}
