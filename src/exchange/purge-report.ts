import { sha256Digest } from '#kernel/canonical.ts'
import { type Clock, numericDate } from '#kernel/clock.ts'
import type { JsonObject } from '#kernel/json.ts'
import { type DestroyedKey, markReported, unreportedKeys } from '#store/data-key-queries.ts'
import type { Db } from '#store/db.ts'
import type { Signer } from '#trust/sign.ts'

export const PURGE_CONTRACT = 'purge-report@1'
const MAX_KEYS = 500
const MAX_AGE_S = 600

interface ReportDeps {
  readonly db: Db
  readonly clock: Clock
  readonly hubId: string
  readonly signer: Signer
  /** The acceptance path itself; throws when the report cannot be made durable. */
  readonly acceptOwn: (token: string) => Promise<void>
}

/**
 * Puts a signed report of destroyed keys into the log. Its content comes from the keys' rows alone and its jti from their
 * numbers, so that a step that was cut off repeats the same report. Returns how many it made.
 */
export async function reportDestroyedKeys(deps: ReportDeps): Promise<number> {
  for (let count = 0; ; count++) {
    const keys = await unreportedKeys(deps.db, MAX_KEYS)
    if (keys.length === 0) return count
    const ids = keys.map(({ id }) => id)
    const report = `purge-${sha256Digest(ids.join(' ')).slice(-22)}`
    await deps.acceptOwn(tokenOf(deps, report, dataOf(report, keys)))
    await markReported(deps.db, ids, report)
  }
}

const dataOf = (report: string, keys: readonly DestroyedKey[]): JsonObject => ({
  report,
  destroyedAt: new Date(Math.max(...keys.map((key) => key.destroyed_at.getTime()))).toISOString(),
  keys: keys.map(({ id, retention, period, unreadable }) => ({
    key: id,
    retention,
    period,
    unreadable: Object.entries(unreadable).map(([table, values]) => ({ table, values })),
  })),
})

function tokenOf({ hubId, clock, signer }: ReportDeps, report: string, data: JsonObject): string {
  const now = numericDate(clock())
  return signer.sign('exchange+jwt', {
    iss: hubId,
    aud: hubId,
    iat: now,
    exp: now + MAX_AGE_S,
    jti: report,
    contract: PURGE_CONTRACT,
    sub: report,
    data,
  })
}
