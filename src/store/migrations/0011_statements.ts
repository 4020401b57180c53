import { sql } from 'kysely'
import type { Db } from '../db.ts'

/** Months whose statements were sent, and a way to a month's accesses and refusals. */
export async function up(db: Db): Promise<void> {
  for (const statement of STATEMENTS) await sql.raw(statement).execute(db)
}

const STATEMENTS = [
  `CREATE TABLE statement_month (month text PRIMARY KEY, sent_at timestamptz NOT NULL DEFAULT now())`,
  `CREATE INDEX access_by_time ON access_record USING brin (answered_at)`,
  `CREATE INDEX refusal_by_time ON refusal USING brin (refused_at)`,
]
