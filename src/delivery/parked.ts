import type { Db } from '#store/db.ts'
import { lockParked, resolveLetter, settleParked, unblockLane } from '#store/dead-letter-queries.ts'

/**
 * What an operator may say of a delivery whose outcome nobody could confirm. `applied`: the peer has it, under this
 * reference; `absent`: it has not, send again; `ask`: repeat the look-up; `rejected`: give it up, its sender is told.
 */
export const PARKED_DECISIONS = ['applied', 'absent', 'ask', 'rejected'] as const
export type ParkedDecision = (typeof PARKED_DECISIONS)[number]

interface ParkedChoice {
  readonly consumer: string
  readonly delivery: string
  readonly decision: ParkedDecision
  /** The peer's own number, for `applied`. */
  readonly recipientRef?: string
  readonly reason: string
}

export type DecideResult = { readonly done: true } | { readonly done: false; readonly because: 'not-parked' }

/** Sets a parked key free as the operator says. Its host carries the decision out at its next look and signs for it. */
export function decideParked(db: Db, choice: ParkedChoice): Promise<DecideResult> {
  const { consumer, delivery, decision, recipientRef, reason } = choice
  return db.transaction().execute(async (tx): Promise<DecideResult> => {
    const orderKey = await lockParked(tx, consumer, delivery)
    if (orderKey === undefined) return { done: false, because: 'not-parked' }
    const final = decision === 'applied' || decision === 'rejected'
    await settleParked(tx, consumer, delivery, {
      state: decision === 'absent' ? 'retrying' : 'confirming',
      decision: final ? { outcome: decision, ...(recipientRef === undefined ? {} : { recipientRef }) } : null,
    })
    await unblockLane(tx, consumer, orderKey, delivery)
    await resolveLetter(tx, consumer, delivery, 'decided', reason)
    return { done: true }
  })
}
