import { sql } from 'kysely'
import type { Db } from '../db.ts'

/**
 * What became of documents after they were first brought, and who is told. A change is written where the projection is
 * changed, in the commit of the exchange that brought it, so a late arrival that did not win leaves none.
 */
export async function up(db: Db): Promise<void> {
  for (const statement of STATEMENTS) await sql.raw(statement).execute(db)
}

const IDENTITY = String.raw`regexp_replace(identifier, '^(1\.2\.156\.3005\.2\..*)\.\d{3}\.[0-9A-Z]$', '\1')`

const STATEMENTS = [
  // A document is one through all its versions: its identifier stands without version and check character.
  `DELETE FROM document d USING (
     SELECT contract, identifier, row_number() OVER (
       PARTITION BY contract, ${IDENTITY} ORDER BY version DESC, status_at DESC, exchange) AS rank FROM document) r
   WHERE r.contract = d.contract AND r.identifier = d.identifier AND r.rank > 1`,
  `UPDATE document SET identifier = ${IDENTITY} WHERE identifier <> ${IDENTITY}`,
  // Of two with the same version and status time the first in the log wins, within one batch as between two.
  `DO $$ BEGIN
     EXECUTE replace(pg_get_functiondef('log_commit'::regproc), 'u.status_at DESC, u.row DESC', 'u.status_at DESC, u.row');
   END $$`,
  `CREATE TABLE document_change (
     id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
     contract text NOT NULL,
     identifier text NOT NULL,
     kind text NOT NULL CHECK (kind IN ('STATUS', 'VERSION', 'REPLACED')),
     exchange uuid NOT NULL,
     replacement text,
     old_exchange uuid,
     old_status text NOT NULL,
     status text NOT NULL,
     status_at timestamptz NOT NULL,
     changed_at timestamptz NOT NULL DEFAULT now(),
     looked_at timestamptz,
     is_settled boolean NOT NULL DEFAULT false)`,
  `CREATE INDEX document_change_by_document ON document_change (contract, identifier)`,
  `CREATE INDEX document_change_by_exchange ON document_change (exchange)`,
  `CREATE INDEX document_change_open ON document_change (changed_at) WHERE NOT is_settled`,
  // However many versions of the new document name the one that it replaces.
  `CREATE UNIQUE INDEX document_replaced_once ON document_change (contract, identifier, replacement)
     WHERE kind = 'REPLACED'`,
  `CREATE TABLE document_notice (
     change bigint NOT NULL REFERENCES document_change,
     recipient text NOT NULL,
     queries jsonb NOT NULL,
     sent_at timestamptz,
     PRIMARY KEY (change, recipient))`,
  `CREATE INDEX document_notice_due ON document_notice (change) WHERE sent_at IS NULL`,
  `CREATE INDEX access_by_document ON access_record USING gin (documents)`,
  `CREATE FUNCTION document_changed() RETURNS trigger LANGUAGE plpgsql AS $$
   BEGIN
     INSERT INTO document_change (contract, identifier, kind, exchange, old_exchange, old_status, status, status_at)
     VALUES (NEW.contract, NEW.identifier, CASE WHEN NEW.status = OLD.status THEN 'VERSION' ELSE 'STATUS' END,
       NEW.exchange, OLD.exchange, coalesce(OLD.status, 'ACTIVE'), NEW.status, NEW.status_at);
     RETURN NULL;
   END $$`,
  `CREATE TRIGGER document_changed AFTER UPDATE ON document
     FOR EACH ROW WHEN (NEW.exchange <> OLD.exchange) EXECUTE FUNCTION document_changed()`,
  // One that comes for the first time, and is not in force, may have been looked up elsewhere while it was.
  `CREATE TRIGGER document_came AFTER INSERT ON document
     FOR EACH ROW WHEN (NEW.status <> 'ACTIVE') EXECUTE FUNCTION document_changed()`,
]
