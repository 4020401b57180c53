import type { JsonObject } from '#kernel/json.ts'
import type { HubAnswer } from '#sandbox/party-client.ts'
import { deliveriesOf, pushAccepted, renumber, type Scenario, seeded, showAcknowledged, shown } from './scenario.ts'
import { eventually } from './stage.ts'

const STATE_GRID_EAST = 'state-grid-east'
const INNER_MONGOLIA_POWER = 'inner-mongolia-power'
const CHIFENG = 'platform-chifeng'
const HOHHOT = 'platform-hohhot'

/** Market regulation publishes the licences that are fetched later. */
export async function publishLicences(scenario: Scenario): Promise<void> {
  scenario.stage.act({ zh: '证照入库', en: 'Licences are published' })
  for (const number of ['91150402MADEM002XN', '91150105MADEM0089T']) {
    const message = seeded(scenario.seeds.licences, number)
    await pushAccepted(scenario, message.sender, renumber(scenario, 'business-licence@1', message), '执照 licence')
  }
}

/** Chifeng's result finds State Grid East, Hohhot's finds Inner Mongolia Power: by the case, never by a division. */
export async function resultsFindTheirUtility(scenario: Scenario): Promise<void> {
  scenario.stage.act({ zh: '审批结果自动反馈供电企业', en: 'Results reach the right utility by themselves' })
  const { applications, results } = scenario.seeds
  for (const [sender, application, result, utility] of [
    [CHIFENG, 'ME2026090700021', '150402-20260907-00017', STATE_GRID_EAST],
    [HOHHOT, 'MW-2026-09-0420', '150105202609100011', INNER_MONGOLIA_POWER],
  ] as const) {
    const opened = renumber(scenario, 'power-application@1', seeded(applications, application))
    const applied = await pushAccepted(scenario, sender, opened, '申请 application')
    await showAcknowledged(scenario, sender, applied, utility, '申请 application')
    const decided = renumber(scenario, 'approval-result@1', seeded(results, result))
    const exchange = await pushAccepted(scenario, sender, decided, '结果 result')
    await showAcknowledged(scenario, sender, exchange, utility, '结果 result')
  }
}

/** The utility files an application; the platform of the place pulls it and acknowledges. */
export async function platformPulls(scenario: Scenario): Promise<void> {
  scenario.stage.act({ zh: '供电企业受理，平台领取', en: 'A utility files, the platform pulls' })
  const message = seeded(scenario.seeds.applications, 'MW-2026-09-0415')
  const input = renumber(scenario, 'power-application@1', message)
  const exchange = await pushAccepted(scenario, INNER_MONGOLIA_POWER, input, '申请 application')
  const platform = await scenario.client(HOHHOT)
  const { body } = await eventually(
    () => platform.get('/v1/inbox?limit=10&wait=2'),
    (answer) => (answer.body['deliveries'] as unknown as unknown[]).length > 0,
  )
  const pulled = (body['deliveries'] as unknown as { delivery: string; exchange: string }[]).find(
    (one) => one.exchange === exchange,
  )
  scenario.stage.play({
    from: 'dianqiao',
    to: HOHHOT,
    sent: '申请 application',
    expected: 'pulled',
    got: pulled === undefined ? 'nothing' : 'pulled',
  })
  const delivery = String(pulled?.delivery)
  await pushAccepted(scenario, HOHHOT, acknowledgement(delivery, 'HS-0001'), '签收 ack')
  const [status] = await eventually(
    () => deliveriesOf(scenario, INNER_MONGOLIA_POWER, exchange),
    (list) => list.every((one) => one.state === 'acknowledged'),
  )
  scenario.stage.play({
    from: INNER_MONGOLIA_POWER,
    to: 'dianqiao',
    sent: '状态 status',
    expected: 'acknowledged HS-0001',
    got: `${status?.state} ${status?.recipientRef}`,
  })
}

const acknowledgement = (delivery: string, recipientRef: string) => ({
  contract: 'delivery-ack@1',
  sub: delivery,
  jti: delivery,
  data: { outcomes: [{ delivery, outcome: 'applied', recipientRef, at: new Date().toISOString() }] } as JsonObject,
})

/** Ningcheng's result, pushed through its league, comes before its application: it waits and then finds its way. */
export async function resultBeforeApplication(scenario: Scenario): Promise<void> {
  scenario.stage.act({ zh: '结果先于申请', en: 'A result that comes before its application' })
  const { applications, results } = scenario.seeds
  const result = renumber(scenario, 'approval-result@1', seeded(results, '150429-20260911-00002'))
  const exchange = await pushAccepted(scenario, CHIFENG, result, '宁城结果 result')
  const [waiting] = await deliveriesOf(scenario, CHIFENG, exchange)
  scenario.stage.play({
    from: CHIFENG,
    to: 'dianqiao',
    sent: '状态 status',
    expected: 'unrouted',
    got: String(waiting?.state),
  })
  const application = renumber(scenario, 'power-application@1', seeded(applications, 'ME2026091100005'))
  await pushAccepted(scenario, CHIFENG, application, '宁城申请 apply')
  await showAcknowledged(scenario, CHIFENG, exchange, STATE_GRID_EAST, '宁城结果 result')
}

/** The same push again answers the original receipt, byte for byte, however it is signed. */
export async function samePushAgain(scenario: Scenario): Promise<void> {
  scenario.stage.act({ zh: '重复推送', en: 'The same push again' })
  const client = await scenario.client(CHIFENG)
  const message = seeded(scenario.seeds.results, '150402-20260907-00017')
  const input = { ...renumber(scenario, 'approval-result@1', message), jti: `again-${scenario.run}-000001` }
  const first = await client.push(input)
  show(scenario, '结果 result', '202 receipt', first)
  const second = await client.push(input)
  const same = second.token === first.token ? shown(second) : 'another receipt'
  show(scenario, '同 jti 重签 again', '200 original receipt', second, same)
}

/** The peer answers 500 twice and recovers: three attempts, one effect, one acknowledgement. */
export async function peerRecovers(scenario: Scenario): Promise<void> {
  scenario.stage.act({ zh: '对端故障两次后恢复', en: 'A peer that fails twice and recovers' })
  const peer = scenario.hub.peers.get(STATE_GRID_EAST)
  const message = seeded(scenario.seeds.applications, 'ME2026090900008')
  const application = renumber(scenario, 'power-application@1', message)
  peer?.faults.next([{ kind: 'status', status: 500, times: 2, reference: application.sub }])
  const exchange = await pushAccepted(scenario, CHIFENG, application, '申请 application')
  await showAcknowledged(scenario, CHIFENG, exchange, STATE_GRID_EAST, '申请 application')
  const attempts = peer?.requests().filter((request) => request.reference === application.sub).length ?? 0
  scenario.stage.play({
    from: 'connector',
    to: STATE_GRID_EAST,
    sent: '请求 HTTP request',
    expected: '3 attempts',
    got: `${attempts} attempts`,
  })
}

/** One licence, for one open case, only the granted fields, answered with a signature. */
export async function licenceFetch(scenario: Scenario): Promise<void> {
  scenario.stage.act({ zh: '一证办电：在线获取营业执照', en: 'A licence is fetched for one case' })
  const client = await scenario.client(STATE_GRID_EAST)
  const caseNo = `ME2026090700021-${scenario.run}`
  const answer = await eventually(
    () => client.ask({ contract: 'business-licence-query@1', sub: '91150402MADEM002XN', caseNo }),
    ({ status }) => status === 200,
  )
  const documents = (answer.claims?.['documents'] ?? []) as unknown as { status: string; data: JsonObject }[]
  const licence = documents[0]
  const leaked = licence !== undefined && ('businessScope' in licence.data || 'holders' in licence.data)
  scenario.stage.play({
    from: STATE_GRID_EAST,
    to: 'dianqiao',
    sent: '查询 query',
    expected: '200 ACTIVE, granted only',
    got: `${answer.status} ${licence?.status ?? 'none'}, ${leaked ? 'too much' : 'granted only'}`,
    verified: answer.verified,
  })
}

/** How far the case is, told to its utility by the utility's own number. */
export async function caseProgress(scenario: Scenario): Promise<void> {
  scenario.stage.act({ zh: '办件进展：供电企业按申请编号查询', en: 'The utility asks how far the case is' })
  const client = await scenario.client(STATE_GRID_EAST)
  const caseNo = `ME2026090700021-${scenario.run}`
  const answer = await client.ask({ contract: 'case-progress@1', sub: caseNo, caseNo, fields: ['state', 'events'] })
  const documents = (answer.claims?.['documents'] ?? []) as unknown as { data: JsonObject }[]
  const { state, events = [] } = (documents[0]?.data ?? {}) as { state?: string; events?: readonly JsonObject[] }
  const opened = events[0]?.['contract']
  scenario.stage.play({
    from: STATE_GRID_EAST,
    to: 'dianqiao',
    sent: '查询 query',
    expected: '200 open, began with power-application@1',
    got: `${answer.status} ${state ?? 'none'}, began with ${String(opened)}`,
    verified: answer.verified,
  })
}

export function show(
  scenario: Scenario,
  sent: string,
  expected: string,
  answer: HubAnswer,
  got?: string,
  from = CHIFENG,
): void {
  scenario.stage.play({ from, to: 'dianqiao', sent, expected, got: got ?? shown(answer), verified: answer.verified })
}
