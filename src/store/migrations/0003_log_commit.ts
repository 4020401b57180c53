import { sql } from 'kysely'
import type { Db } from '../db.ts'

/**
 * `log_commit`: one acceptance batch in one round trip (DESIGN §4).
 *
 * Rows go in key order, so that two batches never wait for each other in a circle. The head of the log is taken
 * last, so that it is held for the shortest time and `pos` is gap-free and in commit order. Rows whose (iss, jti)
 * another batch committed first come back with that batch's exchange, digest and receipt.
 */
export async function up(db: Db): Promise<void> {
  await sql.raw(LOG_COMMIT).execute(db)
}

const LOG_COMMIT = `
CREATE FUNCTION log_commit(
  p_id uuid[], p_iss text[], p_jti text[], p_contract text[], p_sub text[], p_case_no text[], p_obo text[],
  p_origin text[], p_order_key text[], p_digest text[], p_accepted_at timestamptz[], p_token text[], p_receipt text[],
  d_row int[], d_id uuid[], d_recipient text[], d_state text[], d_alias_keys text[], d_division text[],
  d_deliver_by timestamptz[],
  c_row int[], c_contract text[], c_identifier text[], c_version text[], c_status text[], c_status_at timestamptz[],
  c_valid_to date[], c_holder_keys text[]
) RETURNS TABLE (n int, pos bigint, exchange uuid, content_digest text, receipt text)
LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
  won int[];
  head bigint;
BEGIN
  WITH given AS (
    SELECT u.id, u.n::int AS n
    FROM unnest(p_id) WITH ORDINALITY AS u(id, n)
  ), kept AS (
    INSERT INTO replay AS r (iss, jti, exchange, content_digest, receipt)
    SELECT u.iss, u.jti, u.id, u.digest, u.receipt
    FROM unnest(p_iss, p_jti, p_id, p_digest, p_receipt) AS u(iss, jti, id, digest, receipt)
    ORDER BY u.iss, u.jti
    ON CONFLICT DO NOTHING
    RETURNING r.exchange
  )
  SELECT coalesce(array_agg(given.n ORDER BY given.n), '{}') INTO won
  FROM given JOIN kept ON kept.exchange = given.id;

  IF cardinality(won) > 0 THEN
    INSERT INTO exchange AS e
      (id, iss, jti, contract, sub, case_no, obo, origin, order_key, accepted_at, token)
    SELECT u.id, u.iss, u.jti, u.contract, u.sub, u.case_no, u.obo, u.origin, u.order_key, u.accepted_at, u.token
    FROM unnest(p_id, p_iss, p_jti, p_contract, p_sub, p_case_no, p_obo, p_origin, p_order_key, p_accepted_at, p_token)
      WITH ORDINALITY AS u(id, iss, jti, contract, sub, case_no, obo, origin, order_key, accepted_at, token, n)
    WHERE u.n = ANY (won);

    IF cardinality(c_row) > 0 THEN
      INSERT INTO document AS d
        (contract, identifier, version, status, status_at, valid_to, holder_keys, exchange)
      SELECT DISTINCT ON (u.contract, u.identifier)
        u.contract, u.identifier, u.version, u.status, u.status_at, u.valid_to,
        string_to_array(u.holder_keys, ' '), p_id[u.row]
      FROM unnest(c_row, c_contract, c_identifier, c_version, c_status, c_status_at, c_valid_to, c_holder_keys)
        AS u(row, contract, identifier, version, status, status_at, valid_to, holder_keys)
      WHERE u.row = ANY (won)
      ORDER BY u.contract, u.identifier, u.version DESC, u.status_at DESC, u.row DESC
      ON CONFLICT (contract, identifier) DO UPDATE SET
        version = excluded.version, status = excluded.status, status_at = excluded.status_at,
        valid_to = excluded.valid_to, holder_keys = excluded.holder_keys, exchange = excluded.exchange
      WHERE (excluded.version, excluded.status_at) > (d.version, d.status_at);
    END IF;

    UPDATE log_head AS h SET pos = h.pos + cardinality(won) RETURNING h.pos - cardinality(won) INTO head;

    INSERT INTO log (pos, exchange)
    SELECT head + w.rank, p_id[w.n] FROM unnest(won) WITH ORDINALITY AS w(n, rank);

    INSERT INTO delivery
      (id, exchange, pos, sender, recipient, state, order_key, alias_keys, fallback_division, deliver_by,
       accepted_at, routed_at)
    SELECT u.id, p_id[u.row], head + array_position(won, u.row), p_iss[u.row], u.recipient,
      u.state, p_order_key[u.row], string_to_array(u.alias_keys, ' '), u.division, u.deliver_by,
      p_accepted_at[u.row], CASE WHEN u.recipient IS NULL THEN NULL ELSE p_accepted_at[u.row] END
    FROM unnest(d_row, d_id, d_recipient, d_state, d_alias_keys, d_division, d_deliver_by)
      AS u(row, id, recipient, state, alias_keys, division, deliver_by)
    WHERE u.row = ANY (won);

    RETURN QUERY
      SELECT w.n, head + w.rank, NULL::uuid, NULL::text, NULL::text FROM unnest(won) WITH ORDINALITY AS w(n, rank);
  END IF;

  IF cardinality(won) < cardinality(p_id) THEN
    RETURN QUERY
      SELECT u.n::int, NULL::bigint, r.exchange, r.content_digest, r.receipt
      FROM unnest(p_iss, p_jti) WITH ORDINALITY AS u(iss, jti, n)
      JOIN replay AS r ON r.iss = u.iss AND r.jti = u.jti
      WHERE u.n <> ALL (won);
  END IF;
END $$`
