import { sql } from 'kysely'
import type { Db } from '../db.ts'

/** Files in sealed chunks of a fixed size, which exchanges name them until when, and who fetched what. */
export async function up(db: Db): Promise<void> {
  for (const statement of STATEMENTS) await sql.raw(statement).execute(db)
}

const STATEMENTS = [
  // One row per uploader: whoever has not uploaded a file itself must not learn that another party did.
  // `writer` is renewed by each upload request, so that a request that was given up cannot write into its successor's.
  `CREATE TABLE file (
     id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
     digest text NOT NULL,
     owner text NOT NULL REFERENCES party,
     bytes bigint NOT NULL CHECK (bytes > 0),
     media_type text NOT NULL,
     state text NOT NULL CHECK (state IN ('uploading', 'complete', 'purged')),
     stored bigint NOT NULL DEFAULT 0,
     writer uuid NOT NULL,
     moved_at timestamptz NOT NULL DEFAULT now(),
     UNIQUE (digest, owner))`,
  `CREATE INDEX file_live ON file (owner) WHERE state <> 'purged'`,
  `CREATE TABLE file_chunk (
     file uuid NOT NULL REFERENCES file ON DELETE CASCADE,
     n int NOT NULL,
     sealed bytea NOT NULL,
     PRIMARY KEY (file, n))`,
  // What is sealed does not compress.
  `ALTER TABLE file_chunk ALTER COLUMN sealed SET STORAGE EXTERNAL`,
  `CREATE TABLE file_naming (
     exchange uuid NOT NULL,
     file uuid NOT NULL REFERENCES file,
     iss text NOT NULL, obo text,
     field text NOT NULL,
     expires_at timestamptz NOT NULL,
     PRIMARY KEY (exchange, file, field))`,
  `CREATE INDEX file_naming_by_file ON file_naming (file, expires_at)`,
  `CREATE TABLE file_fetch (
     id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
     file uuid NOT NULL, digest text NOT NULL,
     party text NOT NULL,
     first_byte bigint NOT NULL, last_byte bigint NOT NULL,
     at timestamptz NOT NULL DEFAULT now())`,
  `CREATE INDEX file_fetch_by_digest ON file_fetch (digest, id)`,
]
