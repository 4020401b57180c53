import { randomUUID } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest'
import type { JsonObject } from '#kernel/json.ts'
import { withDatabase } from '../support/database.ts'
import { type Answer, at, ndjson, openTestHub, type TestHub, type TestParty } from '../support/hub.ts'
import { newNumber, result } from './messages.ts'
import { type Line, openLine } from './outage.ts'

withDatabase('the gateway while the database is gone', (databaseUrl) => {
  let hub: TestHub
  let line: Line
  let chifeng: TestParty
  beforeAll(async () => {
    line = await openLine(databaseUrl)
    hub = await openTestHub(line.url)
    chifeng = hub.party('platform-chifeng')
  })
  let isCut = false
  async function cut(): Promise<void> {
    await line.cut()
    isCut = true
  }
  /** Mends the line and waits until the hub says that it is ready. */
  async function mend(): Promise<void> {
    if (isCut) await line.mend()
    isCut = false
    for (let tries = 0; tries < 100; tries++) {
      if ((await hub.request('/health/ready')).status === 200) return
      await sleep(50)
    }
  }
  afterEach(mend)
  afterAll(async () => {
    await hub.close()
    await line.cut()
  })

  function expectOutage(answer: Answer): void {
    expect([answer.status, answer.json['code']], answer.text).toEqual([503, 'hub.store_unavailable'])
    expect(Number(answer.headers.get('retry-after'))).toBeGreaterThan(0)
    expect(answer.json).not.toHaveProperty('refusal')
    expect(answer.text).not.toMatch(/ECONN|127\.0\.0\.1|postgres/i)
  }

  test('ready is 503 and says why, live stays 200', async () => {
    await cut()
    const ready = await hub.request('/health/ready')
    expect(ready.status).toBe(503)
    expect(ready.json).toEqual({ status: 'not-ready', causes: ['database: not reachable'] })
    expect((await hub.request('/health/live')).status).toBe(200)
    expect((await hub.request('/v1/time')).status).toBe(200)
    await mend()
    expect((await hub.request('/health/ready')).status).toBe(200)
  })

  test('nothing is accepted and nothing refused: 503, and the same jti is accepted later', async () => {
    const message = result(newNumber())
    const claims = { jti: randomUUID() }
    const unrecordable = chifeng.exchange(result('A-1', { resultState: 'yes' }))
    await cut()
    expectOutage(await chifeng.push(message, claims))
    expectOutage(await hub.post('/v1/exchanges', unrecordable))
    await mend()
    expect((await chifeng.push(message, claims)).status).toBe(202)
    expect((await hub.post('/v1/exchanges', unrecordable)).status).toBe(422)
  })

  test('an expired token is not called expired while nobody can say whether it was accepted', async () => {
    const message = result(newNumber())
    const jti = randomUUID()
    const first = await chifeng.push(message, { jti })
    const stale = { jti, iat: Math.floor(Date.now() / 1000) - 500, exp: Math.floor(Date.now() / 1000) - 100 }
    await cut()
    expectOutage(await chifeng.push(message, stale))
    await mend()
    expect((await chifeng.push(message, stale)).text).toBe(first.text)
  })

  test('each line of a batch is told 503, and so is whoever reads', async () => {
    const tokens = Array.from({ length: 5 }, () => chifeng.exchange(result(newNumber())))
    const body = tokens.map((token) => JSON.stringify({ token })).join('\n')
    await cut()
    const batch = await hub.post('/v1/exchanges/batch', body, { 'content-type': 'application/x-ndjson' })
    const lines = ndjson(batch.text)
    expect(lines.at(-1)).toEqual({ end: 5 })
    for (const told of lines.slice(0, 5)) expect(at(told, 'problem', 'code')).toBe('hub.store_unavailable')
    expectOutage(await chifeng.get(`/v1/exchanges/${randomUUID()}`))
    expectOutage(await chifeng.get('/v1/cases/A-1'))
    expectOutage(await chifeng.get('/v1/inbox'))
    const query: JsonObject = {
      contract: 'business-licence-query@1',
      sub: '91150402MADEM002XN',
      purpose: 'power-connection',
      legalBasis: 'duty',
      item: '11150000MB0000000X2000199001000',
      operator: 'staff-0042',
      caseNo: 'A-1',
    }
    expectOutage(await hub.party('state-grid-east').ask(query))
  })

  test('on a register that is over 5 s old nobody is let in, and ready says so', async () => {
    await cut()
    await sleep(6_200)
    expect((await hub.request('/health/ready')).json['causes']).toContain('register: not refreshed for 5 s')
    expectOutage(await chifeng.push(result(newNumber())))
    expectOutage(await chifeng.get('/v1/inbox'))
    await mend()
    expect((await chifeng.push(result(newNumber()))).status).toBe(202)
  })
})
