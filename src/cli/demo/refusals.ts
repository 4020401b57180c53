import type { JsonObject } from '#kernel/json.ts'
import type { MessageInput, PartyClient } from '#sandbox/party-client.ts'
import { show } from './acts.ts'
import { renumber, type Scenario, seeded } from './scenario.ts'

/** Every refusal is coded, and signed by the hub once the token could be read. */
export async function refusals(scenario: Scenario): Promise<void> {
  scenario.stage.act({ zh: '拒绝：明确、签名、可追溯', en: 'Refusals: coded, signed, recorded' })
  const chifeng = await scenario.client('platform-chifeng')
  const result = renumber(scenario, 'approval-result@1', seeded(scenario.seeds.results, '150402-20260907-00017'))
  const refuse = async (sent: string, expected: string, input: MessageInput): Promise<void> =>
    show(scenario, sent, expected, await chifeng.push(input))

  show(scenario, '伪造签名 forged', '401 token.signature_invalid', await chifeng.pushToken(forge(chifeng, result)))
  const foreign = { ...result, claims: { iss: 'platform-hohhot' } }
  show(scenario, '他方 kid foreign', '401 token.key_foreign', await chifeng.push(foreign))
  const past = Math.floor(Date.now() / 1000) - 60
  await refuse('过期 expired', '401 token.expired', { ...result, claims: { iat: past - 60, exp: past } })
  await refuse('模式 schema', '422 contract.schema_violated', {
    ...result,
    data: { ...result.data, resultState: 'yes' },
  })
  await refuse('规则 CEL rule', '422 contract.rule_violated', {
    ...result,
    data: { ...without(result.data, 'opinion'), resultState: '13' },
  })
  const licence = seeded(scenario.seeds.licences, '91150402MADEM002XN')
  await refuse('无权 no right', '403 right.missing', renumber(scenario, 'business-licence@1', licence))
  await refuse('未知合同 contract', '422 contract.unknown', { ...result, contract: 'approval-outcome@1' })

  const jti = `conflict-${scenario.run}-1`
  show(scenario, '结果 result', '202 receipt', await chifeng.push({ ...result, jti }))
  const other = { ...result, jti, data: { ...result.data, remarks: '另一内容' } }
  show(scenario, '同 jti 异文 other', '409 exchange.conflict', await chifeng.push(other))

  const utility = await scenario.client('inner-mongolia-power')
  const answer = await utility.ask({
    contract: 'business-licence-query@1',
    sub: '91150402MADEM002XN',
    caseNo: `ME2026090700021-${scenario.run}`,
  })
  show(scenario, '他人办件 case', '403 query.case_mismatch', answer, undefined, 'inner-mongolia-power')
}

/** The payload is exchanged after signing. */
function forge(client: PartyClient, input: MessageInput): string {
  const [header, payload, signature] = client.exchangeToken(input).split('.') as [string, string, string]
  const claims = JSON.parse(Buffer.from(payload, 'base64url').toString('utf8')) as JsonObject
  const forged = { ...claims, data: { ...(claims['data'] as JsonObject), resultState: '13' } }
  return `${header}.${Buffer.from(JSON.stringify(forged)).toString('base64url')}.${signature}`
}

function without(data: JsonObject, name: string): JsonObject {
  return Object.fromEntries(Object.entries(data).filter(([key]) => key !== name))
}
