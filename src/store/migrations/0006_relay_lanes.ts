import { sql } from 'kysely'
import type { Db } from '../db.ts'

/**
 * Leases: who does a work that only one process may do at a time. Topic generations: which topic a recipient's
 * deliveries go to; one that is not listed has generation 1. The relay looks for work by recipient, so that one with a
 * long backlog does not stand before the others.
 */
export async function up(db: Db): Promise<void> {
  for (const statement of STATEMENTS) await sql.raw(statement).execute(db)
}

const STATEMENTS = [
  `CREATE TABLE lease (
     name text PRIMARY KEY,
     owner uuid NOT NULL,
     epoch bigint NOT NULL,
     until timestamptz NOT NULL) WITH (fillfactor = 10)`,
  `CREATE TABLE topic_generation (
     recipient text NOT NULL REFERENCES party,
     generation int NOT NULL CHECK (generation > 0),
     opened_at timestamptz NOT NULL DEFAULT now(),
     closed_at timestamptz,
     PRIMARY KEY (recipient, generation))`,
  // The generation of the topic that a delivery was published to last.
  `ALTER TABLE delivery ADD COLUMN generation int`,
  `DROP INDEX delivery_to_publish`,
  `CREATE INDEX delivery_to_publish ON delivery (recipient, pos) WHERE state = 'accepted'`,
]
