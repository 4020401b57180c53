import { sql } from 'kysely'
import type { Db } from '../db.ts'

/**
 * Records accesses, many at once, and counts them against their caps: never more than a cap, whatever number of
 * gateways count at the same time. The rows of `grant_usage` are locked first and in one order. An access whose consent
 * was withdrawn by now is not recorded, and so not answered.
 */
export async function up(db: Db): Promise<void> {
  for (const statement of [...COLUMNS, RECORD_ACCESSES]) await sql.raw(statement).execute(db)
}

// What an access rested on beside its grant: a consent where that was its legal basis, and a session in place of a case.
const COLUMNS = [
  `ALTER TABLE access_record
     ALTER COLUMN case_id DROP NOT NULL,
     ADD COLUMN consent_issuer text,
     ADD COLUMN consent_ref text,
     ADD COLUMN session text`,
  `CREATE INDEX access_by_consent ON access_record (consent_ref) WHERE consent_ref IS NOT NULL`,
]

const RECORD_ACCESSES = `
CREATE FUNCTION record_accesses(rows jsonb) RETURNS TABLE (n int, outcome text) LANGUAGE plpgsql AS $$
DECLARE
  one record;
  full_scope text;
BEGIN
  INSERT INTO grant_usage AS u (access_grant, day, scope, name, used)
  SELECT c->>'under', (r->>'day')::date, c->>'scope', c->>'name', 0
  FROM jsonb_array_elements(rows) r, jsonb_array_elements(r->'caps') c
  GROUP BY 1, 2, 3, 4 ORDER BY 1, 2, 3, 4
  ON CONFLICT (access_grant, day, scope, name) DO UPDATE SET used = u.used;

  FOR one IN
    SELECT (e.ordinality - 1)::int AS n, e.value AS r FROM jsonb_array_elements(rows) WITH ORDINALITY e
    ORDER BY e.value->>'iss', e.value->>'jti'
  LOOP
    n := one.n;
    IF EXISTS (SELECT FROM access_record a WHERE a.iss = one.r->>'iss' AND a.jti = one.r->>'jti') THEN
      outcome := 'replayed'; RETURN NEXT; CONTINUE;
    END IF;
    IF one.r->>'consent_ref' IS NOT NULL
      AND consent_withdrawn_at(one.r->>'consent_issuer', one.r->>'consent_ref') IS NOT NULL THEN
      outcome := 'withdrawn'; RETURN NEXT; CONTINUE;
    END IF;
    SELECT c->>'scope' INTO full_scope
    FROM jsonb_array_elements(one.r->'caps') c JOIN grant_usage u
      ON u.access_grant = c->>'under' AND u.day = (one.r->>'day')::date
        AND u.scope = c->>'scope' AND u.name = c->>'name'
    WHERE u.used >= (c->>'cap')::int LIMIT 1;
    IF full_scope IS NOT NULL THEN
      outcome := full_scope; RETURN NEXT; CONTINUE;
    END IF;
    INSERT INTO access_record (iss, jti, contract, subject_key, case_id, purpose, legal_basis, item, operator,
      access_grant, fields, documents, token, answer_digest, answered_at, consent_issuer, consent_ref, session)
    SELECT x.iss, x.jti, x.contract, x.subject_key, x.case_id, x.purpose, x.legal_basis, x.item, x.operator,
      x."grant", x.fields, x.documents, x.token, x.answer_digest, x.answered_at, x.consent_issuer, x.consent_ref,
      x.session
    FROM jsonb_to_record(one.r) AS x(iss text, jti text, contract text, subject_key text, case_id uuid, purpose text,
      legal_basis text, item text, operator text, "grant" text, fields text[], documents uuid[], token text,
      answer_digest text, answered_at timestamptz, consent_issuer text, consent_ref text, session text)
    ON CONFLICT (iss, jti) DO NOTHING;
    IF NOT FOUND THEN
      outcome := 'replayed'; RETURN NEXT; CONTINUE;
    END IF;
    UPDATE grant_usage u SET used = u.used + 1
    FROM jsonb_array_elements(one.r->'caps') c
    WHERE u.access_grant = c->>'under' AND u.day = (one.r->>'day')::date
      AND u.scope = c->>'scope' AND u.name = c->>'name' AND (c->>'counts')::boolean;
    outcome := 'recorded'; RETURN NEXT;
  END LOOP;
END $$`
