import { sql } from 'kysely'
import type { Db } from '../db.ts'

/** Data keys of the vault, wrapped: one for each retention class and day. A destroyed one keeps its row, without bytes. */
export async function up(db: Db): Promise<void> {
  for (const statement of STATEMENTS) await sql.raw(statement).execute(db)
}

const STATEMENTS = [
  `CREATE TABLE data_key (
     id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
     retention text NOT NULL,
     period date NOT NULL,
     wrapped bytea,
     kek_version int NOT NULL,
     created_at timestamptz NOT NULL DEFAULT now(),
     destroyed_at timestamptz,
     UNIQUE (retention, period),
     CHECK ((wrapped IS NULL) = (destroyed_at IS NOT NULL)))`,
]
