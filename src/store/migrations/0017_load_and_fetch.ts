import { sql } from 'kysely'
import type { Db } from '../db.ts'

/**
 * Initial loads: documents that came as rows of one exchange, and the signed refusal of its other rows, which answers a
 * repetition together with the receipt. `log_commit` of 0003, 0008 and 0010 with these columns.
 *
 * `record_accesses` raises all counters and writes all records in two statements, in the order in which
 * `record_accesses_singly`, what it was until now, locks them. Only when one of them does not fit (a cap that is reached,
 * a (iss, jti) that was used before, a consent that was withdrawn) is it all undone, and that finds out row by row.
 */
export async function up(db: Db): Promise<void> {
  for (const statement of STATEMENTS) await sql.raw(statement).execute(db)
}

const RECORD_ACCESSES = `
CREATE FUNCTION record_accesses(rows jsonb) RETURNS TABLE (n int, outcome text) LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
  recorded int;
BEGIN
  WITH wanted AS MATERIALIZED (
    SELECT c.under, (r->>'day')::date AS day, c.scope, c.name, min(c.cap) AS cap,
      (count(*) FILTER (WHERE c.counts))::int AS more, bool_and(c.counts) AS all_count
    FROM jsonb_array_elements(rows) r
    CROSS JOIN LATERAL jsonb_to_recordset(r->'caps') AS c(under text, scope text, name text, cap int, counts boolean)
    GROUP BY 1, 2, 3, 4
  ), counted AS (
    INSERT INTO grant_usage AS u (access_grant, day, scope, name, used)
    SELECT under, day, scope, name, more FROM wanted ORDER BY 1, 2, 3, 4
    ON CONFLICT (access_grant, day, scope, name) DO UPDATE SET used = u.used + excluded.used
    RETURNING u.access_grant, u.day, u.scope, u.name, u.used
  )
  SELECT 1 INTO recorded FROM counted c
  JOIN wanted w ON w.under = c.access_grant AND w.day = c.day AND w.scope = c.scope AND w.name = c.name
  WHERE c.used > w.cap OR (c.used = w.cap AND NOT w.all_count) LIMIT 1;
  IF FOUND THEN RAISE EXCEPTION USING ERRCODE = 'DQ001'; END IF;

  INSERT INTO access_record (iss, jti, contract, subject_key, case_id, purpose, legal_basis, item, operator,
    access_grant, fields, documents, token, answer_digest, answered_at, consent_issuer, consent_ref, session)
  SELECT x.iss, x.jti, x.contract, x.subject_key, x.case_id, x.purpose, x.legal_basis, x.item, x.operator,
    x."grant", x.fields, x.documents, decode(x.token, 'base64'), x.answer_digest, x.answered_at, x.consent_issuer,
    x.consent_ref, x.session
  FROM jsonb_to_recordset(rows) AS x(iss text, jti text, contract text, subject_key text, case_id uuid, purpose text,
    legal_basis text, item text, operator text, "grant" text, fields text[], documents uuid[], token text,
    answer_digest text, answered_at timestamptz, consent_issuer text, consent_ref text, session text)
  ORDER BY x.iss, x.jti
  ON CONFLICT (iss, jti) DO NOTHING;
  GET DIAGNOSTICS recorded = ROW_COUNT;

  -- The last statement, so that it sees every withdrawal that was committed while this one waited for a counter.
  IF recorded < jsonb_array_length(rows) OR EXISTS (
    SELECT FROM jsonb_array_elements(rows) r
    WHERE r->>'consent_ref' IS NOT NULL
      AND consent_withdrawn_at(r->>'consent_issuer', r->>'consent_ref') IS NOT NULL
  ) THEN RAISE EXCEPTION USING ERRCODE = 'DQ001'; END IF;
  RETURN QUERY SELECT i, 'recorded' FROM generate_series(0, jsonb_array_length(rows) - 1) AS i;
EXCEPTION WHEN SQLSTATE 'DQ001' THEN
  RETURN QUERY SELECT * FROM record_accesses_singly(rows);
END $$`

const LOG_COMMIT = `
CREATE FUNCTION log_commit(
  p_id uuid[], p_iss text[], p_jti text[], p_contract text[], p_sub text[], p_case_no text[], p_obo text[],
  p_origin text[], p_order_key text[], p_digest text[], p_accepted_at timestamptz[], p_token bytea[], p_receipt text[],
  d_row int[], d_id uuid[], d_recipient text[], d_state text[], d_alias_keys text[], d_division text[],
  d_deliver_by timestamptz[],
  c_row int[], c_contract text[], c_identifier text[], c_version text[], c_status text[], c_status_at timestamptz[],
  c_valid_to date[], c_holder_keys text[],
  p_refusal text[], c_pointer text[], c_data bytea[], c_token_digest text[]
) RETURNS TABLE (n int, pos bigint, exchange uuid, content_digest text, receipt text, refusal text)
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
    INSERT INTO replay AS r (iss, jti, exchange, content_digest, receipt, refusal)
    SELECT u.iss, u.jti, u.id, u.digest, u.receipt, u.refusal
    FROM unnest(p_iss, p_jti, p_id, p_digest, p_receipt, p_refusal) AS u(iss, jti, id, digest, receipt, refusal)
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
        (contract, identifier, version, status, status_at, valid_to, holder_keys, exchange, pointer, data, token_digest)
      SELECT DISTINCT ON (u.contract, u.identifier)
        u.contract, u.identifier, u.version, u.status, u.status_at, u.valid_to,
        string_to_array(u.holder_keys, ' '), p_id[u.row], u.pointer, u.data, u.token_digest
      FROM unnest(c_row, c_contract, c_identifier, c_version, c_status, c_status_at, c_valid_to, c_holder_keys,
          c_pointer, c_data, c_token_digest)
        WITH ORDINALITY AS u(row, contract, identifier, version, status, status_at, valid_to, holder_keys,
          pointer, data, token_digest, n)
      WHERE u.row = ANY (won)
      ORDER BY u.contract, u.identifier, u.version DESC, u.status_at DESC, u.n
      ON CONFLICT (contract, identifier) DO UPDATE SET
        version = excluded.version, status = excluded.status, status_at = excluded.status_at,
        valid_to = excluded.valid_to, holder_keys = excluded.holder_keys, exchange = excluded.exchange,
        pointer = excluded.pointer, data = excluded.data, token_digest = excluded.token_digest
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
      SELECT w.n, head + w.rank, NULL::uuid, NULL::text, NULL::text, NULL::text FROM unnest(won) WITH ORDINALITY AS w(n, rank);
  END IF;

  IF cardinality(won) < cardinality(p_id) THEN
    RETURN QUERY
      SELECT u.n::int, NULL::bigint, r.exchange, r.content_digest, r.receipt, r.refusal
      FROM unnest(p_iss, p_jti) WITH ORDINALITY AS u(iss, jti, n)
      JOIN replay AS r ON r.iss = u.iss AND r.jti = u.jti
      WHERE u.n <> ALL (won);
  END IF;
END $$`

const STATEMENTS = [
  `ALTER FUNCTION record_accesses RENAME TO record_accesses_singly`,
  // Counters begin anew each day: a plan that was kept from when there were few would read all of them for each row.
  `ALTER FUNCTION record_accesses_singly SET enable_seqscan = off`,
  RECORD_ACCESSES,
  `ALTER TABLE replay ADD COLUMN refusal text`,
  // All three null: the exchange's own data is the document. Sealed like a token.
  `ALTER TABLE document
     ADD COLUMN pointer text,
     ADD COLUMN data bytea,
     ADD COLUMN token_digest text`,
  // Who fetched one row of a load fetched none of the others, so the exchange alone does not tell what was read.
  `ALTER TABLE access_look_up ADD COLUMN exchange uuid`,
  `DROP FUNCTION log_commit`,
  LOG_COMMIT,
]
