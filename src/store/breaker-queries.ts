import { sql } from 'kysely'
import type { Db } from './db.ts'

export interface BreakerRow {
  readonly state: 'closed' | 'open' | 'disabled'
  readonly cause: string | null
  readonly probe_in_ms: number
  readonly probe_due: boolean
}

export async function readBreaker(db: Db, consumer: string): Promise<BreakerRow | undefined> {
  const { rows } = await sql<BreakerRow>`/* prepared:read_breaker */
    SELECT state, cause, probe_in_ms, coalesce(probe_at <= clock_timestamp(), false) AS probe_due
    FROM endpoint_breaker WHERE consumer = ${consumer}`.execute(db)
  return rows[0]
}

/** Opens or disables; an endpoint that is disabled stays so until somebody resumes it. Whether this call did it. */
export async function openBreaker(
  db: Db,
  consumer: string,
  state: 'open' | 'disabled',
  cause: string,
  probeInMs: number,
): Promise<boolean> {
  const { rows } = await sql`
    INSERT INTO endpoint_breaker AS b (consumer, state, cause, probe_in_ms, probe_at)
    VALUES (${consumer}, ${state}, ${cause}, ${probeInMs},
            clock_timestamp() + ${probeInMs}::float8 * interval '1 millisecond')
    ON CONFLICT (consumer) DO UPDATE SET state = EXCLUDED.state, cause = EXCLUDED.cause,
      probe_in_ms = EXCLUDED.probe_in_ms, probe_at = EXCLUDED.probe_at, changed_at = now()
    WHERE b.state = 'closed' OR (b.state = 'open' AND EXCLUDED.state = 'disabled')
    RETURNING 1`.execute(db)
  return rows.length > 0
}

/** Takes the one probe that is due, by compare-and-set; it is due again after `leaseMs` when its holder dies. */
export async function takeProbe(db: Db, consumer: string, leaseMs: number): Promise<boolean> {
  const { rows } = await sql`
    UPDATE endpoint_breaker SET probe_at = clock_timestamp() + ${leaseMs}::float8 * interval '1 millisecond'
    WHERE consumer = ${consumer} AND state = 'open' AND probe_at <= clock_timestamp()
    RETURNING 1`.execute(db)
  return rows.length > 0
}

/** A probe failed: the next one after twice the time, at most `maxMs`. */
export async function delayProbe(db: Db, consumer: string, maxMs: number): Promise<void> {
  await sql`
    UPDATE endpoint_breaker SET probe_in_ms = least(probe_in_ms * 2, ${maxMs}),
      probe_at = clock_timestamp() + least(probe_in_ms * 2, ${maxMs}) * interval '1 millisecond'
    WHERE consumer = ${consumer} AND state = 'open'`.execute(db)
}

/** Closes it, from any state: a probe succeeded, or an operator has seen to the endpoint. */
export async function closeBreaker(db: Db, consumer: string): Promise<void> {
  await sql`
    UPDATE endpoint_breaker SET state = 'closed', cause = NULL, probe_at = NULL, changed_at = now()
    WHERE consumer = ${consumer} AND state <> 'closed'`.execute(db)
}
