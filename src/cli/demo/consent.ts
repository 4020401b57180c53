import type { JsonObject } from '#kernel/json.ts'
import { pushAccepted, type Scenario, shown } from './scenario.ts'
import { eventually } from './stage.ts'

const STATE_GRID_EAST = 'state-grid-east'
const CHIFENG = 'platform-chifeng'
const PUBLIC_SECURITY = 'public-security-nmg'
const COMPANY = '91150402MADEM002XN'
const FLAT = '蒙（2019）赤峰市不动产权第0004321号'

/** A company consents through the platform, the utility fetches by that; withdrawn, nothing is given on it any more. */
export async function consentWithdrawn(scenario: Scenario): Promise<void> {
  scenario.stage.act({ zh: '授权同意与撤回', en: 'A consent, and its withdrawal' })
  const consentRef = `consent-wd-${scenario.run}`
  const now = new Date()
  await pushAccepted(scenario, CHIFENG, { contract: 'consent-grant@1', ...consentOf(consentRef, now) }, '同意 consent')
  const client = await scenario.client(STATE_GRID_EAST)
  const caseNo = `ME2026090700021-${scenario.run}`
  const question = { contract: 'business-licence-query@1', sub: COMPANY, caseNo, legalBasis: 'consent', consentRef }
  const answer = await eventually(
    () => client.ask(question),
    ({ status }) => status === 200,
  )
  const [licence] = (answer.claims?.['documents'] ?? []) as unknown as { data: JsonObject }[]
  const given = Object.keys(licence?.data ?? {})
  scenario.stage.play({
    from: STATE_GRID_EAST,
    to: 'dianqiao',
    sent: '凭同意查询 fetch',
    expected: '200 entityName,status',
    got: `${answer.status} ${given.toSorted().join()}`,
    verified: answer.verified,
  })
  const data = { consentRef, withdrawnAt: now.toISOString(), method: 'APP' }
  await pushAccepted(scenario, CHIFENG, { contract: 'consent-withdrawal@1', sub: consentRef, data }, '撤回 withdrawal')
  const refused = await client.ask(question)
  scenario.stage.play({
    from: STATE_GRID_EAST,
    to: 'dianqiao',
    sent: '撤回后查询 fetch',
    expected: '403 query.consent_missing',
    got: shown(refused),
    verified: refused.verified,
  })
}

function consentOf(consentRef: string, now: Date): { readonly sub: string; readonly data: JsonObject } {
  return {
    sub: consentRef,
    data: {
      consentRef,
      subject: { idTypeCode: '001', idNumber: COMPANY },
      givenBy: 'REPRESENTATIVE',
      recipient: STATE_GRID_EAST,
      purpose: 'power-connection',
      documents: [{ document: 'business-licence@1', fields: ['entityName', 'status'] }],
      validFrom: '2026-01-01',
      validTo: '2099-12-31',
      grantedAt: now.toISOString(),
      method: 'E_LICENCE_SCAN',
      noticeVersion: '2026-01',
    },
  }
}

/** Before there is a case: a fresh assertion opens a session, for one party, one purpose and one person. */
export async function beforeTheCase(scenario: Scenario): Promise<void> {
  scenario.stage.act({ zh: '立案之前：凭身份认证开启会话', en: 'Before the case: a session by an assertion' })
  const session = `session-${scenario.run}-0001`
  const authority = await scenario.client(PUBLIC_SECURITY)
  await pushAccepted(
    scenario,
    authority.id,
    { contract: 'identity-assertion@1', sub: session, data: assertionOf(session, new Date()) },
    '认证 assertion',
  )
  const client = await scenario.client(STATE_GRID_EAST)
  const question = { contract: 'property-verification@1', sub: FLAT, session }
  const answer = await eventually(
    () => client.ask(question),
    ({ status }) => status === 200,
  )
  const [part] = (answer.claims?.['parts'] ?? []) as unknown as { matched: boolean }[]
  scenario.stage.play({
    from: STATE_GRID_EAST,
    to: 'dianqiao',
    sent: '会话内核验 verify',
    expected: '200 matched',
    got: `${answer.status} ${part?.matched === true ? 'matched' : 'not matched'}`,
    verified: answer.verified,
  })
  const other = await (await scenario.client('inner-mongolia-power')).ask(question)
  scenario.stage.play({
    from: 'inner-mongolia-power',
    to: 'dianqiao',
    sent: '他方会话 session',
    expected: '403 query.case_mismatch',
    got: shown(other),
    verified: other.verified,
  })
}

function assertionOf(assertionId: string, now: Date): JsonObject {
  const verifiedAt = new Date(now.getTime() - 60_000).toISOString()
  return {
    assertionId,
    issuer: PUBLIC_SECURITY,
    subjectRef: 'NET-7f3a9c01d5e24b68',
    subjectRefType: 'NET_ID',
    idTypeCode: '111',
    method: 'NET_ID',
    assuranceLevel: 4,
    matchResult: 'MATCHED',
    verifiedAt,
    expiresAt: new Date(now.getTime() + 1_800_000).toISOString(),
    nonce: assertionId,
    bizSerial: assertionId,
    audience: STATE_GRID_EAST,
    purpose: 'power-connection',
    status: '01',
    statusTime: verifiedAt,
  }
}
