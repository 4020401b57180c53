import { sql } from 'kysely'
import type { Db } from '../db.ts'

/** The embedded bus and the connector host's own tables. A host at a utility's side has these and no others. */
export async function up(db: Db): Promise<void> {
  for (const statement of STATEMENTS) await sql.raw(statement).execute(db)
}

const BUS = [
  `CREATE TABLE bus_head (topic text PRIMARY KEY, pos bigint NOT NULL) WITH (fillfactor = 10)`,
  `CREATE TABLE bus_log (
     topic text NOT NULL, pos bigint NOT NULL,
     key text NOT NULL,
     value bytea NOT NULL,
     headers jsonb NOT NULL,
     at timestamptz NOT NULL,
     PRIMARY KEY (topic, pos))`,
  `ALTER TABLE bus_log ALTER COLUMN value SET STORAGE EXTERNAL`,
  `CREATE TABLE bus_group (
     topic text NOT NULL, name text NOT NULL,
     committed bigint NOT NULL,
     PRIMARY KEY (topic, name)) WITH (fillfactor = 10)`,
]

const INBOX = [
  `CREATE TABLE inbox (
     seq bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
     consumer text NOT NULL, event_id text NOT NULL,
     source text NOT NULL,
     order_key text NOT NULL,
     contract text NOT NULL,
     token text NOT NULL,
     receipt text NOT NULL,
     deliver_by timestamptz,
     state text NOT NULL DEFAULT 'landed'
       CHECK (state IN ('landed', 'retrying', 'delivered', 'dead', 'skipped')),
     attempt int NOT NULL DEFAULT 0,
     round int NOT NULL DEFAULT 0,
     landed_at timestamptz NOT NULL DEFAULT now(),
     finished_at timestamptz,
     ack_jti text,
     UNIQUE (consumer, event_id))`,
  `ALTER TABLE inbox ALTER COLUMN token SET STORAGE EXTERNAL`,
  `CREATE INDEX inbox_open ON inbox (consumer, order_key, seq) WHERE state IN ('landed', 'retrying')`,
  `CREATE INDEX inbox_delivered ON inbox (consumer, order_key, seq) WHERE state = 'delivered'`,
  // One row per key with open work. Its next_at is that of the key's head, or the end of the lease: the followers
  // of a failing head are never looked at, and a lease that lapses becomes due by itself. A dead head that blocks
  // its key stands at infinity.
  `CREATE TABLE inbox_lane (
     consumer text NOT NULL, order_key text NOT NULL,
     next_at timestamptz NOT NULL,
     lease uuid,
     blocked_by text,
     PRIMARY KEY (consumer, order_key)) WITH (fillfactor = 50)`,
  `CREATE INDEX inbox_lane_due ON inbox_lane (consumer, next_at)`,
  `CREATE TABLE inbox_attempt (
     id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
     consumer text NOT NULL, event_id text NOT NULL,
     round int NOT NULL, attempt int NOT NULL,
     class text NOT NULL,
     status int, latency_ms int NOT NULL,
     body text, code text,
     at timestamptz NOT NULL DEFAULT clock_timestamp())`,
  `CREATE INDEX inbox_attempt_by_event ON inbox_attempt (event_id)`,
  `CREATE FUNCTION inbox_attempt_is_append_only() RETURNS trigger LANGUAGE plpgsql AS $$
   BEGIN RAISE EXCEPTION 'inbox_attempt is append-only'; END $$`,
  `CREATE TRIGGER inbox_attempt_append_only BEFORE UPDATE ON inbox_attempt
     FOR EACH STATEMENT EXECUTE FUNCTION inbox_attempt_is_append_only()`,
  `CREATE TABLE dead_letter (
     id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
     consumer text NOT NULL, event_id text,
     topic text, bus_partition int, bus_offset bigint,
     stage text NOT NULL CHECK (stage IN ('verify', 'mapping', 'send')),
     code text NOT NULL,
     value bytea, headers jsonb,
     at timestamptz NOT NULL DEFAULT now(),
     resolution text CHECK (resolution IN ('replayed', 'skipped')),
     reason text, resolved_at timestamptz)`,
  // A batch that comes again leaves the letter it left before. Letters of the inbox have no position.
  `CREATE UNIQUE INDEX dead_letter_position ON dead_letter (consumer, topic, bus_partition, bus_offset)
     WHERE topic IS NOT NULL`,
  `CREATE INDEX dead_letter_by_event ON dead_letter (consumer, event_id)`,
]

const OUTBOX_AND_BREAKER = [
  // next_at is null once a receipt is stored; a delivery that the hub sends again sets it anew.
  `CREATE TABLE ack_outbox (
     consumer text NOT NULL, jti text NOT NULL,
     data jsonb NOT NULL,
     token text NOT NULL,
     expires_at timestamptz NOT NULL,
     next_at timestamptz DEFAULT now(),
     attempt int NOT NULL DEFAULT 0,
     last_code text,
     receipt text, receipted_at timestamptz,
     created_at timestamptz NOT NULL DEFAULT now(),
     PRIMARY KEY (consumer, jti))`,
  `CREATE INDEX ack_outbox_due ON ack_outbox (consumer, next_at) WHERE next_at IS NOT NULL`,
  `CREATE TABLE endpoint_breaker (
     consumer text PRIMARY KEY,
     state text NOT NULL CHECK (state IN ('closed', 'open', 'disabled')),
     cause text,
     probe_in_ms int NOT NULL,
     probe_at timestamptz,
     changed_at timestamptz NOT NULL DEFAULT now())`,
]

const STATEMENTS = [...BUS, ...INBOX, ...OUTBOX_AND_BREAKER]
