import type { Answers, Contract, ContractSet } from '#contracts/contract.ts'
import { brokenRules } from '#contracts/rules.ts'
import { validateData } from '#contracts/validate.ts'
import type { PartyRegister } from '#exchange/party-register.ts'
import type { Proven } from '#exchange/prove.ts'
import { HubError, violated } from '#kernel/errors.ts'
import type { JsonObject } from '#kernel/json.ts'
import { checkAudience, checkFreshness, type QueryClaims } from '#trust/claims.ts'

export interface JudgeDeps {
  readonly hubId: string
  readonly contracts: ContractSet
  readonly register: PartyRegister
}

export interface JudgedQuery {
  readonly contract: Contract
  readonly answers: Answers
  /** The business key that a query carries as `sub`, and its `data` where it has one, in the shape of the contract's schema. */
  readonly data: JsonObject
}

/** A query's claims against its contract, mandate, right to ask, schema and rules. Throws `contract.*`, `right.*`, `token.*`. */
export function judgeQuery(deps: JudgeDeps, proven: Proven, claims: QueryClaims, nowMs: number): JudgedQuery {
  checkAudience(claims, deps.hubId)
  const contract = deps.contracts.get(claims.contract)
  if (contract === undefined) {
    throw violated('contract.unknown', '/contract', 'contract', '合同不存在或版本未发布', 'no such contract or version')
  }
  if (contract.kind !== 'query' || contract.answers === undefined) throw new HubError('contract.kind_wrong')
  checkFreshness(claims, { nowMs, maxAgeSeconds: contract.maxAgeSeconds })
  requireAsker(deps.register, claims, contract, nowMs)
  const key = contract.sub.slice(1)
  if (claims.data !== undefined && Object.hasOwn(claims.data, key) && claims.data[key] !== claims.sub) {
    throw violated(
      'contract.claim_mismatch',
      `/data${contract.sub}`,
      'sub',
      '数据中的业务键与声明 sub 不一致',
      'the business key in the data differs from the claim sub',
    )
  }
  const data = { ...claims.data, [key]: claims.sub }
  const violations = validateData(contract, data)
  if (violations.length > 0) throw new HubError('contract.schema_violated', { violations })
  const errors = brokenRules(contract, { data, claims: proven.token.claims, nowMs })
  if (errors.length > 0) throw new HubError('contract.rule_violated', { violations: errors })
  return { contract, answers: contract.answers, data }
}

/**
 * Who asks, or for whom, may do so at `nowMs`. An answer that took time asks once more. Throws `right.*`,
 * `party.suspended`.
 */
export function requireAsker(register: PartyRegister, claims: QueryClaims, contract: Contract, nowMs: number): void {
  if (claims.obo !== undefined && !register.hasMandate(claims.iss, claims.obo, contract.ref, nowMs)) {
    throw violated(
      'right.no_mandate',
      '/obo',
      `mandate:${contract.ref}`,
      '没有代查授权',
      'no mandate to ask for this party',
    )
  }
  const principal = register.party(claims.obo ?? claims.iss)
  if (principal?.status === 'suspended') throw new HubError('party.suspended')
  const mayAsk = contract.providers.some((provider) =>
    'party' in provider ? provider.party === principal?.id : principal?.roles.includes(provider.role) === true,
  )
  if (!mayAsk) {
    throw violated(
      'right.missing',
      '/contract',
      `ask:${contract.ref}`,
      `无权查询 ${contract.ref}`,
      `no right to ask ${contract.ref}`,
    )
  }
}
