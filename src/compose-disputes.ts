import path from 'node:path'
import { readCalendar } from '#cases/calendar.ts'
import { type DisputeFeedDeps, disputeStep, recountDisputes } from '#documents/dispute-feed.ts'
import { CORRECTION_CONTRACT, DISPUTE_CONTRACT } from '#exchange/amendments.ts'
import { type Core, PROJECT_ROOT } from './compose.ts'

const CALENDAR = 'cn'

/** The step that makes disputes and corrections count; its first turn counts again what was provisional. */
export function composeDisputes({ config, db, fault }: Pick<Core, 'config' | 'db' | 'fault'>): () => Promise<number> {
  const calendar = readCalendar(path.join(PROJECT_ROOT, 'seeds/calendars'), CALENDAR)
  const dueAfter: DisputeFeedDeps['dueAfter'] = (day) => calendar.addWorkingDays(day, config.disputeWorkingDays)
  const contracts = { dispute: DISPUTE_CONTRACT, correction: CORRECTION_CONTRACT }
  let isRecounted = false
  return async () => {
    const recounted = isRecounted ? 0 : await recountDisputes(db, dueAfter)
    isRecounted = true
    return recounted + (await disputeStep({ db, contracts, dueAfter, fault }))
  }
}
