import { sql } from 'kysely'
import type { Db } from '../db.ts'

/**
 * `record_accesses_together` of 0018 for rows that come in the order of (iss, jti), in which two batches wait for each
 * other: sorting them here, with their tokens, cost a fifth of it. The cap is one for a grant and scope, and is not
 * looked up for each name. What does not fit raises DQ001, a (iss, jti) that was used before unique_violation. Processes
 * of the version before still call 0018's.
 *
 * The key of the counters begins with what tells them apart: three columns that are the same in most of them were
 * compared at every step down the index.
 */
export async function up(db: Db): Promise<void> {
  for (const statement of [RECORD_BATCH, COUNTERS_BY_NAME]) await sql.raw(statement).execute(db)
}

const COUNTERS_BY_NAME = `
ALTER TABLE grant_usage DROP CONSTRAINT grant_usage_pkey, ADD PRIMARY KEY (day, name, scope, access_grant)`

const RECORD_BATCH = `
CREATE FUNCTION record_accesses_batch(
  k_under text[], k_day date[], k_scope text[], k_name text[], k_more int[],
  c_under text[], c_scope text[], c_cap int[], c_all_count boolean[],
  p_iss text[], p_jti text[], p_contract text[], p_subject_key text[], p_case_id uuid[], p_session text[],
  p_consent_issuer text[], p_consent_ref text[], p_purpose text[], p_legal_basis text[], p_item text[],
  p_operator text[], p_grant text[], p_fields text[], p_documents text[], p_token bytea[], p_answer_digest text[],
  p_answered_at timestamptz[]
) RETURNS int LANGUAGE plpgsql AS $$
DECLARE
  exceeded int;
BEGIN
  WITH counted AS (
    INSERT INTO grant_usage AS u (access_grant, day, scope, name, used)
    SELECT k.under, k.day, k.scope, k.name, k.more
    FROM unnest(k_under, k_day, k_scope, k_name, k_more) AS k(under, day, scope, name, more) ORDER BY 1, 2, 3, 4
    ON CONFLICT (access_grant, day, scope, name) DO UPDATE SET used = u.used + excluded.used
    RETURNING u.access_grant, u.scope, u.used
  )
  SELECT 1 INTO exceeded FROM counted u
  JOIN unnest(c_under, c_scope, c_cap, c_all_count) AS c(under, scope, cap, all_count)
    ON c.under = u.access_grant AND c.scope = u.scope
  WHERE u.used > c.cap OR (u.used = c.cap AND NOT c.all_count) LIMIT 1;
  IF FOUND THEN RAISE EXCEPTION USING ERRCODE = 'DQ001'; END IF;

  INSERT INTO access_record (iss, jti, contract, subject_key, case_id, session, consent_issuer, consent_ref, purpose,
    legal_basis, item, operator, access_grant, fields, documents, token, answer_digest, answered_at)
  SELECT u.iss, u.jti, u.contract, u.subject_key, u.case_id, u.session, u.consent_issuer, u.consent_ref, u.purpose,
    u.legal_basis, u.item, u.operator, u.access_grant, u.fields::text[], u.documents::uuid[], u.token, u.answer_digest,
    u.answered_at
  FROM unnest(p_iss, p_jti, p_contract, p_subject_key, p_case_id, p_session, p_consent_issuer, p_consent_ref, p_purpose,
      p_legal_basis, p_item, p_operator, p_grant, p_fields, p_documents, p_token, p_answer_digest, p_answered_at)
    AS u(iss, jti, contract, subject_key, case_id, session, consent_issuer, consent_ref, purpose,
      legal_basis, item, operator, access_grant, fields, documents, token, answer_digest, answered_at);

  -- The last statement, so that it sees every withdrawal that was committed while this one waited for a counter.
  IF EXISTS (
    SELECT FROM unnest(p_consent_issuer, p_consent_ref) AS u(issuer, ref)
    WHERE u.ref IS NOT NULL AND consent_withdrawn_at(u.issuer, u.ref) IS NOT NULL
  ) THEN RAISE EXCEPTION USING ERRCODE = 'DQ001'; END IF;
  RETURN cardinality(p_iss);
END $$`
