import { sql } from 'kysely'
import type { Db } from '../db.ts'

/**
 * `record_accesses` of 0017 for arrays: it reads no JSON and has no block to catch what does not fit, which costs a
 * subtransaction. Where a cap is reached, a (iss, jti) was used before or a consent was withdrawn it raises DQ001; its
 * caller then asks `record_accesses_singly`.
 */
export async function up(db: Db): Promise<void> {
  for (const statement of STATEMENTS) await sql.raw(statement).execute(db)
}

const RECORD_ALL = `
CREATE FUNCTION record_accesses_together(
  k_under text[], k_day date[], k_scope text[], k_name text[], k_cap int[], k_more int[], k_all_count boolean[],
  p_iss text[], p_jti text[], p_contract text[], p_subject_key text[], p_case_id uuid[], p_session text[],
  p_consent_issuer text[], p_consent_ref text[], p_purpose text[], p_legal_basis text[], p_item text[],
  p_operator text[], p_grant text[], p_fields text[], p_documents text[], p_token bytea[], p_answer_digest text[],
  p_answered_at timestamptz[]
) RETURNS int LANGUAGE plpgsql AS $$
DECLARE
  recorded int;
BEGIN
  WITH counted AS (
    INSERT INTO grant_usage AS u (access_grant, day, scope, name, used)
    SELECT k.under, k.day, k.scope, k.name, k.more
    FROM unnest(k_under, k_day, k_scope, k_name, k_more) AS k(under, day, scope, name, more) ORDER BY 1, 2, 3, 4
    ON CONFLICT (access_grant, day, scope, name) DO UPDATE SET used = u.used + excluded.used
    RETURNING u.access_grant, u.day, u.scope, u.name, u.used
  )
  SELECT 1 INTO recorded FROM counted c
  JOIN unnest(k_under, k_day, k_scope, k_name, k_cap, k_all_count) AS k(under, day, scope, name, cap, all_count)
    ON k.under = c.access_grant AND k.day = c.day AND k.scope = c.scope AND k.name = c.name
  WHERE c.used > k.cap OR (c.used = k.cap AND NOT k.all_count) LIMIT 1;
  IF FOUND THEN RAISE EXCEPTION USING ERRCODE = 'DQ001'; END IF;

  INSERT INTO access_record (iss, jti, contract, subject_key, case_id, session, consent_issuer, consent_ref, purpose,
    legal_basis, item, operator, access_grant, fields, documents, token, answer_digest, answered_at)
  SELECT u.iss, u.jti, u.contract, u.subject_key, u.case_id, u.session, u.consent_issuer, u.consent_ref, u.purpose,
    u.legal_basis, u.item, u.operator, u.access_grant, u.fields::text[], u.documents::uuid[], u.token, u.answer_digest,
    u.answered_at
  FROM unnest(p_iss, p_jti, p_contract, p_subject_key, p_case_id, p_session, p_consent_issuer, p_consent_ref, p_purpose,
      p_legal_basis, p_item, p_operator, p_grant, p_fields, p_documents, p_token, p_answer_digest, p_answered_at)
    AS u(iss, jti, contract, subject_key, case_id, session, consent_issuer, consent_ref, purpose,
      legal_basis, item, operator, access_grant, fields, documents, token, answer_digest, answered_at)
  ORDER BY u.iss, u.jti
  ON CONFLICT (iss, jti) DO NOTHING;
  GET DIAGNOSTICS recorded = ROW_COUNT;

  -- The last statement, so that it sees every withdrawal that was committed while this one waited for a counter.
  IF recorded < cardinality(p_iss) OR EXISTS (
    SELECT FROM unnest(p_consent_issuer, p_consent_ref) AS u(issuer, ref)
    WHERE u.ref IS NOT NULL AND consent_withdrawn_at(u.issuer, u.ref) IS NOT NULL
  ) THEN RAISE EXCEPTION USING ERRCODE = 'DQ001'; END IF;
  RETURN recorded;
END $$`

const STATEMENTS = [RECORD_ALL]
