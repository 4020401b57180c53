import { sql } from 'kysely'
import type { Db } from '../db.ts'

/** Documents of an access that were looked up in a foreign system: whose they are, and what was seen of them. */
export async function up(db: Db): Promise<void> {
  for (const statement of STATEMENTS) await sql.raw(statement).execute(db)
}

const STATEMENTS = [
  `CREATE TABLE access_look_up (
     id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
     iss text NOT NULL, jti text NOT NULL,
     provider text NOT NULL,
     document text NOT NULL,
     identifier text NOT NULL,
     original_digest text NOT NULL,
     FOREIGN KEY (iss, jti) REFERENCES access_record ON DELETE CASCADE)`,
  `CREATE INDEX access_look_up_by_access ON access_look_up (iss, jti)`,
  // Whoever looked a document up is told when its status changes.
  `CREATE INDEX access_look_up_by_document ON access_look_up (document, identifier)`,
]
