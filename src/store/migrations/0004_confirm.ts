import { sql } from 'kysely'
import type { Db } from '../db.ts'

/** Deliveries whose outcome is unknown: asked about (`confirming`), or waiting for an operator (`parked`). */
export async function up(db: Db): Promise<void> {
  for (const statement of STATEMENTS) await sql.raw(statement).execute(db)
}

const STATEMENTS = [
  `ALTER TABLE inbox DROP CONSTRAINT inbox_state_check`,
  `ALTER TABLE inbox ADD CONSTRAINT inbox_state_check
     CHECK (state IN ('landed', 'retrying', 'confirming', 'parked', 'delivered', 'dead', 'skipped'))`,
  // {outcome: applied | rejected, recipientRef?}: what an operator said of a parked delivery; its host carries it out.
  `ALTER TABLE inbox ADD COLUMN decision jsonb`,
  `DROP INDEX inbox_open`,
  `CREATE INDEX inbox_open ON inbox (consumer, order_key, seq) WHERE state IN ('landed', 'retrying', 'confirming')`,
  `ALTER TABLE dead_letter DROP CONSTRAINT dead_letter_stage_check`,
  `ALTER TABLE dead_letter ADD CONSTRAINT dead_letter_stage_check
     CHECK (stage IN ('verify', 'mapping', 'send', 'confirm'))`,
  `ALTER TABLE dead_letter DROP CONSTRAINT dead_letter_resolution_check`,
  `ALTER TABLE dead_letter ADD CONSTRAINT dead_letter_resolution_check
     CHECK (resolution IN ('replayed', 'skipped', 'decided'))`,
]
