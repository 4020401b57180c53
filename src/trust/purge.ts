import type { Clock } from '#kernel/clock.ts'
import { RETENTION_CLASSES, type RetentionDays } from '#kernel/retention.ts'
import {
  COUNTED_COLUMNS,
  type CountedTable,
  countSealedUnder,
  type DataKeyRow,
  destroyDataKey,
  forgetDestroyedKeys,
  isDayInUse,
  keysBefore,
} from '#store/data-key-queries.ts'
import type { Db } from '#store/db.ts'
import { keyPeriod } from './data-keys.ts'

interface PurgeDeps {
  readonly db: Db
  readonly clock: Clock
  readonly days: RetentionDays
}

const DAY_MS = 86_400_000

/** The keys whose retention is over by now. One of `delivered` is not while anything of its day is open or was settled since. */
export async function dueKeys({ db, clock, days }: PurgeDeps): Promise<DataKeyRow[]> {
  const due: DataKeyRow[] = []
  for (const retention of RETENTION_CLASSES) {
    const kept = days[retention]
    if (kept === 'keep') continue
    const since = clock() - kept * DAY_MS
    for (const key of await keysBefore(db, retention, keyPeriod(since))) {
      if (retention === 'delivered' && (await isDayInUse(db, key.period, new Date(since)))) continue
      due.push(key)
    }
  }
  return due
}

/**
 * Destroys the keys that are due, after counting what becomes unreadable. Other processes forget them within a minute.
 * Returns how many it destroyed.
 */
export async function destroyDueKeys(deps: PurgeDeps): Promise<number> {
  let count = 0
  for (const { id } of await dueKeys(deps)) {
    if (await destroyDataKey(deps.db, id, await unreadableWith(deps.db, id))) count++
  }
  if (count > 0) await forgetDestroyedKeys(deps.db)
  return count
}

/** By table; one that takes too long to count is left out, because the purge must not wait for its own statistics. */
async function unreadableWith(db: Db, id: number): Promise<Record<string, number>> {
  const counts: Record<string, number> = {}
  for (const table of Object.keys(COUNTED_COLUMNS) as CountedTable[]) {
    const count = await countSealedUnder(db, table, id)
    if (count !== undefined && count > 0) counts[table] = count
  }
  return counts
}
