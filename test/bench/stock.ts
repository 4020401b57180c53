import { setTimeout as sleep } from 'node:timers/promises'
import pg from 'pg'
import { startHub } from './hub.ts'
import { type Asked, AUTHORITY, applicationToken, licenceToken, signerOf, UTILITY } from './licences.ts'
import type { World } from './world.ts'

/**
 * What a hub has stored for years. Whoever is asked for was sent through a hub: signed, receipted, projected, with an
 * open case. The others are rows of the same tables, indexes and sizes (the token, data and receipt of one that was sent),
 * written by SQL: signing a million would take longer than any bench.
 */
export interface Stock {
  /** Of the licences 0, 1, 2 … */
  readonly asked: readonly Asked[]
  /** Fills up to so many stored exchanges, each a document, and a case for each tenth. */
  growTo(count: number): Promise<void>
  close(): Promise<void>
}

const CHUNK = 20_000
const LINES = 1_000

export async function openStock(world: World, asked: number): Promise<Stock> {
  const found = await sendThroughHub(world, asked)
  const client = new pg.Client({ connectionString: world.databaseUrl, application_name: 'dianqiao-bench' })
  await client.connect()
  // Counting against the caps of a grant is part of a fetch; reaching them is not.
  await client.query('UPDATE access_grant SET cap_party = 1e9, cap_operator = 1e9, cap_subject = 1e9')
  let filled = 2 * asked
  return {
    asked: found,
    async growTo(count) {
      while (filled < count) {
        const more = Math.min(CHUNK, count - filled)
        await client.query(FILL, [filled, more])
        filled += more
      }
      await client.query('VACUUM (ANALYZE)')
      await client.query('CHECKPOINT')
    },
    close: () => client.end(),
  }
}

/** Licences and applications, as their senders would bring them. */
async function sendThroughHub(world: World, count: number): Promise<Asked[]> {
  const authority = signerOf(world.keysDir, AUTHORITY)
  const utility = signerOf(world.keysDir, UTILITY)
  const hub = await startHub({ ...world.hubEnv, ROLES: 'gateway,cases' })
  const found: Asked[] = []
  for (let from = 0; from < count; from += LINES) {
    const numbers = Array.from({ length: Math.min(LINES, count - from) }, (_, at) => from + at)
    const applications = numbers.map((n) => applicationToken(utility, n))
    const licences = numbers.map((n) => licenceToken(authority, n))
    await pushAll(hub.url, [...licences, ...applications.map((one) => one.token)])
    found.push(...applications.map((one) => one.asked))
  }
  await casesOpened(world, count)
  await hub.stop()
  return found
}

/** Pushes tokens in one batch; throws unless each gets a receipt. */
async function pushAll(hubUrl: string, tokens: readonly string[]): Promise<void> {
  const answer = await fetch(`${hubUrl}/v1/exchanges/batch`, {
    method: 'POST',
    headers: { 'content-type': 'application/x-ndjson' },
    body: tokens.map((token) => `${JSON.stringify({ token })}\n`).join(''),
  })
  const lines = (await answer.text()).trimEnd().split('\n')
  const bad = lines.slice(0, -1).find((line) => !line.includes('"receipt"'))
  if (bad !== undefined || lines.at(-1) !== `{"end":${tokens.length}}`) throw new Error(bad ?? lines.at(-1) ?? '')
}

async function casesOpened(world: World, count: number): Promise<void> {
  const client = new pg.Client({ connectionString: world.databaseUrl })
  await client.connect()
  try {
    for (;;) {
      const { rows } = await client.query<{ cases: number }>('SELECT count(*)::int AS cases FROM case_file')
      if (rows[0]?.cases === count) return
      await sleep(100)
    }
  } finally {
    await client.end()
  }
}

const FILL = `
  WITH sample AS (
    SELECT e.token, r.receipt, e.sub, d.data, d.token_digest
    FROM exchange e JOIN replay r ON r.exchange = e.id JOIN document d ON d.exchange = e.id
    WHERE e.contract = 'business-licence@1' AND e.iss = '${AUTHORITY}' ORDER BY e.id LIMIT 1
  ), filler AS MATERIALIZED (
    SELECT i, uuidv7() AS id, 'stock-' || i || '-' || substr(md5(i::text), 1, 20) AS jti,
      substr(translate(encode(sha256(('holder ' || i)::bytea), 'base64'), '+/', '-_'), 1, 22) AS key,
      substr(translate(encode(sha256(('number ' || i)::bytea), 'base64'), '+/', '-_'), 1, 22) AS lookup,
      now() - (i % 100000) * interval '1 second' AS at
    FROM generate_series($1::int + 1, $1::int + $2::int) AS i
  ), exchanges AS (
    INSERT INTO exchange (id, iss, jti, contract, sub, origin, order_key, token, accepted_at)
    SELECT f.id, '${AUTHORITY}', f.jti, 'business-licence@1', s.sub, 'party-signed', f.key, s.token, f.at
    FROM filler f, sample s
  ), replays AS (
    INSERT INTO replay (iss, jti, exchange, content_digest, receipt)
    SELECT '${AUTHORITY}', f.jti, f.id, f.key || substr(f.key, 1, 21), s.receipt FROM filler f, sample s
  ), logged AS (
    INSERT INTO log (pos, exchange) SELECT h.pos + f.i - $1::int, f.id FROM filler f, log_head h
  ), documents AS (
    INSERT INTO document (contract, identifier, version, status, status_at, valid_to, holder_keys, exchange, pointer,
      data, token_digest)
    SELECT 'business-licence@1', '1.2.156.3005.2.11100000MB0143028R001.1115000001150T050D.9' || lpad(i::text, 19, '0'),
      '001', 'ACTIVE', f.at, NULL, ARRAY[f.key, f.lookup], f.id, '', s.data, s.token_digest
    FROM filler f, sample s
  ), cases AS (
    INSERT INTO case_file (id, case_no, division, utility, state, opened_pos, opened_at)
    SELECT f.id, 'stock-' || f.i, '150402', '${UTILITY}', 'open', f.i, f.at FROM filler f WHERE f.i % 10 = 0
    RETURNING id, case_no
  ), aliases AS (
    INSERT INTO case_alias (key, scheme, issuer, number, case_id, pos)
    SELECT f.key, 'application-no', '${UTILITY}', 'stock-' || f.i, f.id, f.i FROM filler f WHERE f.i % 10 = 0
  ), parties AS (
    INSERT INTO case_party (case_id, party) SELECT f.id, '${UTILITY}' FROM filler f WHERE f.i % 10 = 0
  ), subjects AS (
    INSERT INTO case_subject (case_id, subject_key) SELECT f.id, f.key FROM filler f WHERE f.i % 10 = 0
  ), cursors AS (
    UPDATE log_cursor c SET pos = h.pos + $2::int FROM log_head h
  )
  UPDATE log_head SET pos = pos + $2::int`
