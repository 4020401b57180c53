import { sql } from 'kysely'
import type { Db } from '../db.ts'

/**
 * The plain door: AppKeys (never their secrets, which are derived from the hub's key), the nonces of the last minutes,
 * and what arrived with its MAC, as the evidence of an exchange that its sender did not sign.
 */
export async function up(db: Db): Promise<void> {
  for (const statement of STATEMENTS) await sql.raw(statement).execute(db)
}

const STATEMENTS = [
  `CREATE TABLE app_key (
     id text PRIMARY KEY,
     party text NOT NULL REFERENCES party,
     method text NOT NULL CHECK (method IN ('HMAC-SHA256', 'HMAC-SM3')),
     networks cidr[] NOT NULL CHECK (cardinality(networks) > 0),
     contracts text[],
     state text NOT NULL DEFAULT 'active' CHECK (state IN ('active', 'revoked')),
     state_since timestamptz NOT NULL DEFAULT now(),
     added_at timestamptz NOT NULL DEFAULT now())`,
  `CREATE TRIGGER app_key_changed AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON app_key
     FOR EACH STATEMENT EXECUTE FUNCTION register_changed()`,
  `CREATE TABLE plain_nonce (
     app_key text NOT NULL,
     nonce text NOT NULL,
     used_at timestamptz NOT NULL DEFAULT now(),
     PRIMARY KEY (app_key, nonce))`,
  `CREATE INDEX plain_nonce_by_time ON plain_nonce (used_at)`,
  // By contract and bytes as well: what never became an exchange must not stand in the place of what did.
  `CREATE TABLE plain_evidence (
     iss text NOT NULL,
     jti text NOT NULL,
     contract text NOT NULL,
     body_digest text NOT NULL,
     app_key text NOT NULL,
     request bytea NOT NULL,
     received_at timestamptz NOT NULL,
     PRIMARY KEY (iss, jti, contract, body_digest))`,
]
