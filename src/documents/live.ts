import type { Contract, ContractSet } from '#contracts/contract.ts'
import { brokenRules } from '#contracts/rules.ts'
import { validateData } from '#contracts/validate.ts'
import type { Digests } from '#exchange/digests.ts'
import { projectDocument } from '#exchange/plan.ts'
import { sha256Digest } from '#kernel/canonical.ts'
import { type Clock, isoTime, numericDate } from '#kernel/clock.ts'
import { HubError } from '#kernel/errors.ts'
import { uuidv7 } from '#kernel/ids.ts'
import { atPointer, type JsonObject } from '#kernel/json.ts'
import type { AccessOutcome, CountedAccess } from '#store/access-queries.ts'
import type { DisputedField } from '#store/amendment.ts'
import type { DocumentFound } from '#store/document-queries.ts'
import type { AnswerLookUp } from '#trust/answer-lookup.ts'
import type { QueryClaims } from '#trust/claims.ts'
import { foundDocument, heldDocument, type KnownDocument } from './known.ts'
import type { JudgedDocument, LiveAnswer, LookUps } from './lookup.ts'
import { endOfShanghaiDay, secondsToShanghaiMidnight } from './minimise.ts'

export interface LiveDeps {
  readonly clock: Clock
  readonly contracts: ContractSet
  readonly digests: Digests
  readonly claimsOf: (token: string) => JsonObject
  /** Absent in a process that looks nothing up: there the hub's own documents always stand in. */
  readonly looking?: Looking | undefined
}

type Disputed = ReadonlyMap<string, readonly DisputedField[]>

export interface Looking {
  readonly lookUps: Pick<LookUps, 'ask'>
  /** What recording an access would come to, without recording it. */
  readonly foreseeAccess: (counted: CountedAccess) => Promise<AccessOutcome>
  /** Members that are disputed of documents under a contract, by identity. */
  readonly disputedAmong: (contract: string, identifiers: readonly string[]) => Promise<Disputed>
}

export interface LiveAsked {
  readonly connector: string
  /** The document contract that answers. */
  readonly document: string
  readonly party: string
  /** Whom it may be about. */
  readonly subjectKeys: readonly string[]
  readonly claims: QueryClaims
  readonly data: JsonObject
  readonly caseId: string
  /** What the hub itself holds of this subject. */
  readonly projected: readonly DocumentFound[]
  /** Reads it again, after the time that a look-up takes. Throws when the case is closed meanwhile. */
  readonly projectedNow: () => Promise<readonly DocumentFound[]>
}

/** Documents and how they are known: from the system itself, or from what the hub holds. */
export interface Gathered {
  readonly documents: readonly KnownDocument[]
  readonly lookUp: AnswerLookUp
}

/**
 * The documents of a contract with `source: lookup`. A signed event that the hub accepted wins over what the system
 * still says; without an answer of the system the hub's own documents stand in, and the answer says so. Throws `peer.*`
 * when there is neither.
 */
export async function gatherLive(deps: LiveDeps, asked: LiveAsked): Promise<Gathered> {
  const contract = deps.contracts.get(asked.document)
  if (contract === undefined) throw new HubError('contract.unknown')
  const looked = await deps.looking?.lookUps.ask({
    connector: asked.connector,
    question: questionOf(deps.clock(), asked),
    caseId: asked.caseId,
    known: [...asked.subjectKeys.toSorted(), ...asked.projected.map(fingerprint)].join('\n'),
    judge: (answer) => judgeAnswer(deps, contract, asked.subjectKeys, answer),
  })
  if (looked === undefined) return fallBack(deps, asked, new HubError('peer.unavailable'), 'open')
  // A time-out takes as long as an answer: what was signed, or ended, meanwhile counts for what stands in as well.
  const projected = looked.state === 'cached' ? asked.projected : await asked.projectedNow()
  if (looked.state === 'failed') return fallBack(deps, { ...asked, projected }, looked.error, looked.circuit)
  const { state, circuit, asOfMs, provider } = looked
  const newer = projected.filter((row) => looked.documents.some((one) => isSame(row, one) && isNewer(row, one)))
  const others = looked.documents.filter((one) => !newer.some((row) => isSame(row, one)))
  const identifiers = others.map(({ identifier }) => identifier)
  const disputed = await deps.looking?.disputedAmong(asked.document, identifiers)
  return {
    documents: [
      ...newer.map((row) => heldDocument(deps.claimsOf, row)),
      ...others.map((one) => foundDocument(one, provider, disputed?.get(one.identifier))),
    ],
    lookUp: { document: asked.document, state, circuit, asOf: numericDate(asOfMs) },
  }
}

function questionOf(nowMs: number, { party, claims, data }: LiveAsked) {
  const { contract, purpose, legalBasis, item, operator, session = '', caseNo = session } = claims
  const askedAt = isoTime(nowMs)
  return { contract, data, party, purpose, legalBasis, item, operator, caseNo, askedAt, requestId: uuidv7(nowMs) }
}

function fallBack(
  { clock, claimsOf }: LiveDeps,
  { document, projected }: LiveAsked,
  error: HubError,
  circuit: AnswerLookUp['circuit'],
): Gathered {
  if (projected.length === 0) throw notAnswered(error, clock())
  const asOfMs = Math.min(...projected.map((row) => Date.parse(row.accepted_at)))
  const lookUp = { document, state: 'fallback', circuit, asOf: numericDate(asOfMs), cause: error.code } as const
  return { documents: projected.map((row) => heldDocument(claimsOf, row)), lookUp }
}

/** What the asker is told when nothing can be answered: always something that may succeed later. */
function notAnswered(error: HubError, nowMs: number): HubError {
  const { code, detail } = error
  const patience = code === 'peer.cap_reached' ? secondsToShanghaiMidnight(nowMs) : RETRY_AFTER_SECONDS
  const { retryAfterSeconds = patience } = error
  return new HubError(error.retriable ? code : 'peer.unavailable', {
    detail: {
      zh: `${detail?.zh ?? '查询对端未应答'}；枢纽也没有该对象的证照`,
      en: `${detail?.en ?? 'the system did not answer'}, and the hub holds no document of this subject`,
    },
    retryAfterSeconds,
  })
}

const RETRY_AFTER_SECONDS = 5

/** Changes with every event about the document that the hub accepts. */
const fingerprint = ({ exchange, status, valid_to, replaced }: DocumentFound): string =>
  `${exchange} ${status} ${valid_to} ${replaced}`

const isSame = (row: DocumentFound, one: JudgedDocument): boolean => row.identifier === one.identifier

/**
 * The winner is the higher (version, status time), as in the projection. Of two that are equal ours counts where we know
 * that another document takes its place.
 */
function isNewer(row: DocumentFound, one: JudgedDocument): boolean {
  if (row.version !== one.version) return row.version > one.version
  const [ours, theirs] = [Date.parse(row.status_at), Date.parse(one.statusAt)]
  return ours > theirs || (ours === theirs && row.replaced)
}

/** Holds what a system answered to the document contract: schema, rules, and that it is about whom was asked for. */
function judgeAnswer(
  { clock, digests }: Pick<LiveDeps, 'clock' | 'digests'>,
  contract: Contract,
  subjectKeys: readonly string[],
  { documents, body }: LiveAnswer,
): { readonly documents: readonly JudgedDocument[]; readonly keepUntilMs: number } {
  const nowMs = clock()
  const ends: number[] = []
  const judged = documents.map(({ data, seal }): JudgedDocument => {
    const sub = atPointer(data, contract.sub)
    const claims = { sub: typeof sub === 'string' ? sub : '', data, iat: numericDate(nowMs) }
    const violations = validateData(contract, data)
    const broken = violations.length > 0 ? violations : brokenRules(contract, { data, claims, nowMs })
    if (broken.length > 0) throw notAsAgreed(broken.map(({ pointer, rule }) => `${pointer} ${rule}`).join(', '))
    const row = projectDocument(contract, claims, digests)
    if (row === undefined || !subjectKeys.some((key) => row.holderKeys.includes(key)))
      throw notAsAgreed('another holder')
    const { identifier, version, status, statusAt, validTo } = row
    ends.push(...endsOf(contract, data, validTo))
    const originalDigest = seal?.digest ?? sha256Digest(body)
    const fixed = { data, originalDigest, identifier, version, status, statusAt, validTo: validTo ?? null }
    return seal === undefined ? fixed : { ...fixed, seal }
  })
  return { documents: judged, keepUntilMs: Math.min(Number.POSITIVE_INFINITY, ...ends) }
}

/** When a document or the copy of it lapses: an answer is never kept longer. */
function endsOf(contract: Contract, data: JsonObject, validTo: string | undefined): number[] {
  const lapses = contract.document?.lapses ?? []
  const times = lapses.flatMap((pointer) => {
    const at = atPointer(data, pointer)
    return typeof at === 'string' ? [Date.parse(at)] : []
  })
  return validTo === undefined ? times : [...times, endOfShanghaiDay(validTo)]
}

/** Which rule, never which value. */
const notAsAgreed = (what: string): HubError =>
  new HubError('peer.answer_invalid', {
    detail: { zh: `查询对端的证照不符合合同：${what}`, en: `a document of the system breaks its contract: ${what}` },
  })
