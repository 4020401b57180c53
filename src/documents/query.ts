import type { AnswerPart, Answers, Contract } from '#contracts/contract.ts'
import { identifyingContracts } from '#contracts/identifying.ts'
import { brokenRules } from '#contracts/rules.ts'
import { type Observe, observed } from '#exchange/judged.ts'
import type { PartyLimits } from '#exchange/party-limits.ts'
import type { Grant } from '#exchange/party-register.ts'
import { type Progress, type Proven, proveParty, requireStanding } from '#exchange/prove.ts'
import type { Refuse, Refused } from '#exchange/refuse.ts'
import { sha256Digest } from '#kernel/canonical.ts'
import { numericDate } from '#kernel/clock.ts'
import { asHubError, HubError } from '#kernel/errors.ts'
import { uuidv7 } from '#kernel/ids.ts'
import type { JsonObject } from '#kernel/json.ts'
import { nextTurn } from '#kernel/turn.ts'
import type { AccessOutcome, AccessRow } from '#store/access-queries.ts'
import type { Cap } from '#store/cap-counters.ts'
import { type QueryClaims, readClaims } from '#trust/claims.ts'
import type { Signer } from '#trust/sign.ts'
import { consentWithdrawn } from './basis.ts'
import { capReached, capsOf, guessesOf } from './caps.ts'
import { type ExtractInput, extractParts, type PartExtract } from './extract.ts'
import { type GatherDeps, gather, type PartSource } from './gather.ts'
import { grantFor } from './grants.ts'
import { type JudgeDeps, judgeQuery, requireAsker } from './judge-query.ts'
import { fieldsOf, shanghaiDay, textAt } from './minimise.ts'
import { type Occasion, type OccasionDeps, occasionOf, type Wanted } from './occasion.ts'

export interface QueryDeps extends JudgeDeps, OccasionDeps, GatherDeps {
  readonly limits: PartyLimits
  readonly signer: Signer
  readonly refuse: Refuse
  readonly claimsOf: (token: string) => JsonObject
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
  // What came together is proved together, then judged; what was found together is signed together.
  await nextTurn()
  try {
    const proven = proveParty(deps, text, { typ: 'query+jwt', maxBytes: MAX_QUERY_BYTES }, progress)
    leave = deps.limits.enter(proven.party)
    await null
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
  const { contract, answers, data } = judgeQuery(deps, proven, claims, nowMs)
  const party = claims.obo ?? claims.iss
  const asked = {
    contract: contract.ref,
    purpose: claims.purpose,
    legalBasis: claims.legalBasis,
    allowed: answers,
    datasets: answers.parts.map(({ document }) => deps.contracts.get(document)?.dataset),
    fields: claims.fields,
    source,
    atMs: nowMs,
  }
  const grant = grantFor(deps.register.grants(party, contract.ref), asked)
  const { signed, access } = await prepareAnswer(deps, proven, { party, claims, contract, answers, data, grant, nowMs })
  requireRecorded(await deps.recordAccess(access), grant, access.answeredAtMs)
  const atMs = deps.clock()
  requireStanding(deps.register, proven)
  requireAsker(deps.register, claims, contract, atMs)
  grantFor(deps.register.grants(party, contract.ref), { ...asked, atMs })
  return signed
}

interface Granted {
  /** Who asks, or for whom. */
  readonly party: string
  readonly claims: QueryClaims
  readonly contract: Contract
  readonly answers: Answers
  readonly data: JsonObject
  readonly grant: Grant
  readonly nowMs: number
}

/** Looks up, minimises and signs. What was found is not held while the access is recorded: only its record is. */
async function prepareAnswer(
  deps: QueryDeps,
  proven: Proven,
  { party, claims, contract, answers, data, grant, nowMs }: Granted,
): Promise<{ readonly signed: string; readonly access: AccessRow }> {
  const { parts, needs } = answers
  const inItsCase = () =>
    occasionOf(deps, { party, claims, parts, granted: grant.fields, atMs: nowMs, ...wantedBy(deps, answers, data) })
  const occasion = await inItsCase()
  const { caseId, session, consent, fields, subjectKey } = occasion
  const { caps, day, guesses, foresee } = countingOf(deps, { claims, contract, grant, occasion, nowMs })
  const isWanted = (part: AnswerPart): boolean => part.document === needs || fieldsOf(part, parts, fields).length > 0
  const sources = await gather(deps, answers, { party, claims, data, occasion, inItsCase, foresee, isWanted })
  const answeredAtMs = deps.clock()
  const input = extractInput(deps, proven.token.claims, occasion, answeredAtMs)
  const known = sources.map(({ documents }) => documents)
  const extracts = extractParts(input, answers, known, fields)
  await null
  const signed = signAnswer(deps, proven, { claims, extracts, sources, nowMs: answeredAtMs })
  const access = {
    iss: claims.iss,
    jti: claims.jti,
    contract: contract.ref,
    subjectKey,
    caseId,
    session,
    consent,
    purpose: claims.purpose,
    legalBasis: claims.legalBasis,
    item: claims.item,
    operator: claims.operator,
    grant: grant.id,
    caps: [...caps, ...guesses(!extracts.some(({ documents }) => documents.length > 0))],
    day,
    fields,
    documents: extracts.flatMap(broughtIn),
    lookUps: extracts.flatMap(lookedUpIn),
    token: proven.token.text,
    answerDigest: sha256Digest(signed),
    answeredAtMs,
  }
  return { signed, access }
}

interface CountedFor {
  readonly claims: QueryClaims
  readonly contract: Contract
  readonly grant: Grant
  readonly occasion: Occasion
  readonly nowMs: number
}

/** What a query counts against, and a look ahead at it before a foreign system is asked. */
function countingOf(deps: QueryDeps, { claims, contract, grant, occasion, nowMs }: CountedFor) {
  const { iss, jti, operator, obo = iss } = claims
  const names = { party: obo, operator: `${iss} ${operator}`, subject: occasion.subjectKey }
  const caps = capsOf(grant, names)
  const day = shanghaiDay(nowMs)
  const guesses = (isMiss: boolean): Cap[] => guessesOf(contract, occasion.caseId ?? occasion.session ?? '', isMiss)
  const foresee = async (): Promise<void> => {
    if (deps.looking === undefined) return
    const counted = { iss, jti, day, caps: [...caps, ...guesses(false)] }
    requireRecorded(await deps.looking.foreseeAccess(counted), grant, deps.clock())
  }
  return { caps, day, guesses, foresee }
}

/** Throws what kept an access from being recorded: then nothing is answered. */
function requireRecorded(outcome: AccessOutcome, grant: Grant, nowMs: number): void {
  if (outcome === 'recorded') return
  if (outcome === 'replayed') throw new HubError('query.replayed')
  if (outcome === 'withdrawn') throw consentWithdrawn()
  throw capReached(outcome, grant.id, nowMs)
}

/** Whom a query is about and which of their documents, as keyed digests. */
function wantedBy(deps: QueryDeps, { subject, parts }: Answers, data: JsonObject): Wanted {
  const { digests, contracts } = deps
  return {
    named: subject === undefined ? undefined : digests.subject(subject.codeTypeCode, textAt(data, subject.code) ?? ''),
    wanted: parts.map(({ document, key }) => ({
      contract: document,
      lookupKey: key === undefined ? undefined : digests.lookup(document, textAt(data, key) ?? ''),
    })),
    identifying: identifyingContracts(contracts),
  }
}

/** The names of those for whom the case was opened; none outside a case. */
function applicantsOf({ contracts, claimsOf }: QueryDeps, { openedBy }: Occasion): string[] {
  if (openedBy === undefined) return []
  const data = claimsOf(openedBy.token)['data'] as JsonObject
  return (contracts.get(openedBy.contract)?.opensCase?.subjects ?? []).flatMap(
    ({ name }) => (name === undefined ? undefined : textAt(data, name)) ?? [],
  )
}

/** The exchanges that brought a document of a part, and nothing else. */
const broughtIn = ({ known }: PartExtract): string[] =>
  known.flatMap(({ exchange, isAlone }) => (isAlone ? (exchange ?? []) : []))

/** What of a part no exchange brought alone. */
const lookedUpIn = ({ verdict: { document }, known }: PartExtract): AccessRow['lookUps'] =>
  known
    .filter(({ exchange, isAlone }) => exchange === undefined || !isAlone)
    .map(({ issuer: provider, ...one }) => ({
      provider,
      document,
      identifier: one.identifier,
      originalDigest: one.originalDigest,
      exchange: one.exchange,
    }))

interface Answered {
  readonly claims: QueryClaims
  readonly extracts: readonly PartExtract[]
  readonly sources: readonly PartSource[]
  readonly nowMs: number
}

function signAnswer(deps: QueryDeps, proven: Proven, { claims, extracts, sources, nowMs }: Answered): string {
  const now = numericDate(nowMs)
  const lookUps = sources.flatMap(({ lookUp }) => lookUp ?? [])
  return deps.signer.sign('answer+jwt', {
    iss: deps.hubId,
    aud: claims.iss,
    iat: now,
    exp: now + ANSWER_SECONDS,
    jti: uuidv7(nowMs),
    of: { iss: claims.iss, jti: claims.jti, tokenDigest: proven.token.digest },
    asOf: Math.min(now, ...lookUps.map(({ asOf }) => asOf)),
    documents: extracts.flatMap(({ documents }) => documents),
    parts: extracts.map(({ verdict }) => verdict),
    ...(lookUps.length === 0 ? {} : { lookUps }),
  })
}

const extractInput = (deps: QueryDeps, claims: JsonObject, occasion: Occasion, nowMs: number): ExtractInput => ({
  claims,
  nowMs,
  applicants: applicantsOf(deps, occasion),
  mayLeave: (ref, data) => mayLeave(deps, ref, data, claims, nowMs),
})

/** What a document's contract demands of it when it leaves; what breaks that is withheld. */
function mayLeave({ contracts }: QueryDeps, ref: string, data: JsonObject, claims: JsonObject, nowMs: number): boolean {
  const contract = contracts.get(ref)
  return contract !== undefined && brokenRules(contract, { data, claims, nowMs }, 'egress').length === 0
}
