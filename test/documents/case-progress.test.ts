import { sql } from 'kysely'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { validateData } from '#contracts/validate.ts'
import type { JsonObject } from '#kernel/json.ts'
import { affair, application, newNumber, result, STATED } from '../gateway/messages.ts'
import { withDatabase } from '../support/database.ts'
import { openTestHub, type TestHub } from '../support/hub.ts'

const EAST = 'state-grid-east'
const WEST = 'inner-mongolia-power'
const CHIFENG = 'platform-chifeng'

withDatabase('the progress of a case, asked as a query', (databaseUrl) => {
  let hub: TestHub
  const applicationNo = newNumber('CP')
  const affairNo = newNumber('CP')
  beforeAll(async () => {
    hub = await openTestHub(databaseUrl)
    const opened = application(applicationNo, { aliases: [affair(CHIFENG, affairNo)] })
    expect((await hub.party(EAST).push(opened)).status).toBe(202)
    expect((await hub.party(CHIFENG).push(result(affairNo))).status).toBe(202)
    await hub.settle()
  })
  afterAll(() => hub.close())

  const ask = (party: string, number: string, change: object = {}) =>
    hub.party(party).ask({ ...STATED, contract: 'case-progress@1', sub: number, caseNo: number, ...change })

  async function refused(asked: ReturnType<typeof ask>): Promise<unknown[]> {
    const { status, json } = await asked
    return [status, json['code']]
  }

  async function documentsOf(party: string, number: string, change: object = {}): Promise<JsonObject[]> {
    const answer = await ask(party, number, change)
    expect(answer.status, answer.text).toBe(200)
    return (await hub.verified(answer.text))['documents'] as JsonObject[]
  }

  test.each([
    [EAST, applicationNo],
    [EAST, affairNo],
    [CHIFENG, affairNo],
  ])('is told to %s by any of its numbers, the same as at /v1/cases', async (party, number) => {
    const [progress] = (await hub.party(party).get(`/v1/cases/${number}`)).json as unknown as JsonObject[]
    const [told, ...others] = await documentsOf(party, number)
    expect(others).toEqual([])
    expect(told).toMatchObject({
      document: 'case-record@1',
      issuer: hub.core.config.hubId,
      proof: 'hub',
      verdict: 'valid',
    })
    expect(told?.['data']).toEqual(progress)
    const contract = hub.core.contracts.get('case-record@1')
    if (contract === undefined) throw new RangeError()
    expect(validateData(contract, told?.['data'] as JsonObject)).toEqual([])
    expect(told).toMatchObject({
      data: { events: [{ contract: 'power-application@1' }, { contract: 'approval-result@1' }] },
    })
  })

  test('only the members that are asked for leave, and what was told stands recorded', async () => {
    const [told] = await documentsOf(CHIFENG, affairNo, { fields: ['state', 'events'] })
    expect(Object.keys(told?.['data'] as JsonObject).toSorted()).toEqual(['events', 'state'])
    const { rows } = await sql`
      SELECT a.fields, l.provider, l.document, l.original_digest FROM access_record a
      JOIN access_look_up l ON l.iss = a.iss AND l.jti = a.jti
      WHERE a.iss = ${CHIFENG} AND a.contract = 'case-progress@1' ORDER BY l.id DESC LIMIT 1`.execute(hub.core.db)
    expect(rows).toEqual([
      {
        fields: ['state', 'events'],
        provider: hub.core.config.hubId,
        document: 'case-record@1',
        original_digest: told?.['originalDigest'],
      },
    ])
    expect(await refused(ask(CHIFENG, affairNo, { fields: ['applicant'] }))).toEqual([403, 'query.grant_missing'])
  })

  test('a case of others and one that does not exist are told alike', async () => {
    const [foreign, none] = [await ask(WEST, applicationNo), await ask(WEST, 'NOTHING-1')]
    expect([foreign.status, foreign.json['code']]).toEqual([403, 'query.case_mismatch'])
    expect(JSON.stringify(foreign.json['violations'])).toContain('编号不是本方在办办件')
    expect({ ...foreign.json, instance: '', refusal: '' }).toEqual({ ...none.json, instance: '', refusal: '' })
  })

  test('another purpose, another basis, a number that is not the claim’s, and one that is none are refused', async () => {
    const by = (change: object) => refused(ask(CHIFENG, affairNo, change))
    expect(await by({ purpose: 'bill-payment' })).toEqual([403, 'query.grant_missing'])
    expect(await by({ legalBasis: 'contract' })).toEqual([403, 'query.grant_missing'])
    expect(await by({ sub: applicationNo })).toEqual([422, 'contract.rule_violated'])
    expect(await by({ sub: 'NO SPACES' })).toEqual([422, 'contract.schema_violated'])
    expect(await refused(ask('platform-wuhai', affairNo))).toEqual([403, 'query.grant_missing'])
  })
})
