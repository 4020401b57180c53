import { HubError } from '#kernel/errors.ts'
import type { JsonObject } from '#kernel/json.ts'
import type { HubAnswer } from '#sandbox/party-client.ts'
import type { AnswerDocument } from '#trust/answer-claims.ts'
import type { AnswerLookUp } from '#trust/answer-lookup.ts'
import type { Scenario } from './scenario.ts'
import { eventually } from './stage.ts'

const STATE_GRID_EAST = 'state-grid-east'
const INNER_MONGOLIA_POWER = 'inner-mongolia-power'

/** A licence and an identity are asked for live; then the library is down, and the hub's own licence stands in. */
export async function liveLookUps(scenario: Scenario): Promise<void> {
  scenario.stage.act({ zh: '实时查询与对端停机', en: 'Live look-ups, and a library that is down' })
  const library = scenario.hub.lookUpPeers.get('licence-library')
  if (library === undefined) throw new HubError('seed.invalid')
  await licence(scenario, STATE_GRID_EAST, '91150402MADEM002XN', 'ME2026090700021', 'live ACTIVE, proof issuer')
  await licence(scenario, STATE_GRID_EAST, '91150402MADEM002XN', 'ME2026090700021', 'cached ACTIVE, proof issuer')
  await person(scenario)
  library.faults.next([{ kind: 'reset', times: 1_000 }])
  await licence(scenario, INNER_MONGOLIA_POWER, '91150105MADEM0089T', 'MW-2026-09-0420', 'fallback ACTIVE, proof hub')
  library.faults.clear()
}

async function licence(scenario: Scenario, from: string, uscc: string, number: string, expected: string) {
  const caseNo = `${number}-${scenario.run}`
  const answer = await asked(scenario, from, { contract: 'licence-library-query@1', sub: uscc, caseNo })
  const [document] = documentsOf(answer)
  const [lookUp] = (answer.claims?.['lookUps'] ?? []) as readonly AnswerLookUp[]
  const got = `${lookUp?.state ?? answer.code} ${document?.status}, proof ${document?.proof}`
  scenario.stage.play({ from, to: 'dianqiao', sent: '证照库 library', expected, got, verified: answer.verified })
}

/** Name and number of the applicant, without a face. */
async function person(scenario: Scenario): Promise<void> {
  const caseNo = `ME2026090900008-${scenario.run}`
  const data = { name: '示例居民甲', mode: '0x40' }
  const query = { contract: 'real-person-check@1', sub: '150402198512310023', data, caseNo }
  const answer = await asked(scenario, STATE_GRID_EAST, query)
  const result: JsonObject = documentsOf(answer)[0]?.data ?? {}
  scenario.stage.play({
    from: STATE_GRID_EAST,
    to: 'dianqiao',
    sent: '实人核验 identity',
    expected: 'MATCHED, level 3',
    got: `${result['matchResult'] ?? answer.code}, level ${result['assuranceLevel']}`,
    verified: answer.verified,
  })
}

interface Question {
  readonly contract: string
  readonly sub: string
  readonly caseNo: string
  readonly data?: JsonObject
}

/** Asks until the case is there: it is folded behind the log. */
async function asked(scenario: Scenario, party: string, question: Question): Promise<HubAnswer> {
  const client = await scenario.client(party)
  return eventually(
    () => client.ask(question),
    ({ code }) => code !== 'query.case_mismatch',
  )
}

const documentsOf = ({ claims }: HubAnswer): readonly AnswerDocument[] =>
  (claims?.['documents'] ?? []) as readonly AnswerDocument[]
