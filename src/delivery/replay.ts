import type { Db } from '#store/db.ts'
import { lockDead, resolveLetter, reviveRow, skipRow, unblockLane } from '#store/dead-letter-queries.ts'
import { closeEmptyLanes } from '#store/inbox-queries.ts'

/** Why an operator's wish was not carried out. */
type ReplayRefusal = 'not-found' | 'not-dead' | 'later-delivered' | 'key-in-flight'
export type ReplayResult = { readonly done: true } | { readonly done: false; readonly because: ReplayRefusal }

interface DeadDelivery {
  readonly consumer: string
  readonly delivery: string
  readonly reason: string
}

/**
 * Tries a dead delivery again: same event id and effect key, all attempts anew, head of its key. Refused once a later
 * one of the same key was delivered, unless its contract is `replaySafe`. The scheduler finds it at its next look.
 */
export function replayDead(
  db: Db,
  dead: DeadDelivery & { readonly isReplaySafe?: (contract: string) => boolean },
): Promise<ReplayResult> {
  return resolveDead(db, dead, dead.isReplaySafe ?? (() => false), 'replayed')
}

/** Gives a dead delivery up, with a reason, and lets its key go on. Its rejection has been acknowledged already. */
export function skipDead(db: Db, dead: DeadDelivery): Promise<ReplayResult> {
  return resolveDead(db, dead, () => true, 'skipped')
}

function resolveDead(
  db: Db,
  { consumer, delivery, reason }: DeadDelivery,
  anyOrder: (contract: string) => boolean,
  resolution: 'replayed' | 'skipped',
): Promise<ReplayResult> {
  return db.transaction().execute(async (tx): Promise<ReplayResult> => {
    const row = await lockDead(tx, consumer, delivery)
    if (row === undefined) return { done: false, because: 'not-found' }
    if (row.state !== 'dead') return { done: false, because: 'not-dead' }
    const refusal = anyOrder(row.contract) ? undefined : outOfOrder(row)
    if (refusal !== undefined) {
      await closeEmptyLanes(tx, consumer, [row.order_key])
      return { done: false, because: refusal }
    }
    await (resolution === 'replayed' ? reviveRow(tx, consumer, delivery) : skipRow(tx, consumer, delivery))
    await unblockLane(tx, consumer, row.order_key, delivery)
    await resolveLetter(tx, consumer, delivery, resolution, reason)
    return { done: true }
  })
}

function outOfOrder(row: { later_delivered: boolean; key_in_flight: boolean }): ReplayRefusal | undefined {
  if (row.later_delivered) return 'later-delivered'
  return row.key_in_flight ? 'key-in-flight' : undefined
}
