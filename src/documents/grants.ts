import type { Answers, Dataset } from '#contracts/contract.ts'
import { createNetworks } from '#exchange/networks.ts'
import type { Grant } from '#exchange/party-register.ts'
import { HubError, type Violation } from '#kernel/errors.ts'
import { shanghaiDay } from './minimise.ts'

export interface Asked {
  readonly contract: string
  readonly purpose: string
  readonly legalBasis: string
  /** What the contract allows at most, whatever is granted. */
  readonly allowed: Pick<Answers, 'purposes' | 'legalBases'>
  /** What would be read; undefined where a document contract carries none, and then it is not shared. */
  readonly datasets: readonly (Dataset | undefined)[]
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
  const covering = grants.find((grant) => reasonsAgainst(grant, asked).next().done)
  if (covering !== undefined) return covering
  const [nearest] = judgeGrants(grants, asked).toSorted((a, b) => a.reasons.length - b.reasons.length)
  throw new HubError('query.grant_missing', {
    violations: nearest?.reasons ?? [noSuchGrant(asked)],
    ...(nearest === undefined ? {} : { decidedBy: nearest.grant.id }),
  })
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
  if (!asked.allowed.purposes.includes(asked.purpose)) {
    yield reason('/purpose', 'contract.purpose', '合同不允许该目的', 'the contract does not allow this purpose')
  }
  if (!asked.allowed.legalBases.includes(asked.legalBasis)) {
    yield reason(
      '/legalBasis',
      'contract.legal_basis',
      '合同不允许该法律依据',
      'the contract does not allow this legal basis',
    )
  }
  for (const dataset of asked.datasets) yield* reasonsAgainstSharing(dataset, asked.atMs)
}

/** A grant is worth no more than what its dataset may be shared for, whoever gave it. */
function* reasonsAgainstSharing(dataset: Dataset | undefined, atMs: number): Generator<Violation> {
  const { shareType = 'none', approval } = dataset ?? {}
  if (shareType === 'none') {
    yield reason('/contract', 'dataset.not_shared', '该数据资源不予共享', 'this dataset is not shared')
  }
  if (shareType === 'conditional' && approval === undefined) {
    const zh = '有条件共享的数据资源没有批准文件'
    yield reason('/contract', 'dataset.no_approval', zh, 'no document approves the sharing of this conditional dataset')
  }
  if (approval !== undefined && shanghaiDay(atMs) > approval.until) {
    const en = `the approval ${approval.no} ended on ${approval.until}`
    yield reason('/contract', 'dataset.approval_lapsed', `批准文件 ${approval.no} 已于 ${approval.until} 到期`, en)
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
