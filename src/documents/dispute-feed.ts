import { type FaultPoint, NO_FAULT } from '#kernel/fault-point.ts'
import { advanceCursor, type LogEntry } from '#store/cursor.ts'
import type { Db, Tx } from '#store/db.ts'
import { applyCorrections, type Opening, openDisputes, provisionalDisputes } from '#store/dispute-queries.ts'
import { noteChanges } from '#store/document-change-queries.ts'
import { shanghaiDay } from './minimise.ts'

const DISPUTES_CURSOR = 'disputes'

/** Positions; only few of them are disputes. */
const STEP = 10_000

export interface DisputeFeedDeps {
  readonly db: Db
  /** Wire names: what disputes and corrections are exchanged under. */
  readonly contracts: { readonly dispute: string; readonly correction: string }
  /** The last day for an answer to what was disputed on a day (ISO dates, Asia/Shanghai). */
  readonly dueAfter: (day: string) => { readonly day: string; readonly provisional: boolean }
  readonly fault?: FaultPoint
}

/**
 * Makes disputes and corrections count, in the order of the log: a dispute flags its data and opens its clock; an answer
 * settles it, and a correction is written down as a change of its document together with those who got the old value,
 * whom the status feed then tells. Returns positions passed.
 */
export async function disputeStep({ db, contracts, dueAfter, fault = NO_FAULT }: DisputeFeedDeps): Promise<number> {
  const step = { limit: STEP, contracts: [contracts.dispute, contracts.correction] }
  return advanceCursor(db, DISPUTES_CURSOR, step, async (tx, entries) => {
    const under = (contract: string): LogEntry[] => entries.filter((entry) => entry.contract === contract)
    await openDisputes(
      tx,
      under(contracts.dispute).map(({ exchange, accepted_at: at }) => opening({ exchange, at }, dueAfter)),
    )
    const corrections = under(contracts.correction).map(({ exchange }) => exchange)
    await applyCorrections(tx, corrections)
    await noteChanges(tx, corrections)
    fault('disputes.before-commit')
  })
}

const opening = (
  { exchange, at }: { readonly exchange: string; readonly at: Date },
  dueAfter: DisputeFeedDeps['dueAfter'],
): Opening => {
  const { day: due, provisional } = dueAfter(shanghaiDay(at.getTime()))
  return { exchange, at, due, provisional }
}

/** Counts again what was counted through a year without a notice: it may be known by now. Returns how many moved. */
export async function recountDisputes(db: Db, dueAfter: DisputeFeedDeps['dueAfter']): Promise<number> {
  return db.transaction().execute(async (tx: Tx) => {
    const openings = (await provisionalDisputes(tx)).map((one) => opening(one, dueAfter))
    await openDisputes(tx, openings)
    return openings.filter(({ provisional }) => !provisional).length
  })
}
