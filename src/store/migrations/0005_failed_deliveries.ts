import { sql } from 'kysely'
import type { Db } from '../db.ts'

/** What failed lately is counted at every scrape of the metrics: without this, by reading every delivery there was. */
export async function up(db: Db): Promise<void> {
  await sql`
    CREATE INDEX delivery_failed ON delivery (settled_at) WHERE state IN ('dead', 'expired')`.execute(db)
}
