import { randomUUID } from 'node:crypto'
import { decodeJwt } from 'jose'
import { outTopic } from '#bus/topic-names.ts'
import type { JsonObject } from '#kernel/json.ts'
import type { HubAnswer, MessageInput } from '#sandbox/party-client.ts'
import { pushAccepted, type Scenario, seeded } from './scenario.ts'
import { eventually } from './stage.ts'

const STATE_GRID_EAST = 'state-grid-east'
const PUBLIC_SECURITY = 'public-security-nmg'
const MARKET_REGULATION = 'market-regulation-nmg'
const CHIFENG = 'platform-chifeng'
const COMPANY = '91150402MADEM002XN'
const FLAT = '蒙（2019）赤峰市不动产权第0004321号'
const FACTORY = '蒙（2021）赤峰市不动产权第0001234号'

/** Public security and the registrars publish what is verified later. */
export async function publishDocuments(scenario: Scenario): Promise<void> {
  scenario.stage.act({ zh: '身份证与不动产登记入库', en: 'Identity cards and property are published' })
  for (const { contract, sender, data } of scenario.seeds.documents) {
    const input = { contract, sub: String(data['certificateIdentifier']), data }
    await pushAccepted(scenario, sender, input, SENT[contract] ?? contract)
  }
}

const SENT: Readonly<Record<string, string>> = {
  'identity-card@1': '身份证 id card',
  'property-certificate@1': '不动产权 property',
  'property-registration-proof@1': '登记证明 proof',
}

/** One licence number, and the company's licence and property come with a verdict each. */
export async function oneLicenceBundle(scenario: Scenario): Promise<void> {
  scenario.stage.act({ zh: '一证办电：执照与不动产一次取得', en: 'One licence: licence and property at once' })
  await showVerdicts(scenario, '一证办电 bundle', 'valid,valid', () => companyBundle(scenario))
}

async function companyBundle(scenario: Scenario): Promise<HubAnswer> {
  const client = await scenario.client(STATE_GRID_EAST)
  const caseNo = `ME2026090700021-${scenario.run}`
  return client.ask({ contract: 'one-licence-bundle@1', sub: COMPANY, caseNo })
}

/** A face is never the only way: network number and counter open the same, a weak assertion opens nothing. */
export async function residentBundle(scenario: Scenario): Promise<void> {
  scenario.stage.act({ zh: '刷脸办电：人脸、网号、窗口同样有效', en: 'A resident, by face, network number or counter' })
  const face = { method: 'CTID_0x42', livenessPassed: true, consentRef: `consent-${scenario.run}` }
  const all = 'valid,valid,valid'
  for (const [sender, sent, change, expected] of [
    [PUBLIC_SECURITY, '人脸 face', face, all],
    [PUBLIC_SECURITY, '网号 network no.', { method: 'NET_ID' }, all],
    [CHIFENG, '窗口 counter', { method: 'COUNTER', assuranceLevel: 5 }, all],
    [PUBLIC_SECURITY, '低等级 level 3', { method: 'GOV_SSO', assuranceLevel: 3 }, 'insufficient,withheld,withheld'],
  ] as const) {
    const input = assertion(scenario, sender, change)
    await pushAccepted(scenario, sender, input, sent)
    await showVerdicts(scenario, sent, expected, () => askAboutResident(scenario, 'resident-bundle@1', input.sub))
  }
}

/** Whether the flat is the applicant's: yes or no, never whose it is instead. */
export async function propertyVerified(scenario: Scenario): Promise<void> {
  scenario.stage.act({ zh: '不动产核验：只答是否', en: 'Property is verified, not shown' })
  const ask = (number: string) => () => askAboutResident(scenario, 'property-verification@1', number)
  await showVerdicts(scenario, '本人 own', 'valid,not-found', ask(FLAT))
  await showVerdicts(scenario, '他人 another’s', 'not-found,not-found', ask(FACTORY))
}

async function askAboutResident(scenario: Scenario, contract: string, sub: string): Promise<HubAnswer> {
  const client = await scenario.client(STATE_GRID_EAST)
  return client.ask({ contract, sub, caseNo: `ME2026090900008-${scenario.run}` })
}

function assertion(scenario: Scenario, issuer: string, change: JsonObject): MessageInput {
  const assertionId = randomUUID()
  const now = Date.now()
  const data: JsonObject = {
    assertionId,
    issuer,
    subjectRef: 'NET-7f3a9c01d5e24b68',
    subjectRefType: 'NET_ID',
    idTypeCode: '111',
    assuranceLevel: 4,
    matchResult: 'MATCHED',
    verifiedAt: new Date(now - 60_000).toISOString(),
    expiresAt: new Date(now + 600_000).toISOString(),
    nonce: randomUUID(),
    bizSerial: `demo-${scenario.run}`,
    audience: STATE_GRID_EAST,
    purpose: 'power-connection',
    status: '01',
    statusTime: new Date(now - 60_000).toISOString(),
    ...change,
  }
  return { contract: 'identity-assertion@1', sub: assertionId, data }
}

/** The licence that was fetched is suspended, and restored: who fetched it is told each time, signed by the hub. */
export async function suspendedLicence(scenario: Scenario): Promise<void> {
  scenario.stage.act({ zh: '证照暂扣：告知曾调取者', en: 'A suspended licence and its feed' })
  const told: string[] = []
  const reading = await scenario.hub.core.bus.subscribe({
    topics: [outTopic(STATE_GRID_EAST)],
    group: `${STATE_GRID_EAST}.demo-${scenario.run}`,
    onBatch: async (messages) => {
      // What is personal travels wrapped (application/jose); a notice is not.
      const plain = messages.filter(({ headers }) => headers['content-type'] === 'application/jwt')
      told.push(...plain.map(({ value }) => value.toString('utf8')))
    },
  })
  try {
    await changeStatus(scenario, told, '02', '暂扣 suspended', 'SUSPENDED')
    await showVerdicts(scenario, '一证办电 bundle', 'suspended,valid', () => companyBundle(scenario))
    await changeStatus(scenario, told, '01', '恢复 restored', 'ACTIVE')
  } finally {
    await reading.close()
  }
}

async function changeStatus(
  scenario: Scenario,
  told: readonly string[],
  code: string,
  sent: string,
  status: string,
): Promise<void> {
  const { data } = seeded(scenario.seeds.licences, COMPANY)
  const changed = { ...data, status: code, statusTime: new Date().toISOString() }
  const input = { contract: 'business-licence@1', sub: COMPANY, data: changed }
  const exchange = await pushAccepted(scenario, MARKET_REGULATION, input, sent)
  const isAbout = (token: string): boolean => decodeJwt(token).sub === `${exchange}:${STATE_GRID_EAST}`
  const notice = await eventually(
    async () => told.find(isAbout),
    (token) => token !== undefined,
  )
  const client = await scenario.client(STATE_GRID_EAST)
  const said = notice === undefined ? undefined : (decodeJwt(notice)['data'] as JsonObject)['status']
  scenario.stage.play({
    from: 'dianqiao',
    to: STATE_GRID_EAST,
    sent: '状态通知 notice',
    expected: status,
    got: String(said ?? 'nothing'),
    verified: notice !== undefined && (await client.verifies(notice)),
  })
  const reference = `${exchange}:${STATE_GRID_EAST}`
  const effects = await eventually(
    async () =>
      scenario.hub.peers
        .get(STATE_GRID_EAST)
        ?.effects()
        .filter((one) => one.reference === reference) ?? [],
    (list) => list.length > 0,
  )
  scenario.stage.play({
    from: 'connector',
    to: STATE_GRID_EAST,
    sent: '状态通知 notice',
    expected: '1 effect',
    got: `${effects.length} effect`,
  })
}

/** Asks until the projection and the case are there, and shows the verdict of each part in turn. */
async function showVerdicts(
  scenario: Scenario,
  sent: string,
  expected: string,
  ask: () => Promise<HubAnswer>,
): Promise<void> {
  const answer = await eventually(ask, ({ status }) => status === 200)
  const parts = (answer.claims?.['parts'] ?? []) as unknown as { verdict: string }[]
  scenario.stage.play({
    from: STATE_GRID_EAST,
    to: 'dianqiao',
    sent,
    expected: `200 ${expected}`,
    got: `${answer.status} ${answer.code ?? parts.map(({ verdict }) => verdict).join()}`,
    verified: answer.verified,
  })
}
