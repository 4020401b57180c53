import { createNetworks } from '#exchange/networks.ts'
import type { Grant } from '#exchange/party-register.ts'
import { HubError, type Violation } from '#kernel/errors.ts'

export interface Asked {
  readonly contract: string
  readonly purpose: string
  readonly legalBasis: string
  /** Undefined: every granted one. */
  readonly fields: readonly string[] | undefined
  /** IP address that the request came from, undefined where it is not known. */
  readonly source: string | undefined
  readonly atMs: number
}

export interface GrantJudged {
  readonly grant: Grant
  /** Why it does not cover what was asked; empty when it does. */
  readonly reasons: readonly Violation[]
}

/** Each grant with everything that keeps it from covering what was asked. */
export const judgeGrants = (grants: readonly Grant[], asked: Asked): GrantJudged[] =>
  grants.map((grant) => ({ grant, reasons: [...reasonsAgainst(grant, asked)] }))

/** Deny by default: the first grant that covers everything. Throws `query.grant_missing` with what the nearest lacks. */
export function grantFor(grants: readonly Grant[], asked: Asked): Grant {
  const judged = judgeGrants(grants, asked)
  const covering = judged.find(({ reasons }) => reasons.length === 0)
  if (covering !== undefined) return covering.grant
  const [nearest] = judged.toSorted((a, b) => a.reasons.length - b.reasons.length)
  throw new HubError('query.grant_missing', { violations: nearest?.reasons ?? [noSuchGrant(asked)] })
}

function* reasonsAgainst(grant: Grant, asked: Asked): Generator<Violation> {
  if (asked.atMs < grant.validFromMs || (grant.validToMs !== undefined && asked.atMs >= grant.validToMs)) {
    yield reason('', 'grant.validity', '授权不在有效期内', 'the grant is not in force')
  }
  if (grant.purpose !== asked.purpose || !grant.legalBases.includes(asked.legalBasis)) yield noSuchGrant(asked)
  for (const [index, field] of (asked.fields ?? []).entries()) {
    if (grant.fields.includes(field)) continue
    yield reason(`/fields/${index}`, 'grant.field', '该字段不在授权范围内', 'this field is not granted')
  }
  if (grant.networks !== undefined && !createNetworks(grant.networks)(asked.source ?? '')) {
    yield reason('', 'grant.network', '来源网络不在授权范围内', 'the request came from a network that is not granted')
  }
}

const noSuchGrant = ({ contract, purpose, legalBasis }: Asked): Violation =>
  reason(
    '/purpose',
    `grant:${contract}:${purpose}:${legalBasis}`,
    '没有覆盖该目的与法律依据的有效授权',
    'no grant in force covers this purpose and legal basis',
  )

const reason = (pointer: string, rule: string, zh: string, en: string): Violation => ({
  pointer,
  rule,
  message: { zh, en },
})
