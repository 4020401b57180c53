import type { ContractSet } from '#contracts/contract.ts'
import { brokenRules } from '#contracts/rules.ts'
import { HubError } from '#kernel/errors.ts'
import { isUnreadable } from '#trust/vault.ts'
import { claimsOf } from './outcomes.ts'

/**
 * The rules that a contract has for what leaves the hub, over a token that was accepted. Throws `contract.rule_violated`:
 * the delivery is then dead, and its sender is told.
 */
export function requireEgress(contracts: Pick<ContractSet, 'get'>, ref: string, token: Buffer, nowMs: number): void {
  const contract = contracts.get(ref)
  if (contract === undefined || !contract.rules.some(({ stage }) => stage === 'egress')) return
  const claims = claimsOf(token.toString('latin1'))
  const violations = brokenRules(contract, { data: claims['data'] ?? {}, claims, nowMs }, 'egress')
  if (violations.length > 0) throw new HubError('contract.rule_violated', { violations })
}

/** A delivery that will never leave: its content is gone, or breaks what its contract demands of what leaves. */
export const isHeldBack = (error: unknown): error is HubError =>
  isUnreadable(error) || (error instanceof HubError && error.code === 'contract.rule_violated')
