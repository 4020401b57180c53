import { sql } from 'kysely'
import type { Db } from './db.ts'

/** The right to a work under `name`; `epoch` grows each time it goes to another owner. */
export interface Lease {
  readonly name: string
  /** UUID of the process. */
  readonly owner: string
  readonly epoch: number
}

/** Takes those leases that are free or lapsed, and extends those that are the owner's already. Clock: the database's. */
export async function takeLeases(db: Db, names: readonly string[], owner: string, ms: number): Promise<Lease[]> {
  const { rows } = await sql<Lease>`
    INSERT INTO lease AS l (name, owner, epoch, until)
    SELECT name, ${owner}, 1, clock_timestamp() + make_interval(secs => ${ms / 1000})
    FROM unnest(${names}::text[]) AS n(name) ORDER BY name
    ON CONFLICT (name) DO UPDATE SET owner = excluded.owner, until = excluded.until,
      epoch = CASE WHEN l.owner = excluded.owner THEN l.epoch ELSE l.epoch + 1 END
    WHERE l.owner = excluded.owner OR l.until < clock_timestamp()
    RETURNING name, owner, epoch::float8 AS epoch`.execute(db)
  return rows
}

/** Gives back what the owner still holds, so that nobody waits for it to lapse. */
export async function releaseLeases(db: Db, owner: string): Promise<void> {
  await sql`UPDATE lease SET until = '-infinity' WHERE owner = ${owner}`.execute(db)
}
