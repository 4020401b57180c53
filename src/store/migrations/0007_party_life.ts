import { sql } from 'kysely'
import type { Db } from '../db.ts'

/** Since when a party or a key is in its state, limits of a party's own, caps of a grant, and who changed what. */
export async function up(db: Db): Promise<void> {
  for (const statement of STATEMENTS) await sql.raw(statement).execute(db)
}

const STATEMENTS = [
  // Null: the hub's default.
  `ALTER TABLE party
     ADD COLUMN limit_per_second int CHECK (limit_per_second > 0),
     ADD COLUMN limit_bytes_per_second bigint CHECK (limit_bytes_per_second > 0),
     ADD COLUMN limit_in_flight int CHECK (limit_in_flight > 0)`,
  `ALTER TABLE party_key ADD COLUMN state_since timestamptz NOT NULL DEFAULT now(),
     ADD COLUMN revoked_from timestamptz`,
  // Per Asia/Shanghai day; null: without a cap.
  `ALTER TABLE access_grant
     ADD COLUMN cap_party int CHECK (cap_party > 0),
     ADD COLUMN cap_operator int CHECK (cap_operator > 0),
     ADD COLUMN cap_subject int CHECK (cap_subject > 0),
     ADD COLUMN networks cidr[],
     ADD COLUMN agreement text`,
  // Counted under a grant, and guesses under their contract, whatever grant they rest on.
  `CREATE TABLE grant_usage (
     access_grant text NOT NULL,
     day date NOT NULL,
     scope text NOT NULL CHECK (scope IN ('party', 'operator', 'subject', 'guesses')),
     name text NOT NULL,
     used int NOT NULL,
     PRIMARY KEY (access_grant, day, scope, name)) WITH (fillfactor = 50)`,
  `CREATE TABLE register_act (
     id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
     at timestamptz NOT NULL DEFAULT now(),
     by text NOT NULL,
     act text NOT NULL,
     party text NOT NULL,
     kid text,
     reason text)`,
  `CREATE INDEX register_act_by_party ON register_act (party, id)`,
]
