import type { Answers, Contract, ContractSet } from '#contracts/contract.ts'
import { brokenRules } from '#contracts/rules.ts'
import { validateData } from '#contracts/validate.ts'
import type { Digests } from '#exchange/digests.ts'
import { type Observe, observed } from '#exchange/judged.ts'
import type { PartyLimits } from '#exchange/party-limits.ts'
import type { Grant, PartyRegister } from '#exchange/party-register.ts'
import { type Progress, type Proven, proveParty, requireStanding } from '#exchange/prove.ts'
import type { Refuse, Refused } from '#exchange/refuse.ts'
import { sha256Digest } from '#kernel/canonical.ts'
import { type Clock, numericDate } from '#kernel/clock.ts'
import { asHubError, HubError, violated } from '#kernel/errors.ts'
import { uuidv7 } from '#kernel/ids.ts'
import type { JsonObject } from '#kernel/json.ts'
import type {
  AccessOutcome,
  AccessRow,
  CapScope,
  CaseDocuments,
  CaseQuestion,
  DocumentFound,
} from '#store/document-queries.ts'
import { type AnswerDocument, checkAudience, checkFreshness, type QueryClaims, readClaims } from '#trust/claims.ts'
import type { Signer } from '#trust/sign.ts'
import { grantFor } from './grants.ts'
import { minimise, secondsToShanghaiMidnight, shanghaiDay, statusAt, textAt } from './minimise.ts'

export interface QueryDeps {
  readonly hubId: string
  readonly clock: Clock
  readonly contracts: ContractSet
  readonly register: PartyRegister
  readonly limits: PartyLimits
  readonly digests: Digests
  readonly signer: Signer
  readonly refuse: Refuse
  readonly claimsOf: (token: string) => JsonObject
  /** The caller's open case of this number that holds this subject, and the subject's documents. */
  readonly findCaseDocuments: (question: CaseQuestion) => Promise<CaseDocuments>
  readonly recordAccess: (row: AccessRow) => Promise<AccessOutcome>
  readonly observe?: Observe
}

export type QueryResult = { readonly kind: 'answered'; readonly answer: string } | Refused

const MAX_QUERY_BYTES = 65_536
const ANSWER_SECONDS = 600

/**
 * A fetch (DESIGN §5b): prove → contract → grant → case → documents → minimise → record → signed answer. The access
 * record is durable before the answer leaves, and a jti answers once.
 */
export function query(deps: QueryDeps, text: string, source?: string): Promise<QueryResult> {
  const progress: Progress = {}
  const ask = (): Promise<QueryResult> => answerOrRefuse(deps, text, source, progress)
  return observed(deps.observe, 'http', progress, ask, (result) =>
    result.kind === 'refused' ? result.error.code : 'answered',
  )
}

async function answerOrRefuse(
  deps: QueryDeps,
  text: string,
  source: string | undefined,
  progress: Progress,
): Promise<QueryResult> {
  let leave: (() => void) | undefined
  try {
    const proven = proveParty(deps, text, { typ: 'query+jwt', maxBytes: MAX_QUERY_BYTES }, progress)
    leave = deps.limits.enter(proven.party)
    const claims = readClaims('query+jwt', proven.token.claims)
    return { kind: 'answered', answer: await answer(deps, proven, claims, source) }
  } catch (thrown) {
    const error = asHubError(thrown)
    // As it was thrown: who binds this tells an outage by its cause.
    if (error.retriable) throw thrown
    return await deps.refuse(error, progress)
  } finally {
    leave?.()
  }
}

async function answer(
  deps: QueryDeps,
  proven: Proven,
  claims: QueryClaims,
  source: string | undefined,
): Promise<string> {
  const nowMs = deps.clock()
  const { contract, answers, data } = judge(deps, proven, claims, nowMs)
  const principal = claims.obo ?? claims.iss
  const { purpose, legalBasis } = claims
  requireProvableBasis(legalBasis)
  const asked = { contract: contract.ref, purpose, legalBasis, fields: claims.fields, source, atMs: nowMs }
  const grant = grantFor(deps.register.grants(principal, contract.ref), asked)
  const fields = claims.fields ?? grant.fields
  const subjectKey = deps.digests.subject(answers.subject.codeTypeCode, textAt(data, answers.subject.code) ?? '')
  const { caseId, documents: found } = await inCase(deps, principal, claims, subjectKey, answers.document)
  const now = numericDate(nowMs)
  const signed = deps.signer.sign('answer+jwt', {
    iss: deps.hubId,
    aud: claims.iss,
    iat: now,
    exp: now + ANSWER_SECONDS,
    jti: uuidv7(nowMs),
    of: { iss: claims.iss, jti: claims.jti, tokenDigest: proven.token.digest },
    asOf: now,
    documents: found.map((row) => extract(deps, row, fields, nowMs)),
  })
  const outcome = await deps.recordAccess({
    iss: claims.iss,
    jti: claims.jti,
    contract: contract.ref,
    subjectKey,
    caseId,
    purpose,
    legalBasis,
    item: claims.item,
    operator: claims.operator,
    grant: grant.id,
    caps: capsOf(grant, { party: principal, operator: `${claims.iss} ${claims.operator}`, subject: subjectKey }),
    day: shanghaiDay(nowMs),
    fields,
    documents: found.map((row) => row.exchange),
    token: proven.token.text,
    answerDigest: sha256Digest(signed),
    answeredAtMs: nowMs,
  })
  if (outcome === 'replayed') throw new HubError('query.replayed')
  if (outcome !== 'recorded') throw capReached(outcome, nowMs)
  requireStanding(deps.register, proven)
  grantFor(deps.register.grants(principal, contract.ref), { ...asked, atMs: deps.clock() })
  return signed
}

const capsOf = (grant: Grant, names: Readonly<Record<CapScope, string>>): AccessRow['caps'] =>
  (['party', 'operator', 'subject'] as const).flatMap((scope) => {
    const cap = grant.caps[scope]
    return cap === undefined ? [] : [{ scope, name: names[scope], cap }]
  })

const CAP_TEXTS: Readonly<Record<CapScope, { readonly zh: string; readonly en: string }>> = {
  party: { zh: '本方今日的查询次数已用完', en: 'your queries of this day are used up' },
  operator: { zh: '该经办人今日的查询次数已用完', en: 'this operator’s queries of this day are used up' },
  subject: { zh: '对该对象今日的查询次数已用完', en: 'the queries about this subject of this day are used up' },
}

const capReached = (scope: CapScope, nowMs: number): HubError =>
  new HubError('query.cap_reached', {
    violations: [
      { pointer: scope === 'operator' ? '/operator' : '/sub', rule: `cap.${scope}`, message: CAP_TEXTS[scope] },
    ],
    retryAfterSeconds: secondsToShanghaiMidnight(nowMs),
  })

interface Judged {
  readonly contract: Contract
  readonly answers: Answers
  /** A query carries its business key as `sub` alone; this is that key in the shape of the contract's schema. */
  readonly data: JsonObject
}

function judge(deps: QueryDeps, proven: Proven, claims: QueryClaims, nowMs: number): Judged {
  checkAudience(claims, deps.hubId)
  const contract = deps.contracts.get(claims.contract)
  if (contract === undefined) {
    throw violated('contract.unknown', '/contract', 'contract', '合同不存在或版本未发布', 'no such contract or version')
  }
  if (contract.kind !== 'query' || contract.answers === undefined) throw new HubError('contract.kind_wrong')
  checkFreshness(claims, { nowMs, maxAgeSeconds: contract.maxAgeSeconds })
  if (claims.obo !== undefined && !deps.register.hasMandate(claims.iss, claims.obo, contract.ref, nowMs)) {
    throw violated(
      'right.no_mandate',
      '/obo',
      `mandate:${contract.ref}`,
      '没有代查授权',
      'no mandate to ask for this party',
    )
  }
  const principal = deps.register.party(claims.obo ?? claims.iss)
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
  const data = { [contract.sub.slice(1)]: claims.sub }
  const violations = validateData(contract, data)
  if (violations.length > 0) throw new HubError('contract.schema_violated', { violations })
  const errors = brokenRules(contract, { data, claims: proven.token.claims, nowMs })
  if (errors.length > 0) throw new HubError('contract.rule_violated', { violations: errors })
  return { contract, answers: contract.answers, data }
}

/** Consents are not recorded yet, so none can be resolved: an unproved one must not open anything. */
function requireProvableBasis(legalBasis: string): void {
  if (legalBasis !== 'consent') return
  throw violated(
    'query.grant_missing',
    '/consentRef',
    'consent',
    '没有可核验的授权同意',
    'no recorded consent covers this query',
  )
}

async function inCase(
  deps: QueryDeps,
  party: string,
  claims: QueryClaims,
  subjectKey: string,
  contract: string,
): Promise<{ readonly caseId: string; readonly documents: readonly DocumentFound[] }> {
  const { caseNo: number } = claims
  const { caseId, documents } =
    number === undefined
      ? { caseId: undefined, documents: [] }
      : await deps.findCaseDocuments({ party, number, subjectKey, contract })
  if (caseId !== undefined) return { caseId, documents }
  throw violated(
    'query.case_mismatch',
    '/caseNo',
    'case',
    '该编号不是本方在办办件，或查询对象不是其申请人',
    'this number is no open case of yours, or the subject is not its applicant',
  )
}

function extract(deps: QueryDeps, row: DocumentFound, fields: readonly string[], nowMs: number): AnswerDocument {
  return {
    document: row.contract,
    data: minimise(deps.claimsOf(row.token)['data'] as JsonObject, fields),
    issuer: row.issuer,
    originalDigest: sha256Digest(row.token),
    proof: 'hub',
    status: statusAt(row.status, row.valid_to, nowMs),
    validTo: row.valid_to,
  }
}
