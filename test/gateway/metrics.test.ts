import { randomUUID } from 'node:crypto'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { OpenAPIHono } from '@hono/zod-openapi'
import { sql } from 'kysely'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { composeGateway, composeOperations } from '#compose-gateway.ts'
import type { GaugeSources } from '#gateway/metric-gauges.ts'
import { createMetrics } from '#gateway/metrics.ts'
import { HubError } from '#kernel/errors.ts'
import { withDatabase } from '../support/database.ts'
import { HUB_URL, openTestHub, type TestHub, type TestParty } from '../support/hub.ts'
import { affair, application, newNumber, result } from './messages.ts'

const TOKEN = 'a-token-of-the-operators'
const LOCAL = { incoming: { socket: { remoteAddress: '127.0.0.1' }, headers: {} } }
const REMOTE = { incoming: { socket: { remoteAddress: '192.0.2.7' }, headers: {} } }

/** The samples of a page: `name{labels}` → value. */
function samples(page: string): Map<string, number> {
  const lines = page.split('\n').filter((line) => line !== '' && !line.startsWith('#'))
  return new Map(lines.map((line) => [line.slice(0, line.lastIndexOf(' ')), Number(line.slice(line.lastIndexOf(' ')))]))
}

withDatabase('the metrics of a hub', (databaseUrl) => {
  let hub: TestHub
  let chifeng: TestParty
  const scratch = mkdtempSync(join(tmpdir(), 'dianqiao-metrics-'))
  const tokenFile = join(scratch, 'token')
  beforeAll(async () => {
    hub = await openTestHub(databaseUrl)
    chifeng = hub.party('platform-chifeng')
    writeFileSync(tokenFile, `${TOKEN}\n`)
  })
  afterAll(async () => {
    rmSync(scratch, { recursive: true })
    await hub.close()
  })

  /** A page that was read after this call began: the gauges are kept for a quarter of a second. */
  async function page(): Promise<Map<string, number>> {
    await new Promise((resolve) => setTimeout(resolve, 270))
    return samples(await hub.core.metrics.render())
  }

  const ask = (app: OpenAPIHono, env: object, headers: Record<string, string> = {}) =>
    app.request(`${HUB_URL}/metrics`, { headers }, env)

  test('what a party sent is counted by contract and outcome, what was refused by code', async () => {
    const counted = async (labels: string): Promise<number> => (await page()).get(labels) ?? 0
    const token = chifeng.exchange(result(newNumber()))
    await hub.post('/v1/exchanges', token)
    await hub.post('/v1/exchanges', token)
    await chifeng.push(result(newNumber(), { resultState: 'no such state' }))
    const series = (outcome: string): string =>
      `dianqiao_exchanges_total{contract="approval-result@1",party="platform-chifeng",outcome="${outcome}"}`
    expect(await counted(series('accepted'))).toBe(1)
    const now = samples(await hub.core.metrics.render())
    expect(now.get(series('replayed'))).toBe(1)
    expect(now.get(series('refused'))).toBe(1)
    expect(now.get('dianqiao_refusals_total{party="platform-chifeng",code="contract.schema_violated"}')).toBe(1)
    expect(now.get('dianqiao_accept_seconds_count{door="http"}')).toBe(3)
    expect(now.get('dianqiao_batch_rows_sum')).toBeGreaterThanOrEqual(1)
  })

  test('queries are counted like exchanges', async () => {
    const utility = hub.party('state-grid-east')
    await utility.ask({
      contract: 'no-such-query@1',
      sub: 'x',
      purpose: 'p',
      legalBasis: 'duty',
      item: 'i',
      operator: 'o',
    })
    const now = samples(await hub.core.metrics.render())
    expect(now.get('dianqiao_queries_total{contract="unknown",party="state-grid-east",outcome="refused"}')).toBe(1)
    expect(now.get('dianqiao_query_seconds_count')).toBe(1)
  })

  test('nothing that a sender makes up becomes a label', async () => {
    await chifeng.push({ contract: 'made-up-by-me@7', sub: 'x', data: {} })
    await hub.post('/v1/exchanges', chifeng.exchange(result(newNumber()), { iss: 'made-up-party' }))
    await hub.post('/v1/exchanges', 'no token')
    const text = await hub.core.metrics.render()
    expect(text).not.toMatch(/made-up/)
    const now = samples(text)
    expect(now.get('dianqiao_exchanges_total{contract="unknown",party="platform-chifeng",outcome="refused"}')).toBe(1)
    expect(now.get('dianqiao_exchanges_total{contract="unknown",party="unproven",outcome="refused"}')).toBe(2)
  })

  test('a page holds no number of a case, no person, no jti and no token', async () => {
    const number = newNumber()
    const jti = randomUUID()
    const message = application(number, { aliases: [affair('platform-chifeng', newNumber('A'))] })
    const answer = await hub.party('state-grid-east').push(message, { jti })
    expect(answer.status).toBe(202)
    const applicant = message.data['applicant'] as { idNumber: string; name: string }
    await page()
    const text = await hub.core.metrics.render()
    for (const secret of [number, jti, applicant.idNumber, applicant.name, answer.text])
      expect(text).not.toContain(secret)
    const labels = [...text.matchAll(/(\w+)="([^"]*)"/g)].map(([, label]) => label)
    const allowed =
      /^(?:contract|party|recipient|outcome|code|state|reader|consumer|stage|topic|group|loop|level|door|le)$/
    expect(labels.filter((label) => !allowed.test(label ?? ''))).toEqual([])
  })

  test('deliveries show by contract, recipient and state with the age of the oldest, readers with their lag', async () => {
    await hub.settle()
    const number = newNumber('A')
    await chifeng.push(result(number))
    const waiting = 'contract="approval-result@1",recipient="",state="unrouted"'
    const before = await page()
    const unrouted = before.get(`dianqiao_deliveries{${waiting}}`) ?? 0
    expect(unrouted).toBeGreaterThanOrEqual(1)
    expect(before.get('dianqiao_reader_lag_positions{reader="cases"}')).toBe(1)
    expect(before.get('dianqiao_reader_lag_seconds{reader="cases"}')).toBeGreaterThan(0.2)
    await sql`UPDATE delivery SET accepted_at = now() - interval '2 hours' WHERE state = 'unrouted'`.execute(
      hub.core.db,
    )
    await hub.party('state-grid-east').push(application(newNumber(), { aliases: [affair('platform-chifeng', number)] }))
    const between = await page()
    expect(between.get(`dianqiao_delivery_oldest_seconds{${waiting}}`)).toBeGreaterThan(7_190)
    await hub.settle()
    const after = await page()
    expect(after.get(`dianqiao_deliveries{${waiting}}`) ?? 0).toBe(unrouted - 1)
    expect(
      after.get('dianqiao_deliveries{contract="approval-result@1",recipient="state-grid-east",state="published"}'),
    ).toBeGreaterThanOrEqual(1)
    expect(after.get('dianqiao_reader_lag_positions{reader="cases"}')).toBe(0)
    expect(after.get('dianqiao_reader_lag_seconds{reader="cases"}')).toBe(0)
  })

  test('what died or expired shows for a day', async () => {
    const { db } = hub.core
    await sql`UPDATE delivery SET state = 'expired', settled_at = now() - interval '25 hours'
      WHERE id = (SELECT id FROM delivery WHERE state = 'unrouted' LIMIT 1)`.execute(db)
    expect([...(await page()).keys()].filter((name) => name.startsWith('dianqiao_deliveries_failed'))).toEqual([])
    await sql`UPDATE delivery SET settled_at = now() WHERE state = 'expired'`.execute(db)
    expect(
      (await page()).get('dianqiao_deliveries_failed{contract="approval-result@1",recipient="",state="expired"}'),
    ).toBe(1)
  })

  test('inbox, blocked keys, dead letters, acknowledgements and breakers show by connector', async () => {
    const { db } = hub.core
    const row = (event: string, key: string, state: string) => sql`
      INSERT INTO inbox (consumer, event_id, source, order_key, contract, token, receipt, state, landed_at)
      VALUES ('c1', ${event}, 's', ${key}, 'approval-result@1', 't', 'r', ${state}, now() - interval '100 seconds')`
    await row('e1', 'k1', 'landed').execute(db)
    await row('e2', 'k2', 'parked').execute(db)
    await row('e3', 'k3', 'delivered').execute(db)
    await sql`INSERT INTO inbox_lane (consumer, order_key, next_at, blocked_by) VALUES
      ('c1', 'k1', now(), NULL), ('c1', 'k2', 'infinity', 'e2')`.execute(db)
    await sql`INSERT INTO dead_letter (consumer, event_id, stage, code, resolution) VALUES
      ('c1', 'e2', 'confirm', 'peer.timeout', NULL), ('c1', 'e9', 'send', 'peer.rejected', 'skipped')`.execute(db)
    await sql`INSERT INTO ack_outbox (consumer, jti, data, token, expires_at, next_at) VALUES
      ('c1', 'j1', '{}', 't', now(), now()), ('c1', 'j2', '{}', 't', now(), NULL)`.execute(db)
    await sql`INSERT INTO endpoint_breaker (consumer, state, cause, probe_in_ms)
      VALUES ('c1', 'open', 'peer.unavailable', 1)`.execute(db)
    const now = await page()
    expect(now.get('dianqiao_inbox{consumer="c1",state="landed"}')).toBe(1)
    expect(now.get('dianqiao_inbox{consumer="c1",state="parked"}')).toBe(1)
    expect(now.get('dianqiao_inbox{consumer="c1",state="delivered"}')).toBeUndefined()
    expect(now.get('dianqiao_inbox_oldest_seconds{consumer="c1",state="parked"}')).toBeGreaterThanOrEqual(100)
    expect(now.get('dianqiao_inbox_blocked_keys{consumer="c1"}')).toBe(1)
    expect(now.get('dianqiao_dead_letters{consumer="c1",stage="confirm"}')).toBe(1)
    expect(now.get('dianqiao_dead_letters{consumer="c1",stage="send"}')).toBeUndefined()
    expect(now.get('dianqiao_ack_outbox{consumer="c1"}')).toBe(1)
    expect(now.get('dianqiao_breaker_state{consumer="c1",state="open"}')).toBe(1)
    await sql`UPDATE endpoint_breaker SET state = 'closed'`.execute(db)
    const mended = await page()
    expect(mended.get('dianqiao_breaker_state{consumer="c1",state="open"}')).toBeUndefined()
    expect(mended.get('dianqiao_breaker_state{consumer="c1",state="closed"}')).toBe(1)
  })

  test('files show by state, with what they take; what was purged takes nothing', async () => {
    const insert = (digest: string, state: string, stored: number) => sql`
      INSERT INTO file (digest, owner, bytes, media_type, state, stored, writer)
      VALUES (${digest}, 'platform-chifeng', 900, 'application/ofd', ${state}, ${stored}, gen_random_uuid())`
    await insert('a', 'complete', 900).execute(hub.core.db)
    await insert('b', 'uploading', 300).execute(hub.core.db)
    await insert('c', 'purged', 0).execute(hub.core.db)
    const now = await page()
    expect(now.get('dianqiao_files{state="complete"}')).toBe(1)
    expect(now.get('dianqiao_file_bytes{state="complete"}')).toBe(900)
    expect(now.get('dianqiao_file_bytes{state="uploading"}')).toBe(300)
    expect(now.get('dianqiao_files{state="purged"}')).toBeUndefined()
  })

  test('the bus shows how far behind each reader of this process is', async () => {
    const reader = { topic: 'dx.in.platform-nmg', group: 'nobody-yet' }
    hub.core.busReaders.push(reader)
    await hub.core.bus.publish(reader.topic, [{ key: 'k', value: 'v', headers: {} }])
    const now = await page()
    expect(now.get('dianqiao_bus_lag_messages{topic="dx.in.platform-nmg",group="nobody-yet"}')).toBe(1)
    expect(now.get('dianqiao_bus_up')).toBe(1)
  })

  test('without a token only the same machine may read, and not through a proxy', async () => {
    const local = await ask(hub.app, LOCAL)
    expect([local.status, local.headers.get('content-type')]).toEqual([200, 'text/plain; version=0.0.4; charset=utf-8'])
    const unknown = await hub.request('/no-such-resource')
    for (const [env, headers] of [
      [REMOTE, {}],
      [{}, {}],
      [LOCAL, { 'x-forwarded-for': '192.0.2.7' }],
      [LOCAL, { forwarded: 'for=192.0.2.7' }],
    ] as const) {
      const refused = await ask(hub.app, env, headers)
      const problem = (await refused.json()) as Record<string, unknown>
      expect(refused.status).toBe(404)
      expect({ ...problem, instance: '' }).toEqual({ ...unknown.json, instance: '' })
    }
  })

  test('with a token it is asked of everybody', async () => {
    const core = { ...hub.core, config: { ...hub.core.config, metricsTokenFile: tokenFile } }
    const app = composeGateway(core, () => HUB_URL)
    expect((await ask(app, REMOTE, { authorization: `Bearer ${TOKEN}` })).status).toBe(200)
    expect((await ask(app, LOCAL)).status).toBe(404)
    expect((await ask(app, LOCAL, { authorization: `Bearer ${TOKEN}x` })).status).toBe(404)
    writeFileSync(join(scratch, 'short'), 'short')
    const config = { ...hub.core.config, metricsTokenFile: join(scratch, 'short') }
    expect(() => composeGateway({ ...hub.core, config }, () => HUB_URL)).toThrow(HubError)
  })

  test('with a port of its own the metrics leave the parties’ port', async () => {
    const core = { ...hub.core, config: { ...hub.core.config, operationsPort: 0 } }
    expect(
      (
        await ask(
          composeGateway(core, () => HUB_URL),
          LOCAL,
        )
      ).status,
    ).toBe(404)
    const operations = composeOperations(core)
    expect(await (await ask(operations, LOCAL)).text()).toContain('dianqiao_ready 1')
    expect((await operations.request('/health/live')).status).toBe(200)
    expect(await (await operations.request('/health/ready')).json()).toEqual({ status: 'ready', causes: [] })
    expect((await operations.request('/v1/time')).status).toBe(404)
  })
})

describe('when something does not answer', () => {
  const backlog = async () => ({
    open: [],
    failed: [],
    readers: [{ reader: 'cases', positions: 7, seconds: 1 }],
    inbox: [],
    blockedKeys: [],
    deadLetters: [],
    ackOutbox: [],
    breakers: [],
  })
  const sources = (changes: Partial<GaugeSources> = {}) => ({
    backlog,
    files: async () => [{ state: 'complete', count: 2, bytes: 9 }],
    disputes: async () => [{ provider: 'market-regulation-nmg', state: 'overdue', count: 1 } as const],
    queue: () => ({ rows: 5, bytes: 900 }),
    queueLimits: { rows: 10, bytes: 1_000 },
    notReady: async () => [],
    clockOffsetMs: async () => 1_500,
    vaultSeconds: () => 100_000,
    busReaders: () => [{ topic: 't', group: 'g' }],
    busLag: async () => 3,
    isContract: () => true,
    ...changes,
  })
  const failing = () => Promise.reject(new Error('down'))

  test('the page still comes: what is unknown is left out, and said', async () => {
    const metrics = createMetrics(
      sources({ backlog: failing, busLag: failing, clockOffsetMs: failing, notReady: failing }),
    )
    const now = samples(await metrics.render())
    expect(now.get('dianqiao_store_up')).toBe(0)
    expect(now.get('dianqiao_bus_up')).toBe(0)
    expect(now.get('dianqiao_ready')).toBe(0)
    expect(now.has('dianqiao_reader_lag_positions{reader="cases"}')).toBe(false)
    expect(now.has('dianqiao_clock_offset_seconds')).toBe(false)
    expect(now.get('dianqiao_queue_rows')).toBe(5)
  })

  test('a question that never ends holds no page up', { timeout: 15_000 }, async () => {
    const never = () => new Promise<never>(() => undefined)
    const now = samples(await createMetrics(sources({ backlog: never })).render())
    expect(now.get('dianqiao_store_up')).toBe(0)
    expect(now.get('dianqiao_bus_lag_messages{topic="t",group="g"}')).toBe(3)
  })

  test('the fuller of both bounds is the fullness, and the clock shows in seconds', async () => {
    const now = samples(await createMetrics(sources()).render())
    expect(now.get('dianqiao_queue_fullness')).toBe(0.9)
    expect(now.get('dianqiao_clock_offset_seconds')).toBe(1.5)
    expect(now.get('dianqiao_disputes{provider="market-regulation-nmg",state="overdue"}')).toBe(1)
    expect(now.get('dianqiao_reader_lag_positions{reader="cases"}')).toBe(7)
  })

  test('readers at the same time cost the database one question', async () => {
    let asked = 0
    const metrics = createMetrics(
      sources({
        backlog: async () => {
          asked++
          return backlog()
        },
      }),
    )
    await Promise.all(Array.from({ length: 20 }, () => metrics.render()))
    await metrics.render()
    expect(asked).toBe(1)
  })

  test.each([
    ['hub.busy', 'failed'],
    ['vault.key_unavailable', 'failed'],
    ['right.missing', 'refused'],
  ] as const)('%s is counted as %s', async (code, outcome) => {
    const metrics = createMetrics(sources())
    metrics.exchangeJudged({ party: 'p', contract: 'c@1', outcome: code, door: 'http', seconds: 0.1 })
    const now = samples(await metrics.render())
    expect(now.get(`dianqiao_exchanges_total{contract="c@1",party="p",outcome="${outcome}"}`)).toBe(1)
  })

  test('a first error counts as an increase', async () => {
    const metrics = createMetrics(sources())
    metrics.loopStarted('relay')
    const before = samples(await metrics.render())
    expect(before.get('dianqiao_log_entries_total{level="error"}')).toBe(0)
    expect(before.get('dianqiao_loop_errors_total{loop="relay"}')).toBe(0)
    metrics.logged('error')
    metrics.loopFailed('relay')
    const after = samples(await metrics.render())
    expect(after.get('dianqiao_log_entries_total{level="error"}')).toBe(1)
    expect(after.get('dianqiao_loop_errors_total{loop="relay"}')).toBe(1)
  })
})
