import { sql } from 'kysely'
import type { Db } from '../db.ts'

/**
 * Disputes of data and what providers answer. A row is written before its exchange is committed, under the exchange's
 * id, and counts once a reader of the log has opened or applied it: one whose exchange never came changes nothing.
 */
export async function up(db: Db): Promise<void> {
  for (const statement of STATEMENTS) await sql.raw(statement).execute(db)
}

const STATEMENTS = [
  // A number is taken by the first token that names it, and stays its own.
  `CREATE TABLE dispute_number (
     contract text NOT NULL,
     issuer text NOT NULL,
     number text NOT NULL,
     taken_by text NOT NULL,
     PRIMARY KEY (contract, issuer, number))`,
  `CREATE TABLE dispute (
     exchange uuid PRIMARY KEY,
     issuer text NOT NULL,
     number text NOT NULL,
     provider text NOT NULL,
     contract text NOT NULL,
     identifier text NOT NULL,
     original uuid,
     fields text[] NOT NULL,
     opened_at timestamptz,
     due_on date,
     is_provisional boolean,
     settled_at timestamptz,
     outcome text CHECK (outcome IN ('CORRECTED', 'REJECTED')),
     correction uuid,
     CHECK ((settled_at IS NULL) = (outcome IS NULL)))`,
  `CREATE INDEX dispute_open ON dispute (contract, identifier) WHERE opened_at IS NOT NULL AND settled_at IS NULL`,
  `CREATE INDEX dispute_by_number ON dispute (issuer, number)`,
  `CREATE TABLE correction (
     exchange uuid PRIMARY KEY,
     issuer text NOT NULL,
     number text NOT NULL,
     contract text NOT NULL,
     identifier text NOT NULL,
     dispute uuid,
     outcome text NOT NULL CHECK (outcome IN ('CORRECTED', 'REJECTED')),
     fields text[] NOT NULL,
     version_change bigint,
     CHECK ((version_change IS NULL) = (outcome = 'REJECTED')))`,
  // Whose case a document belongs to is asked by its holders.
  `CREATE INDEX case_subject_by_key ON case_subject (subject_key)`,
  // A correction is a change like the others: those who got a version before the corrected one are told.
  `ALTER TABLE document_change
     DROP CONSTRAINT document_change_kind_check,
     ADD CONSTRAINT document_change_kind_check CHECK (kind IN ('STATUS', 'VERSION', 'REPLACED', 'CORRECTED')),
     ADD COLUMN version_change bigint,
     ADD COLUMN correction jsonb,
     ADD CHECK ((kind = 'CORRECTED') = (version_change IS NOT NULL AND correction IS NOT NULL))`,
  `ALTER TABLE document_notice ADD COLUMN deliveries jsonb NOT NULL DEFAULT '[]'`,
]
