import type { AnswerPart } from '#contracts/contract.ts'
import { violated } from '#kernel/errors.ts'
import type { ConsentFound } from '#store/consent-queries.ts'
import type { CaseDocuments, CaseQuestion } from '#store/document-queries.ts'
import type { SessionFound, SessionQuestion } from '#store/session-queries.ts'
import type { QueryClaims } from '#trust/claims.ts'
import { type BasisDeps, consentedFields, consentFor, noSuchConsent } from './basis.ts'
import { requireFaceConsent, type SessionLimits, sessionFor } from './sessions.ts'

export interface OccasionDeps extends BasisDeps {
  /** The caller's open case of this number that holds this subject, and the subject's documents. */
  readonly findCaseDocuments: (question: CaseQuestion) => Promise<CaseDocuments>
  readonly findSessions: (question: SessionQuestion) => Promise<readonly SessionFound[]>
  readonly sessionLimits: SessionLimits
}

/** Which documents a query is about, and of whom where it names somebody. */
export interface Wanted extends Pick<CaseQuestion, 'wanted' | 'identifying'> {
  /** Keyed subject. */
  readonly named: string | undefined
}

export interface Asked extends Wanted {
  readonly party: string
  readonly claims: QueryClaims
  readonly parts: readonly AnswerPart[]
  /** Fields of the grant. */
  readonly granted: readonly string[]
  readonly atMs: number
}

/** Why the caller may ask about this subject now, and what it may get. */
export interface Occasion extends CaseDocuments {
  readonly session: string | undefined
  /** What it rests on where its legal basis is consent, or where its session does. */
  readonly consent: ConsentFound | undefined
  readonly subjectKey: string
  readonly fields: readonly string[]
}

/**
 * The open case or the session that a query is for, the consent that it rests on, and the subject's documents. Throws
 * `query.consent_missing`, `query.case_mismatch`.
 */
export function occasionOf(deps: OccasionDeps, asked: Asked): Promise<Occasion> {
  const { caseNo, session } = asked.claims
  return caseNo === undefined && session !== undefined ? inSession(deps, asked, session) : inCase(deps, asked, caseNo)
}

async function inCase(deps: OccasionDeps, asked: Asked, number: string | undefined): Promise<Occasion> {
  const { party, named, wanted } = asked
  const identifying = named === undefined ? asked.identifying : []
  const [consents, found] = await Promise.all([
    consentsNamed(deps, asked),
    number === undefined
      ? undefined
      : deps.findCaseDocuments({ party, number, subjectKey: named, wanted, identifying }),
  ])
  if (found?.caseId === undefined) {
    throw violated(
      'query.case_mismatch',
      '/caseNo',
      'case',
      '该编号不是本方在办办件，或查询对象不是其申请人',
      'this number is no open case of yours, or the subject is not its applicant',
    )
  }
  return occasionIn(asked, found, consents, undefined)
}

/** Before there is a case: about whom the assertion was, or about whose consent it was made under. */
async function inSession(deps: OccasionDeps, asked: Asked, id: string): Promise<Occasion> {
  const { party, claims, named, wanted, identifying, atMs } = asked
  const { purpose } = claims
  const session = sessionFor(await deps.findSessions({ id, audience: party }), { purpose, atMs }, deps.sessionLimits)
  const consents = await consentsNamed(deps, asked)
  const face = session.by_face ? await requireFaceConsent(deps.findConsents, session, { party, atMs }) : undefined
  const [represented] = claims.consentRef === session.consent_ref ? (consents ?? []) : []
  const subjectKey = represented?.subject_key ?? session.subject_key
  const found = await deps.findCaseDocuments({ party, number: undefined, subjectKey, wanted, identifying })
  if (named !== undefined && !found.subjectKeys.includes(named)) throw notOfTheSession()
  const occasion = occasionIn(asked, found, consents, id)
  return { ...occasion, consent: occasion.consent ?? face }
}

const notOfTheSession = () =>
  violated(
    'query.case_mismatch',
    '/session',
    'session.subject',
    '查询对象不是该会话的当事人',
    'the subject is not whom the session is about',
  )

/** Undefined where consent is not the legal basis. */
async function consentsNamed(
  { findConsents }: OccasionDeps,
  { party, claims: { legalBasis, consentRef } }: Asked,
): Promise<readonly ConsentFound[] | undefined> {
  if (legalBasis !== 'consent') return undefined
  if (consentRef === undefined) throw noSuchConsent()
  return findConsents({ ref: consentRef, recipient: party })
}

function occasionIn(
  { claims: { purpose, fields: named }, parts, granted, ...asked }: Asked,
  found: CaseDocuments,
  consents: readonly ConsentFound[] | undefined,
  session: string | undefined,
): Occasion {
  const { subjectKeys } = found
  const needed = { subjectKeys, purpose, parts, fields: named, granted, atMs: asked.atMs }
  const consent = consents === undefined ? undefined : consentFor(consents, needed)
  const fields = named ?? granted
  return {
    ...found,
    session,
    consent,
    subjectKey: asked.named ?? consent?.subject_key ?? subjectKeys[0] ?? '',
    fields: consent === undefined ? fields : consentedFields(consent, parts, fields),
  }
}
