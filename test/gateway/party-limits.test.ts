import { afterAll, beforeAll, expect, test, vi } from 'vitest'
import { createPartyLimits } from '#exchange/party-limits.ts'
import type { Party } from '#exchange/party-register.ts'
import { withDatabase } from '../support/database.ts'
import { ndjson, openTestHub, type TestHub } from '../support/hub.ts'
import { newNumber, result } from './messages.ts'

const BURST = 2

withDatabase('limits of a party', (databaseUrl) => {
  let hub: TestHub
  beforeAll(async () => {
    hub = await openTestHub(databaseUrl, { PARTY_PER_SECOND: '1' })
  })
  afterAll(() => hub.close())

  test('what is above a party’s allowance is 429 with Retry-After and not recorded; the others go on', async () => {
    const chifeng = hub.party('platform-chifeng')
    const first = chifeng.exchange(result(newNumber()))
    const unread = `${first.split('.')[0]}.AAAA.AAAA`
    expect((await hub.post('/v1/exchanges', unread)).json['code']).toBe('token.malformed')
    for (let n = 0; n < BURST; n++) expect((await hub.post('/v1/exchanges', first)).status).toBeLessThan(300)
    const refused = await chifeng.push(result(newNumber()))
    expect([refused.status, refused.json['code']]).toEqual([429, 'limit.exceeded'])
    expect(refused.json['refusal']).toBeUndefined()
    expect(Number(refused.headers.get('retry-after'))).toBeGreaterThan(0)
    expect((await chifeng.get('/v1/inbox')).status).toBe(429)
    // By its kid: the payload is not read.
    expect((await hub.post('/v1/exchanges', unread)).json['code']).toBe('limit.exceeded')
    expect((await hub.party('platform-hohhot').push(result(newNumber()))).status).toBe(202)
  })

  test('tokens that somebody else signed in its name cost a party nothing', async () => {
    const wuhai = hub.party('platform-wuhai')
    const token = wuhai.exchange(result(newNumber()))
    const forged = `${token.slice(0, -3)}${token.at(-3) === 'A' ? 'B' : 'A'}${token.slice(-2)}`
    for (let n = 0; n < 3 * BURST; n++) {
      expect((await hub.post('/v1/exchanges', forged)).json['code']).toBe('token.signature_invalid')
    }
    expect((await hub.post('/v1/exchanges', token)).status).toBe(202)
  })

  test('a wall clock that jumps ahead and is set back closes nobody out', async () => {
    const ningcheng = hub.party('platform-ningcheng')
    const ahead = vi.spyOn(Date, 'now').mockReturnValue(Date.now() + 600_000)
    const pushedAhead = await ningcheng.push(result(newNumber()))
    ahead.mockRestore()
    const pushedAfter = await ningcheng.push(result(newNumber()))
    expect([pushedAhead.status, pushedAfter.status]).toEqual([202, 202])
  })

  test('in a batch nothing behind a line that was not taken is tried', async () => {
    const baotou = hub.party('platform-baotou')
    const lines = Array.from({ length: 40 }, () => JSON.stringify({ token: baotou.exchange(result(newNumber())) }))
    const answer = await hub.post('/v1/exchanges/batch', lines.join('\n'), { 'content-type': 'application/x-ndjson' })
    const answers = ndjson(answer.text).slice(0, -1)
    const taken = answers.findIndex((line) => line['problem'] !== undefined)
    expect(taken).toBe(BURST)
    for (const line of answers.slice(taken))
      expect(line['problem']).toMatchObject({ code: 'limit.exceeded', status: 429 })
  })
})

const party = (limits: Partial<Party['limits']> = {}, roles = ['utility']): Party => ({
  id: 'one',
  nameZh: '一',
  nameEn: 'one',
  aliases: [],
  level: 'region',
  roles,
  divisions: [],
  channel: 'inbox',
  busDoor: false,
  status: 'active',
  limits: { perSecond: undefined, bytesPerSecond: undefined, inFlight: undefined, ...limits },
})

test('bytes count as requests do, and an allowance comes back with time', () => {
  let now = 0
  const limits = createPartyLimits(() => now, { perSecond: 1_000, bytesPerSecond: 100, inFlight: 10 })
  limits.spend(party(), 200)
  expect(() => limits.spend(party(), 1)).toThrow(expect.objectContaining({ code: 'limit.exceeded' }))
  expect(() => limits.requireAllowance('one')).toThrow(expect.objectContaining({ code: 'limit.exceeded' }))
  expect(() => limits.requireAllowance('another')).not.toThrow()
  now = 1_000
  limits.requireAllowance('one')
  limits.spend(party(), 50)
})

test('a party’s own limit goes before the default', () => {
  const limits = createPartyLimits(() => 0, { perSecond: 1, bytesPerSecond: 1e9, inFlight: 1 })
  const rich = party({ perSecond: 100, inFlight: 3 })
  for (let n = 0; n < 200; n++) limits.spend(rich, 1)
  expect(() => limits.spend(rich, 1)).toThrow()
  const leave = [limits.enter(rich), limits.enter(rich), limits.enter(rich)]
  expect(() => limits.enter(rich)).toThrow(expect.objectContaining({ code: 'limit.exceeded' }))
  leave[0]?.()
  limits.enter(rich)
})
