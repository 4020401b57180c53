import { type FaultPoint, NO_FAULT } from '#kernel/fault-point.ts'
import { advanceCursor } from '#store/cursor.ts'
import type { Db } from '#store/db.ts'
import { findUnrouted, routeDeliveries, type UnroutedRow } from '#store/delivery-queries.ts'

export interface RoutingSources {
  /** How far the cases are folded: routing never looks past it. */
  readonly casesPosition: (db: Db) => Promise<number>
  /** Aliases that became known in (from, to]. */
  readonly aliasesIntroduced: (db: Db, from: number, to: number) => Promise<readonly string[]>
  /** The supply division of the case behind each alias key, as the log stood at `upTo`. */
  readonly divisionsByAlias: (
    db: Db,
    aliasKeys: readonly string[],
    upTo: number,
  ) => Promise<ReadonlyMap<string, string>>
  readonly utilityOf: (division: string, atMs: number) => string | undefined
}

const STEP = 1_000

/**
 * Routes by correlation, behind the cases: a delivery is tried when the log reaches it and again when one of its
 * aliases becomes known, so it does not matter which of the two comes first. Returns positions passed.
 */
export function routeStep(db: Db, sources: RoutingSources, fault: FaultPoint = NO_FAULT): Promise<number> {
  return sources.casesPosition(db).then((upTo) =>
    advanceCursor(db, 'routing', { limit: STEP, upTo, onlyPositions: true }, async (tx, _entries, from, to) => {
      const aliasKeys = await sources.aliasesIntroduced(tx, from, to)
      const unrouted = await findUnrouted(tx, { from, to, aliasKeys })
      if (unrouted.length === 0) return
      await routeDeliveries(tx, await plan(tx, unrouted, sources, to))
      await fault('routing.before-commit')
    }),
  )
}

async function plan(
  db: Db,
  unrouted: readonly UnroutedRow[],
  sources: RoutingSources,
  upTo: number,
): Promise<{ id: string; recipient: string }[]> {
  const keys = [...new Set(unrouted.flatMap((row) => row.alias_keys))]
  // Not what the cases know by now: they may have run ahead, and an earlier one of the same key would still wait.
  const divisions = await sources.divisionsByAlias(db, keys, upTo)
  return unrouted.flatMap((row) => {
    const known = row.alias_keys.map((key) => divisions.get(key)).find((division) => division !== undefined)
    const division = known ?? row.fallback_division ?? undefined
    const recipient = division === undefined ? undefined : sources.utilityOf(division, row.accepted_at.getTime())
    return recipient === undefined ? [] : [{ id: row.id, recipient }]
  })
}
