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
import type { Db } from '#store/db.ts'
import { type DocumentFound, findDocuments, insertAccess } from '#store/document-queries.ts'
import { type AnswerDocument, checkAudience, checkFreshness, type QueryClaims, readClaims } from '#trust/claims.ts'
import type { Signer } from '#trust/sign.ts'
import { minimise, statusAt, textAt } from './minimise.ts'

export interface QueryDeps {
  readonly db: Db
  readonly hubId: string
  readonly clock: Clock
  readonly contracts: ContractSet
  readonly register: PartyRegister
  readonly limits: PartyLimits
  readonly digests: Digests
  readonly signer: Signer
  readonly refuse: Refuse
  readonly claimsOf: (token: string) => JsonObject
  /** The open case of the caller that this number names and that holds this subject. */
  readonly openCaseOf: (question: { party: string; number: string; subjectKey: string }) => Promise<string | undefined>
  readonly observe?: Observe
}

export type QueryResult = { readonly kind: 'answered'; readonly answer: string } | Refused

const MAX_QUERY_BYTES = 65_536
const MAX_DOCUMENTS = 50
const ANSWER_SECONDS = 600

/**
 * A fetch (DESIGN §5b): prove → contract → grant → case → documents → minimise → record → signed answer. The access
 * record is durable before the answer leaves, and a jti answers once.
 */
export function query(deps: QueryDeps, text: string): Promise<QueryResult> {
  const progress: Progress = {}
  const ask = (): Promise<QueryResult> => answerOrRefuse(deps, text, progress)
  return observed(deps.observe, 'http', progress, ask, (result) =>
    result.kind === 'refused' ? result.error.code : 'answered',
  )
}

async function answerOrRefuse(deps: QueryDeps, text: string, progress: Progress): Promise<QueryResult> {
  let leave: (() => void) | undefined
  try {
    const proven = proveParty(deps, text, { typ: 'query+jwt', maxBytes: MAX_QUERY_BYTES }, progress)
    leave = deps.limits.enter(proven.party)
    const claims = readClaims('query+jwt', proven.token.claims)
    return { kind: 'answered', answer: await answer(deps, proven, claims) }
  } catch (thrown) {
    const error = asHubError(thrown)
    // As it was thrown: who binds this tells an outage by its cause.
    if (error.retriable) throw thrown
    return await deps.refuse(error, progress)
  } finally {
    leave?.()
  }
}

async function answer(deps: QueryDeps, proven: Proven, claims: QueryClaims): Promise<string> {
  const nowMs = deps.clock()
  const { contract, answers, data } = judge(deps, proven, claims, nowMs)
  const principal = claims.obo ?? claims.iss
  const grant = grantFor(deps.register.grants(principal, contract.ref, nowMs), claims)
  const fields = claims.fields ?? grant.fields
  const subjectKey = deps.digests.subject(answers.subject.codeTypeCode, textAt(data, answers.subject.code) ?? '')
  const caseId = await caseOf(deps, principal, claims, subjectKey)
  const found = await findDocuments(deps.db, {
    contract: answers.document,
    holderKey: subjectKey,
    limit: MAX_DOCUMENTS,
  })
  const documents = found.map((row) => extract(deps, row, fields, nowMs))
  const now = numericDate(nowMs)
  const signed = deps.signer.sign('answer+jwt', {
    iss: deps.hubId,
    aud: claims.iss,
    iat: now,
    exp: now + ANSWER_SECONDS,
    jti: uuidv7(nowMs),
    of: { iss: claims.iss, jti: claims.jti, tokenDigest: proven.token.digest },
    asOf: now,
    documents,
  })
  const recorded = await insertAccess(deps.db, {
    iss: claims.iss,
    jti: claims.jti,
    contract: contract.ref,
    subjectKey,
    caseId,
    purpose: claims.purpose,
    legalBasis: claims.legalBasis,
    item: claims.item,
    operator: claims.operator,
    grant: grant.id,
    fields,
    documents: found.map((row) => row.exchange),
    token: proven.token.text,
    answerDigest: sha256Digest(signed),
    answeredAtMs: nowMs,
  })
  if (!recorded) throw new HubError('query.replayed')
  requireStanding(deps.register, proven)
  return signed
}

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

/** Deny by default: the one grant that covers purpose, legal basis and every field asked for. */
function grantFor(grants: readonly Grant[], claims: QueryClaims): Grant {
  // Consents are not recorded yet, so none can be resolved: an unproved one must not open anything.
  if (claims.legalBasis === 'consent') {
    throw violated(
      'query.grant_missing',
      '/consentRef',
      'consent',
      '没有可核验的授权同意',
      'no recorded consent covers this query',
    )
  }
  const forPurpose = grants.filter(
    (grant) => grant.purpose === claims.purpose && grant.legalBases.includes(claims.legalBasis),
  )
  const asked = claims.fields ?? []
  const grant = forPurpose.find((candidate) => asked.every((field) => candidate.fields.includes(field)))
  if (grant !== undefined) return grant
  if (forPurpose.length === 0) {
    throw violated(
      'query.grant_missing',
      '/purpose',
      `grant:${claims.contract}:${claims.purpose}:${claims.legalBasis}`,
      '没有覆盖该目的与法律依据的有效授权',
      'no grant in force covers this purpose and legal basis',
    )
  }
  const granted = new Set(forPurpose.flatMap((candidate) => candidate.fields))
  throw new HubError('query.grant_missing', {
    violations: asked
      .map((field, index) => ({ field, index }))
      .filter(({ field }) => !granted.has(field))
      .map(({ index }) => ({
        pointer: `/fields/${index}`,
        rule: 'grant.field',
        message: { zh: '该字段不在授权范围内', en: 'this field is not granted' },
      })),
  })
}

async function caseOf(deps: QueryDeps, party: string, claims: QueryClaims, subjectKey: string): Promise<string> {
  const caseId =
    claims.caseNo === undefined ? undefined : await deps.openCaseOf({ party, number: claims.caseNo, subjectKey })
  if (caseId === undefined) {
    throw violated(
      'query.case_mismatch',
      '/caseNo',
      'case',
      '该编号不是本方在办办件，或查询对象不是其申请人',
      'this number is no open case of yours, or the subject is not its applicant',
    )
  }
  return caseId
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
