import { afterAll, beforeAll, expect, test } from 'vitest'
import { withDatabase } from '../support/database.ts'
import { openTestHub, type TestHub } from '../support/hub.ts'

withDatabase('the catalogue', (databaseUrl) => {
  let hub: TestHub
  beforeAll(async () => {
    hub = await openTestHub(databaseUrl)
  })
  afterAll(() => hub.close())

  test('a contract is found by name and by major or full version, with all that it says', async () => {
    const { json: versions } = await hub.request('/v1/contracts/approval-result')
    expect(versions).toMatchObject({ name: 'approval-result', contracts: [{ ref: 'approval-result@1' }] })
    const { json: contract } = await hub.request('/v1/contracts/approval-result/1')
    expect(contract).toMatchObject({
      ref: 'approval-result@1',
      sub: '/affairNo',
      schemaDigest: expect.stringMatching(/^sha-256:/),
      privacy: expect.arrayContaining([expect.objectContaining({ pointer: '/handler', mask: 'name' })]),
    })
    expect((await hub.request(`/v1/contracts/approval-result/${String(contract['version'])}`)).json).toEqual(contract)
  })

  test('the rules of a contract are told with their expressions', async () => {
    const { json } = await hub.request('/v1/contracts/approval-result/1')
    expect(json['rules']).toContainEqual(
      expect.objectContaining({ id: 'refusal-states-reasons', expression: 'has(data.opinion)', severity: 'error' }),
    )
  })

  test('an earlier version of a schema stays readable', async () => {
    const { json } = await hub.request('/v1/schemas/approval-result/1.0.0.json')
    expect(json['$id']).toBe('approval-result/1.0.0.json')
  })

  test('the page of a contract comes in both languages as Markdown that no browser sniffs', async () => {
    const zh = await hub.request('/docs/contracts/approval-result@1')
    const en = await hub.request('/docs/contracts/approval-result@1?lang=en')
    expect(zh.text).toMatch(/^# 审批结果 `approval-result@1`/)
    expect(en.text).toMatch(/^# Approval result `approval-result@1`/)
    expect(en.headers.get('content-type')).toBe('text/markdown; charset=utf-8')
    expect(en.headers.get('x-content-type-options')).toBe('nosniff')
  })
})
