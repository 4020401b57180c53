import { randomUUID } from 'node:crypto'
import type { JsonObject } from '#kernel/json.ts'
import type { MessageInput } from '#sandbox/party-client.ts'
import { pushAccepted, type Scenario, seeded } from './scenario.ts'
import { eventually } from './stage.ts'

const STATE_GRID_EAST = 'state-grid-east'
const MARKET_REGULATION = 'market-regulation-nmg'
const CHIFENG = 'platform-chifeng'
const COMPANY = '91150402MADEM002XN'

/** A company disputes its licence through the platform: readers see it, the authority corrects, whoever had it is told. */
export async function disputedLicence(scenario: Scenario): Promise<void> {
  scenario.stage.act({
    zh: '数据异议与更正：告知所有收到旧值者',
    en: 'A disputed licence is corrected; who had it is told',
  })
  await showFetched(scenario, 'valid', '')
  const dispute = disputeOf(scenario)
  const disputed = await pushAccepted(scenario, CHIFENG, dispute, '异议 dispute')
  await showFetched(scenario, 'disputed', ' premises')
  await showPulled(scenario, MARKET_REGULATION, disputed, '异议 dispute')
  const version = correctedLicence(scenario)
  await pushAccepted(scenario, MARKET_REGULATION, version, '新版本 version 2')
  const correction = correctionOf(scenario, dispute, version)
  const corrected = await pushAccepted(scenario, MARKET_REGULATION, correction, '更正 correction')
  await showPulled(scenario, CHIFENG, corrected, '更正 correction')
  await showTold(scenario, corrected)
  await showFetched(scenario, 'valid', '')
}

const identifierOf = (scenario: Scenario): string =>
  String(seeded(scenario.seeds.licences, COMPANY).data['certificateIdentifier'])

function disputeOf(scenario: Scenario): MessageInput {
  const disputeNo = `CF-YY-${scenario.run}-0001`
  const data: JsonObject = {
    disputeNo,
    provider: MARKET_REGULATION,
    document: { contract: 'business-licence@1', identifier: identifierOf(scenario) },
    fields: ['premises'],
    reason: '住所门牌号有误，应为 12 号',
    raisedBy: 'SUBJECT',
    raisedAt: new Date().toISOString(),
  }
  return { contract: 'data-dispute@1', sub: disputeNo, data }
}

function correctedLicence(scenario: Scenario): MessageInput {
  const { data } = seeded(scenario.seeds.licences, COMPANY)
  const changed = {
    ...data,
    certificateVersion: '002',
    premises: '内蒙古自治区赤峰市红山区示例街 12 号',
    statusTime: new Date().toISOString(),
  }
  return { contract: 'business-licence@1', sub: COMPANY, data: changed, jti: randomUUID() }
}

function correctionOf(scenario: Scenario, dispute: MessageInput, version: MessageInput): MessageInput {
  const correctionNo = `SJ-GZ-${scenario.run}-0001`
  const data: JsonObject = {
    correctionNo,
    document: { contract: 'business-licence@1', identifier: identifierOf(scenario) },
    dispute: { issuer: CHIFENG, disputeNo: dispute.sub },
    outcome: 'CORRECTED',
    fields: ['premises'],
    newVersion: { iss: MARKET_REGULATION, jti: String(version.jti) },
    decidedAt: new Date().toISOString(),
  }
  return { contract: 'data-correction@1', sub: correctionNo, data }
}

/** What the utility reads of the licence now: its verdict, and which members are disputed. */
async function showFetched(scenario: Scenario, verdict: string, fields: string): Promise<void> {
  const client = await scenario.client(STATE_GRID_EAST)
  const caseNo = `ME2026090700021-${scenario.run}`
  const read = async () => {
    const answer = await client.ask({ contract: 'business-licence-query@1', sub: COMPANY, caseNo })
    const [licence] = (answer.claims?.['documents'] ?? []) as unknown as {
      verdict: string
      disputed?: { field: string }[]
    }[]
    const disputed = licence?.disputed?.map(({ field }) => ` ${field}`).join('') ?? ''
    return { answer, got: `${answer.status} ${licence?.verdict ?? answer.code}${disputed}` }
  }
  const expected = `200 ${verdict}${fields}`
  const { answer, got } = await eventually(read, (now) => now.got === expected)
  scenario.stage.play({
    from: STATE_GRID_EAST,
    to: 'dianqiao',
    sent: '查询 query',
    expected,
    got,
    verified: answer.verified,
  })
}

async function showPulled(scenario: Scenario, party: string, exchange: string, sent: string): Promise<void> {
  const client = await scenario.client(party)
  const { body } = await eventually(
    () => client.get('/v1/inbox?limit=100&wait=1'),
    (answer) => deliveriesIn(answer.body).some((one) => one.exchange === exchange),
  )
  const isThere = deliveriesIn(body).some((one) => one.exchange === exchange)
  scenario.stage.play({
    from: 'dianqiao',
    to: party,
    sent,
    expected: 'pulled',
    got: isThere ? 'pulled' : 'nothing',
  })
}

const deliveriesIn = (body: JsonObject): { exchange: string }[] =>
  (body['deliveries'] ?? []) as unknown as { exchange: string }[]

/** The utility's own system takes in what the hub tells it of the correction. */
async function showTold(scenario: Scenario, corrected: string): Promise<void> {
  const peer = scenario.hub.peers.get(STATE_GRID_EAST)
  const reference = `${corrected}:${STATE_GRID_EAST}`
  const effects = await eventually(
    async () => peer?.effects().filter((one) => one.reference === reference) ?? [],
    (list) => list.length > 0,
  )
  const [told] = peer?.requests().filter((one) => one.reference === reference) ?? []
  scenario.stage.play({
    from: 'connector',
    to: STATE_GRID_EAST,
    sent: '更正通知 notice',
    expected: 'CORRECTED, 1 effect',
    got: `${String((told?.body as JsonObject | undefined)?.['change'])}, ${effects.length} effect`,
  })
}
