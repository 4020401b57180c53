import { sql } from 'kysely'
import type { Db } from '../db.ts'

/** Consents and pre-case sessions as queries resolve them: subjects keyed, no personal data in the clear. */
export async function up(db: Db): Promise<void> {
  for (const statement of STATEMENTS) await sql.raw(statement).execute(db)
}

const STATEMENTS = [
  `CREATE TABLE consent (
     issuer text NOT NULL, ref text NOT NULL,
     subject_key text NOT NULL,
     recipient text NOT NULL,
     purpose text NOT NULL,
     documents jsonb NOT NULL,
     face boolean NOT NULL,
     valid_from date NOT NULL, valid_to date NOT NULL,
     granted_at timestamptz NOT NULL,
     exchange uuid NOT NULL,
     accepted_at timestamptz NOT NULL,
     PRIMARY KEY (issuer, ref))`,
  `CREATE INDEX consent_by_ref ON consent (ref)`,
  // A withdrawal is looked for in the log itself: it counts from its commit on, whichever loop runs or does not.
  `CREATE INDEX exchange_withdrawals ON exchange (sub) WHERE contract = 'consent-withdrawal@1'`,
  `CREATE FUNCTION consent_withdrawn_at(of_issuer text, of_ref text) RETURNS timestamptz LANGUAGE sql STABLE AS $$
     SELECT min(accepted_at) FROM exchange
     WHERE contract = 'consent-withdrawal@1' AND sub = of_ref AND coalesce(obo, iss) = of_issuer $$`,
  // One for each assertion, whether it is good enough or not: a query is told what is wrong with its session.
  `CREATE TABLE session (
     issuer text NOT NULL, id text NOT NULL,
     subject_key text NOT NULL,
     nonce text NOT NULL,
     audience text NOT NULL,
     purpose text NOT NULL,
     consent_ref text,
     level int NOT NULL,
     is_matched boolean NOT NULL,
     by_face boolean NOT NULL,
     is_ended boolean NOT NULL,
     verified_at timestamptz NOT NULL,
     expires_at timestamptz NOT NULL,
     opened_at timestamptz NOT NULL,
     exchange uuid NOT NULL,
     PRIMARY KEY (issuer, id),
     UNIQUE (issuer, nonce))`,
  // The grant that decided a refused query; of an answered one access_record has it.
  `ALTER TABLE refusal ADD COLUMN decided_by text`,
  `CREATE INDEX session_by_id ON session (id)`,
  `CREATE INDEX session_by_time ON session USING brin (opened_at)`,
]
