import { sql } from 'kysely'
import type { Db } from '../db.ts'

/**
 * Encryption at rest. `data_key`: one for each retention class and day, wrapped; a destroyed one keeps its row, without
 * bytes. The columns that hold content become sealed bytes. What stands in them already gets the version byte 0 of the
 * vault's format, and `unsealed` lists the tables where there is any: the program seals those rows when the schema is
 * current (`seal-old-rows.ts`), because a migration has no keys and would hold its locks for too long.
 */
export async function up(db: Db): Promise<void> {
  for (const statement of STATEMENTS) await sql.raw(statement).execute(db)
}

const toText = (column: string): string => `'\\x00'::bytea || convert_to(${column}, 'UTF8')`
const toBytes = (column: string): string => `'\\x00'::bytea || ${column}`

const CONTENT: readonly (readonly [table: string, column: string, convert: (column: string) => string])[] = [
  ['exchange', 'token', toText],
  ['access_record', 'token', toText],
  ['inbox', 'token', toText],
  ['inbox_attempt', 'body', toText],
  ['dead_letter', 'value', toBytes],
  ['ack_outbox', 'token', toText],
  ['ack_outbox', 'data', (column) => toText(`${column}::text`)],
  ['bus_log', 'value', toBytes],
]

/** A function made anew from its own text: what else it does is as the migrations before this one left it. */
const remade = (name: string, from: string, to: string): string => `
  DO $do$
  DECLARE
    old regprocedure := (SELECT oid FROM pg_proc WHERE proname = '${name}');
    definition text := pg_get_functiondef(old);
  BEGIN
    IF position('${from}' IN definition) = 0 THEN RAISE EXCEPTION '${name} is not as expected'; END IF;
    EXECUTE 'DROP FUNCTION ' || old;
    EXECUTE replace(definition, '${from}', '${to}');
  END $do$`

const STATEMENTS = [
  `CREATE TABLE data_key (
     id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
     retention text NOT NULL,
     period date NOT NULL,
     wrapped bytea,
     kek_version int NOT NULL,
     created_at timestamptz NOT NULL DEFAULT now(),
     destroyed_at timestamptz,
     -- {table: values} that became unreadable with it, and the report that says so
     unreadable jsonb,
     report text,
     UNIQUE (retention, period),
     CHECK ((wrapped IS NULL) = (destroyed_at IS NOT NULL)))`,
  // What values on a broker are wrapped for; the newest of a party's is used.
  `CREATE TABLE party_encryption_key (
     kid text PRIMARY KEY,
     party text NOT NULL REFERENCES party,
     public_jwk jsonb NOT NULL,
     added_at timestamptz NOT NULL DEFAULT clock_timestamp())`,
  `CREATE TRIGGER party_encryption_key_changed AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON party_encryption_key
     FOR EACH STATEMENT EXECUTE FUNCTION register_changed()`,
  `CREATE TABLE unsealed (name text PRIMARY KEY)`,
  ...[...new Set(CONTENT.map(([table]) => table))].map(
    (table) => `INSERT INTO unsealed SELECT '${table}' WHERE EXISTS (SELECT FROM ${table})`,
  ),
  ...CONTENT.map(
    ([table, column, convert]) => `ALTER TABLE ${table} ALTER COLUMN ${column} TYPE bytea USING ${convert(column)}`,
  ),
  // Ciphertext does not compress either.
  ...['exchange.token', 'inbox.token', 'bus_log.value'].map((name) => {
    const [table, column] = name.split('.')
    return `ALTER TABLE ${table} ALTER COLUMN ${column} SET STORAGE EXTERNAL`
  }),
  remade('log_commit', 'p_token text[]', 'p_token bytea[]'),
  remade('record_accesses', 'x.token,', `decode(x.token, ''base64''),`),
]
