import { sql } from 'kysely'
import type { Clock } from '#kernel/clock.ts'
import type { Db } from './db.ts'

/** How far this node's clock is ahead of the database's, in ms; half the round trip is taken off. */
export async function clockOffsetMs(db: Db, clock: Clock): Promise<number> {
  const asked = clock()
  const { rows } = await sql<{ ms: number }>`
    SELECT (extract(epoch FROM clock_timestamp()) * 1000)::float8 AS ms`.execute(db)
  const answered = clock()
  return (asked + answered) / 2 - (rows[0]?.ms ?? answered)
}
