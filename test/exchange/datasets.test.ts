import { randomUUID } from 'node:crypto'
import { readFileSync } from 'node:fs'
import path from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { PROJECT_ROOT } from '#compose.ts'
import { businessJti } from '#exchange/rights.ts'
import { atPointer, type JsonObject } from '#kernel/json.ts'
import { withDatabase } from '../support/database.ts'
import { at, openTestHub, type TestHub } from '../support/hub.ts'

const EAST = 'state-grid-east'
const CHIFENG = 'platform-chifeng'
const ENERGY = 'energy-nmg'

const example = (name: string, file: string): JsonObject =>
  JSON.parse(readFileSync(path.join(PROJECT_ROOT, 'schemas', name, 'examples/valid', `${file}.json`), 'utf8'))

/** Contract, valid example, sender, and who must get it. */
const DATASETS: readonly (readonly [string, string, string, readonly string[]])[] = [
  ['approval-acceptance', 'accepted', CHIFENG, [EAST]],
  ['approval-acceptance', 'told-once', CHIFENG, [EAST]],
  ['approval-supplement', 'started', CHIFENG, [EAST]],
  ['approval-special-procedure', 'extension', CHIFENG, [EAST]],
  ['approval-step', 'examined', CHIFENG, [EAST]],
  ['approval-served', 'electronic', CHIFENG, [EAST]],
  ['approval-revocation', 'false-commitment', CHIFENG, [EAST]],
  ['connection-progress', 'low-voltage', EAST, [CHIFENG]],
  ['connection-progress', 'high-voltage-under-way', 'inner-mongolia-power', ['platform-hohhot']],
  ['manager-assignment', 'assigned', EAST, [CHIFENG]],
  ['appointment', 'requested', CHIFENG, [EAST]],
  ['appointment', 'moved', EAST, [CHIFENG]],
  ['not-my-area', 'neighbour', EAST, [CHIFENG]],
  ['investment-decision', 'small-enterprise', EAST, [CHIFENG]],
  ['charge-notice', 'zero-charge', EAST, [CHIFENG]],
  ['outage-notice', 'planned', EAST, [CHIFENG]],
  ['repair-progress', 'located', EAST, [CHIFENG]],
  ['restoration-notice', 'all-back', EAST, [CHIFENG]],
  ['reliability-indicator', 'final', EAST, [ENERGY]],
  ['power-contract', 'electronic', EAST, []],
  ['electricity-bill', 'unpaid', EAST, []],
  ['service-evaluation', 'bad-with-tag', CHIFENG, [EAST]],
  ['evaluation-rectification', 'put-right', EAST, [CHIFENG]],
  ['public-disclosure', 'fee-catalogue', EAST, [CHIFENG]],
  ['tariff-notice', 'industrial', 'development-reform-nmg', ['inner-mongolia-power', 'platform-nmg', EAST]],
  ['policy-delivery-record', 'by-app', EAST, [CHIFENG]],
  ['violation-referral', 'feedback', ENERGY, [EAST]],
]

withDatabase('the datasets of the ledger', (databaseUrl) => {
  let hub: TestHub
  beforeAll(async () => {
    hub = await openTestHub(databaseUrl)
    const opened = await send('power-application', example('power-application', 'low-voltage-enterprise'), CHIFENG)
    expect(opened.status, opened.text).toBe(202)
    await hub.settle()
  })
  afterAll(() => hub.close())

  async function send(name: string, data: JsonObject, sender: string) {
    const found = hub.core.contracts.get(`${name}@1`)
    const sub = String(atPointer(data, found?.sub ?? ''))
    const by = found?.idempotency
    const claims = by?.by === 'business-key' ? { jti: businessJti(`${name}@1`, sub, atPointer(data, by.revision)) } : {}
    return await hub.party(sender).push({ contract: `${name}@1`, sub, data }, claims)
  }

  async function recipients(receipt: string, sender: string): Promise<unknown[]> {
    await hub.settle()
    const { exchange } = await hub.verified(receipt)
    const { json } = await hub.party(sender).get(`/v1/exchanges/${String(exchange)}`)
    return (json['deliveries'] as JsonObject[]).map(({ recipient }) => recipient).sort()
  }

  test.each(DATASETS)('%s (%s) of %s goes to %j', async (name, file, sender, wanted) => {
    const answer = await send(name, example(name, file), sender)
    expect(answer.status, answer.text).toBe(202)
    expect(await recipients(answer.text, sender)).toEqual(wanted)
  })

  test('a referral without files goes to the energy authority', async () => {
    const { evidence: _left, ...data } = example('violation-referral', 'referral')
    const answer = await send('violation-referral', data, EAST)
    expect(await recipients(answer.text, EAST)).toEqual([ENERGY])
  })

  test.each([
    ['connection-progress', 'low-voltage', CHIFENG],
    ['approval-step', 'examined', EAST],
    ['tariff-notice', 'industrial', EAST],
    ['reconciliation-report', 'quiet-day', EAST],
    ['violation-referral', 'feedback', CHIFENG],
  ])('%s (%s) is refused from %s, who has no such role', async (name, file, sender) => {
    const answer = await send(name, example(name, file), sender)
    expect([answer.status, answer.json['code']]).toEqual([403, 'right.missing'])
  })

  test.each([
    ['outage-notice', 'orderly-use', EAST],
    ['service-evaluation', 'good', CHIFENG],
  ])('%s: one key and revision is one message, and other content under it a conflict', async (name, file, sender) => {
    const first = await send(name, example(name, file), sender)
    const again = await send(name, example(name, file), sender)
    expect([first.status, again.status, again.text]).toEqual([202, 200, first.text])
    const other = await send(name, { ...example(name, file), remarks: '另一份' }, sender)
    expect([other.status, other.json['code']]).toEqual([409, 'exchange.conflict'])
  })

  test('an outage that changes is another revision of it, behind the first in the order of its outage', async () => {
    const [planned, moved] = [example('outage-notice', 'planned'), example('outage-notice', 'moved')]
    expect([planned['poweroffId'], moved['changeNo']]).toEqual([moved['poweroffId'], 1])
    expect((await send('outage-notice', moved, EAST)).status).toBe(202)
  })

  test('an acceptance teaches the case its affair number, so that what follows is routed by it', async () => {
    const data = example('approval-acceptance', 'accepted')
    const affairNo = `NEW-${randomUUID()}`
    expect((await send('approval-acceptance', { ...data, affairNo }, CHIFENG)).status).toBe(202)
    await hub.settle()
    const step = await send('approval-step', { ...example('approval-step', 'examined'), affairNo }, CHIFENG)
    expect(await recipients(step.text, CHIFENG)).toEqual([EAST])
    const { json } = await hub.party(EAST).get(`/v1/cases/${affairNo}`)
    expect((at(json, 0, 'events') as JsonObject[]).map(({ contract }) => contract)).toEqual(
      expect.arrayContaining(['approval-acceptance@1', 'approval-step@1', 'power-contract@1', 'connection-progress@1']),
    )
  })

  test('of a list of recipients each is told, the sender is left out, and one that nobody knows stays unrouted', async () => {
    const data = { ...example('tariff-notice', 'industrial'), noticeNo: 'DJ2026-100' }
    const told = ['development-reform-nmg', EAST, 'nobody-here']
    const answer = await send('tariff-notice', { ...data, recipients: told }, 'development-reform-nmg')
    expect(await recipients(answer.text, 'development-reform-nmg')).toEqual([null, EAST])
  })

  test('whoever is told can acknowledge it, the energy and price authorities too', async () => {
    const data = { ...example('reliability-indicator', 'final'), indicatorNo: 'KKX-ACK' }
    const answer = await send('reliability-indicator', data, EAST)
    const { exchange } = await hub.verified(answer.text)
    const { json } = await hub.party(EAST).get(`/v1/exchanges/${String(exchange)}`)
    const delivery = String(at(json, 'deliveries', 0, 'delivery'))
    const outcome = { delivery, outcome: 'applied', at: new Date().toISOString() }
    const ack = await send('delivery-ack', { outcomes: [outcome] }, ENERGY)
    expect(ack.status, ack.text).toBe(202)
  })
})
