import { sql } from 'kysely'
import type { Db } from '../db.ts'

/** The hub's own tables: register, log, deliveries, documents, cases. The commit function is in 0003. */
export async function up(db: Db): Promise<void> {
  for (const statement of STATEMENTS) await sql.raw(statement).execute(db)
}

const REGISTER = [
  `CREATE TABLE party (
     id text PRIMARY KEY,
     name_zh text NOT NULL,
     name_en text NOT NULL,
     name_aliases text[] NOT NULL DEFAULT '{}',
     level text NOT NULL,
     divisions text[] NOT NULL DEFAULT '{}',
     roles text[] NOT NULL,
     channel text NOT NULL CHECK (channel IN ('bus', 'inbox')),
     bus_door boolean NOT NULL DEFAULT false,
     status text NOT NULL DEFAULT 'active' CHECK (status IN ('active', 'suspended')))`,
  `CREATE TABLE party_key (
     kid text PRIMARY KEY,
     party text NOT NULL REFERENCES party,
     agent text,
     public_jwk jsonb NOT NULL,
     state text NOT NULL DEFAULT 'active' CHECK (state IN ('pending', 'active', 'verify-only', 'retired', 'revoked')),
     added_at timestamptz NOT NULL DEFAULT now())`,
  `CREATE TABLE mandate (
     agent text NOT NULL REFERENCES party,
     principal text NOT NULL REFERENCES party,
     contract text NOT NULL,
     valid_from timestamptz NOT NULL,
     valid_to timestamptz,
     PRIMARY KEY (agent, principal, contract))`,
  `CREATE TABLE access_grant (
     id text PRIMARY KEY,
     party text NOT NULL REFERENCES party,
     contract text NOT NULL,
     purpose text NOT NULL,
     fields text[] NOT NULL,
     legal_bases text[] NOT NULL,
     valid_from timestamptz NOT NULL,
     valid_to timestamptz)`,
  `CREATE TABLE utility_area (
     prefix text NOT NULL,
     utility text NOT NULL REFERENCES party,
     valid_from timestamptz NOT NULL,
     valid_to timestamptz,
     is_override boolean NOT NULL,
     PRIMARY KEY (prefix, is_override, valid_from))`,
  `CREATE TABLE division (code text PRIMARY KEY, name_zh text NOT NULL, name_en text NOT NULL, parent text)`,
  `CREATE TABLE register_version (id boolean PRIMARY KEY DEFAULT true CHECK (id), version bigint NOT NULL)`,
  `INSERT INTO register_version (version) VALUES (0)`,
  `CREATE FUNCTION register_changed() RETURNS trigger LANGUAGE plpgsql AS $$
   BEGIN UPDATE register_version SET version = version + 1; RETURN NULL; END $$`,
  ...['party', 'party_key', 'mandate', 'access_grant', 'utility_area', 'division'].map(
    (table) => `CREATE TRIGGER ${table}_changed AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON ${table}
                FOR EACH STATEMENT EXECUTE FUNCTION register_changed()`,
  ),
]

const LOG = [
  `CREATE TABLE replay (
     iss text NOT NULL, jti text NOT NULL,
     exchange uuid NOT NULL,
     content_digest text NOT NULL,
     receipt text NOT NULL,
     PRIMARY KEY (iss, jti))`,
  // Tokens of ordinary size stay in the row, uncompressed: base64url does not compress, and TOAST would add
  // a second table's writes to every exchange.
  `CREATE TABLE exchange (
     id uuid PRIMARY KEY,
     iss text NOT NULL, jti text NOT NULL,
     contract text NOT NULL, sub text NOT NULL, case_no text, obo text,
     origin text NOT NULL, order_key text NOT NULL,
     token text NOT NULL,
     accepted_at timestamptz NOT NULL) WITH (toast_tuple_target = 8160)`,
  `ALTER TABLE exchange ALTER COLUMN token SET STORAGE EXTERNAL`,
  `CREATE TABLE log (pos bigint PRIMARY KEY, exchange uuid NOT NULL UNIQUE)`,
  `CREATE TABLE log_head (id boolean PRIMARY KEY DEFAULT true CHECK (id), pos bigint NOT NULL) WITH (fillfactor = 10)`,
  `INSERT INTO log_head (pos) VALUES (0)`,
  `CREATE TABLE log_cursor (name text PRIMARY KEY, pos bigint NOT NULL, moved_at timestamptz NOT NULL DEFAULT now())`,
  `CREATE TABLE refusal (
     id uuid PRIMARY KEY,
     iss text NOT NULL, jti text, contract text,
     token_digest text NOT NULL,
     code text NOT NULL,
     violations jsonb NOT NULL,
     refused_at timestamptz NOT NULL)`,
  `CREATE INDEX refusal_by_party ON refusal (iss, refused_at)`,
]

const DELIVERY = [
  `CREATE TABLE delivery (
     id uuid PRIMARY KEY,
     exchange uuid NOT NULL,
     pos bigint NOT NULL,
     sender text NOT NULL,
     recipient text,
     state text NOT NULL,
     order_key text NOT NULL,
     alias_keys text[] NOT NULL DEFAULT '{}',
     fallback_division text,
     deliver_by timestamptz NOT NULL,
     accepted_at timestamptz NOT NULL,
     routed_at timestamptz, published_at timestamptz, settled_at timestamptz,
     announced_at timestamptz,
     publications int NOT NULL DEFAULT 0,
     lease_token uuid, lease_until timestamptz,
     cause text, outcome text, recipient_ref text)`,
  `CREATE INDEX delivery_by_exchange ON delivery (exchange)`,
  `CREATE INDEX delivery_to_publish ON delivery (pos) WHERE state = 'accepted'`,
  `CREATE INDEX delivery_unrouted ON delivery USING gin (alias_keys) WHERE state = 'unrouted'`,
  `CREATE INDEX delivery_unrouted_pos ON delivery (pos) WHERE state = 'unrouted'`,
  `CREATE INDEX delivery_open ON delivery (recipient, order_key, pos)
     WHERE state IN ('accepted', 'published', 'delivering')`,
  `CREATE INDEX delivery_due ON delivery (deliver_by)
     WHERE state IN ('unrouted', 'accepted', 'published', 'delivering')`,
]

const DOCUMENTS = [
  `CREATE TABLE document (
     contract text NOT NULL,
     identifier text NOT NULL,
     version text NOT NULL,
     status text NOT NULL,
     status_at timestamptz NOT NULL,
     valid_to date,
     holder_keys text[] NOT NULL,
     exchange uuid NOT NULL,
     PRIMARY KEY (contract, identifier))`,
  `CREATE INDEX document_by_holder ON document USING gin (holder_keys)`,
  `CREATE TABLE access_record (
     iss text NOT NULL, jti text NOT NULL,
     contract text NOT NULL,
     subject_key text NOT NULL,
     case_id uuid NOT NULL,
     purpose text NOT NULL, legal_basis text NOT NULL, item text NOT NULL, operator text NOT NULL,
     access_grant text NOT NULL,
     fields text[] NOT NULL,
     documents uuid[] NOT NULL,
     token text NOT NULL,
     answer_digest text NOT NULL,
     answered_at timestamptz NOT NULL,
     PRIMARY KEY (iss, jti))`,
  `CREATE INDEX access_by_subject ON access_record (subject_key, answered_at)`,
]

const CASES = [
  `CREATE TABLE case_file (
     id uuid PRIMARY KEY,
     case_no text NOT NULL UNIQUE,
     division text NOT NULL,
     utility text,
     state text NOT NULL CHECK (state IN ('open', 'closed')),
     opened_pos bigint NOT NULL,
     opened_at timestamptz NOT NULL)`,
  `CREATE TABLE case_alias (
     key text PRIMARY KEY,
     scheme text NOT NULL, issuer text NOT NULL, number text NOT NULL,
     case_id uuid NOT NULL REFERENCES case_file ON DELETE CASCADE,
     pos bigint NOT NULL)`,
  `CREATE INDEX case_alias_number ON case_alias (number)`,
  `CREATE INDEX case_alias_pos ON case_alias (pos)`,
  `CREATE TABLE case_party (
     case_id uuid NOT NULL REFERENCES case_file ON DELETE CASCADE,
     party text NOT NULL,
     PRIMARY KEY (case_id, party))`,
  `CREATE TABLE case_subject (
     case_id uuid NOT NULL REFERENCES case_file ON DELETE CASCADE,
     subject_key text NOT NULL,
     PRIMARY KEY (case_id, subject_key))`,
  `CREATE TABLE case_event (
     pos bigint PRIMARY KEY,
     case_id uuid REFERENCES case_file ON DELETE CASCADE,
     exchange uuid NOT NULL,
     contract text NOT NULL,
     alias_keys text[] NOT NULL,
     at timestamptz NOT NULL)`,
  `CREATE INDEX case_event_by_case ON case_event (case_id, pos)`,
  `CREATE INDEX case_event_waiting ON case_event USING gin (alias_keys) WHERE case_id IS NULL`,
]

const STATEMENTS = [...REGISTER, ...LOG, ...DELIVERY, ...DOCUMENTS, ...CASES]
