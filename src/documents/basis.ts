import type { AnswerPart } from '#contracts/contract.ts'
import { HubError, type Violation } from '#kernel/errors.ts'
import type { ConsentFound, ConsentQuestion } from '#store/consent-queries.ts'
import { fieldsOf, shanghaiDay } from './minimise.ts'

export interface BasisDeps {
  /** The recipient's consents of this reference. */
  readonly findConsents: (question: ConsentQuestion) => Promise<readonly ConsentFound[]>
}

/** What a query would take, and out of whose documents. */
export interface Needed {
  readonly subjectKeys: readonly string[]
  readonly purpose: string
  readonly parts: readonly AnswerPart[]
  /** As the query names them; undefined: whatever is granted and consented to. */
  readonly fields: readonly string[] | undefined
  readonly granted: readonly string[]
  readonly atMs: number
}

/**
 * The recorded consent that covers what a query needs. Throws `query.consent_missing` with each part that does not fit.
 * A consent of another recipient or about another subject is told like one that does not exist.
 */
export function consentFor(found: readonly ConsentFound[], needed: Needed): ConsentFound {
  const [nearest] = found
    .filter(({ subject_key }) => needed.subjectKeys.includes(subject_key))
    .map((consent) => ({ consent, reasons: [...reasonsAgainst(consent, needed)] }))
    .toSorted((a, b) => a.reasons.length - b.reasons.length)
  if (nearest === undefined) throw noSuchConsent()
  if (nearest.reasons.length > 0) throw new HubError('query.consent_missing', { violations: nearest.reasons })
  return nearest.consent
}

/** Of these fields, as grants and queries name them, those that are consented to. */
export const consentedFields = (
  consent: ConsentFound,
  parts: readonly AnswerPart[],
  names: readonly string[],
): string[] => names.filter((name) => isConsented(consent, parts, name))

const isConsented = ({ documents }: ConsentFound, parts: readonly AnswerPart[], name: string): boolean =>
  parts.every((part) => {
    const fields = documents.find(({ document }) => document === part.document)?.fields
    return fieldsOf(part, parts, [name]).every((field) => fields?.includes(field) ?? true)
  })

export const noSuchConsent = (): HubError =>
  consentMissing(
    '/consentRef',
    'consent',
    '没有给予本方的、关于该对象的这一同意',
    'no such consent about this subject, given to you',
  )

export const consentWithdrawn = (): HubError => new HubError('query.consent_missing', { violations: [WITHDRAWN] })

export const consentMissing = (pointer: string, rule: string, zh: string, en: string): HubError =>
  new HubError('query.consent_missing', { violations: [reason(pointer, rule, zh, en)] })

/** Whether it is in force on the day of `atMs` in Asia/Shanghai. */
export function isInForce({ is_withdrawn, valid_from, valid_to }: ConsentFound, atMs: number): boolean {
  const today = shanghaiDay(atMs)
  return !is_withdrawn && today >= valid_from && today <= valid_to
}

function* reasonsAgainst(
  consent: ConsentFound,
  { purpose, parts, fields, granted, atMs }: Needed,
): Generator<Violation> {
  if (consent.is_withdrawn) yield WITHDRAWN
  else if (!isInForce(consent, atMs)) {
    yield reason('/consentRef', 'consent.validity', '同意不在有效期内', 'the consent is not in force today')
  }
  if (consent.purpose !== purpose) {
    yield reason('/purpose', 'consent.purpose', '同意不是为该目的作出的', 'the consent is for another purpose')
  }
  for (const part of parts) {
    const { document } = part
    // Of what it is not asked for, a query gets nothing.
    if (fieldsOf(part, parts, fields ?? granted).length === 0) continue
    if (consent.documents.some((one) => one.document === document)) continue
    const en = `the consent does not name ${document}`
    yield reason('/consentRef', 'consent.document', `同意未包含 ${document}`, en)
  }
  for (const [index, name] of (fields ?? []).entries()) {
    if (isConsented(consent, parts, name)) continue
    yield reason(`/fields/${index}`, 'consent.field', '同意未包含该字段', 'the consent does not name this field')
  }
}

const reason = (pointer: string, rule: string, zh: string, en: string): Violation => ({
  pointer,
  rule,
  message: { zh, en },
})

const WITHDRAWN = reason(
  '/consentRef',
  'consent.withdrawn',
  '当事人已撤回该同意',
  'the person has withdrawn this consent',
)
