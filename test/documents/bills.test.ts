import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { PROJECT_ROOT } from '#compose.ts'
import type { JsonObject } from '#kernel/json.ts'
import { application, newNumber, STATED } from '../gateway/messages.ts'
import { withDatabase } from '../support/database.ts'
import { openTestHub, type TestHub, type TestParty } from '../support/hub.ts'

const COMPANY = '91150402MADEM002XN'
const OTHER = '91150404MADEM00624'

const example = (file: string): JsonObject =>
  JSON.parse(readFileSync(join(PROJECT_ROOT, 'schemas/electricity-bill/examples/valid', `${file}.json`), 'utf8'))

withDatabase('the bills of an applicant', (databaseUrl) => {
  let hub: TestHub
  let platform: TestParty
  const mine = newNumber('ME')
  const theirs = newNumber('ME')
  const unpaid = example('unpaid')
  const accountNo = String(unpaid['accountNo'])
  beforeAll(async () => {
    hub = await openTestHub(databaseUrl)
    platform = hub.party('platform-chifeng')
    await publish(unpaid)
    await publish({ ...unpaid, billNo: 'DF202607-X', period: '2026-07', issuedOn: '2026-08-02', dueDate: '2026-08-20' })
    await publish(example('paid-by-one-of-two'))
    for (const [number, applicant] of [
      [mine, COMPANY],
      [theirs, OTHER],
    ] as const)
      expect((await hub.party('state-grid-east').push(application(number, { applicant }))).status).toBe(202)
    await hub.settle()
  })
  afterAll(() => hub.close())

  async function publish(data: JsonObject): Promise<void> {
    const message = { contract: 'electricity-bill@1', sub: String(data['billNo']), data }
    const answer = await hub.party('state-grid-east').push(message)
    expect(answer.status, answer.text).toBe(202)
  }

  const ask = (account: string, caseNo: string, change: object = {}) =>
    platform.ask({ ...STATED, contract: 'bill-status@1', purpose: 'bill-payment', sub: account, caseNo, ...change })

  async function answered(account: string, caseNo: string): Promise<JsonObject> {
    const answer = await ask(account, caseNo)
    expect(answer.status, answer.text).toBe(200)
    return await hub.verified(answer.text)
  }
  const bills = (claims: JsonObject) => (claims['documents'] as JsonObject[]).map(({ data }) => data)

  test('are told to the platform of the case, by account, with the granted fields and no names', async () => {
    const told = bills(await answered(accountNo, mine)) as JsonObject[]
    expect(told.map(({ billNo }) => billNo).toSorted()).toEqual(['DF202607-X', unpaid['billNo']].toSorted())
    expect(told.find(({ billNo }) => billNo === unpaid['billNo'])).toEqual({
      ...{ billNo: unpaid['billNo'], period: '2026-08', amountFen: 1138520, paidFen: 0 },
      ...{ paymentState: 'UNPAID', dueDate: '2026-09-20' },
    })
  })

  test('an account of somebody else and one that does not exist are told alike', async () => {
    const [theirAccount, none] = [await answered(accountNo, theirs), await answered('0000000000', theirs)]
    expect(bills(theirAccount)).toEqual([])
    expect(theirAccount['parts']).toEqual(none['parts'])
    expect(bills(await answered('1504040000233', mine))).toEqual([])
  })

  test('a payment is a later status of the same bill', async () => {
    await publish({
      ...unpaid,
      ...{ paidFen: 1138520, paymentState: 'PAID', statusTime: '2026-09-10T09:00:00+08:00' },
    })
    await publish(unpaid)
    const told = bills(await answered(accountNo, mine)) as JsonObject[]
    expect(told.find(({ billNo }) => billNo === unpaid['billNo'])).toMatchObject({ paymentState: 'PAID' })
  })

  test('a utility may not ask, nor a platform for another purpose', async () => {
    const claims = { ...STATED, contract: 'bill-status@1', sub: accountNo, caseNo: mine, purpose: 'bill-payment' }
    expect((await hub.party('state-grid-east').ask(claims)).status).toBe(403)
    expect((await ask(accountNo, mine, { purpose: 'power-connection' })).status).toBe(403)
  })
})
