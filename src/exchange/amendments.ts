import type { Contract, ContractSet } from '#contracts/contract.ts'
import { documentIdentity } from '#contracts/formats.ts'
import { subschemaAt } from '#contracts/schema-walk.ts'
import { HubError, type Violation } from '#kernel/errors.ts'
import { atPointer, type Json, type JsonObject } from '#kernel/json.ts'
import type { Amendment, AmendmentClaim, CorrectionClaim, DisputeClaim } from '#store/amendment.ts'
import type { ExchangeClaims } from '#trust/claims.ts'

export const DISPUTE_CONTRACT = 'data-dispute@1'
export const CORRECTION_CONTRACT = 'data-correction@1'

/**
 * The dispute or correction that data holds whose schema and rules were kept; undefined under any other contract.
 * Throws `contract.rule_violated` for a member that the document's schema does not have.
 */
export function amendmentIn(contracts: ContractSet, contract: Contract, claims: ExchangeClaims): Amendment | undefined {
  if (contract.ref !== DISPUTE_CONTRACT && contract.ref !== CORRECTION_CONTRACT) return undefined
  const { data } = claims
  const said: AmendmentClaim = {
    issuer: claims.obo ?? claims.iss,
    number: claims.sub,
    contract: text(data, '/document/contract'),
    fields: ((data['fields'] ?? []) as string[]).toSorted(),
  }
  requireMembers(contracts.get(said.contract), (data['fields'] ?? []) as string[])
  return contract.ref === DISPUTE_CONTRACT ? disputeIn(said, data) : correctionIn(said, data)
}

/** The values stand in the data: its schema was kept. */
const text = (data: JsonObject, pointer: string): string => String(atPointer(data, pointer))
const isThere = (value: Json | undefined): boolean => value !== undefined

function disputeIn(said: AmendmentClaim, data: JsonObject): DisputeClaim {
  const identifier = atPointer(data, '/document/identifier')
  return {
    kind: 'dispute',
    ...said,
    provider: text(data, '/provider'),
    by: isThere(identifier)
      ? { identifier: documentIdentity(String(identifier)) }
      : {
          query: { iss: text(data, '/document/query/iss'), jti: text(data, '/document/query/jti') },
          originalDigest: text(data, '/document/originalDigest'),
        },
  }
}

const correctionIn = (said: AmendmentClaim, data: JsonObject): CorrectionClaim => ({
  kind: 'correction',
  ...said,
  identifier: documentIdentity(text(data, '/document/identifier')),
  dispute: isThere(data['dispute'])
    ? { issuer: text(data, '/dispute/issuer'), number: text(data, '/dispute/disputeNo') }
    : undefined,
  newVersion: isThere(data['newVersion'])
    ? { iss: text(data, '/newVersion/iss'), jti: text(data, '/newVersion/jti') }
    : undefined,
})

/** A document that does not exist has no members to compare; what it is, is judged where documents are known. */
function requireMembers(document: Contract | undefined, fields: readonly string[]): void {
  if (document?.document === undefined) return
  const violations = fields.flatMap((field, i): Violation[] =>
    subschemaAt(document.schemaDocument, `/${field}`) === undefined
      ? [
          {
            pointer: `/fields/${i}`,
            rule: 'member-of-document',
            message: {
              zh: `${document.ref} 没有这个数据项`,
              en: `${document.ref} has no such member`,
            },
          },
        ]
      : [],
  )
  if (violations.length > 0) throw new HubError('contract.rule_violated', { violations })
}
