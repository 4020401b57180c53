import type { AnswerPart, Answers } from '#contracts/contract.ts'
import type { Json, JsonObject } from '#kernel/json.ts'
import { MAX_DOCUMENTS } from '#store/document-queries.ts'
import type { AnswerDocument, PartVerdict, Verdict } from '#trust/answer-claims.ts'
import type { KnownDocument } from './known.ts'
import { fieldsOf, minimise, statusAt, textAt } from './minimise.ts'

export interface ExtractInput {
  /** Of the query. */
  readonly claims: JsonObject
  readonly nowMs: number
  /** Names of the applicants of the case. */
  readonly applicants: readonly string[]
  /** Whether the contract of a document lets it leave as it is now. */
  readonly mayLeave: (document: string, data: JsonObject) => boolean
}

export interface PartExtract {
  readonly verdict: PartVerdict
  readonly documents: readonly AnswerDocument[]
  /** The same as they are known: by which exchange, or looked up where. */
  readonly known: readonly KnownDocument[]
}

const VERDICTS: Readonly<Record<string, Verdict>> = {
  ACTIVE: 'valid',
  SUSPENDED: 'suspended',
  REVOKED: 'revoked',
  CANCELLED: 'cancelled',
  EXPIRED: 'expired',
  TRANSFERRED_OUT: 'transferred-out',
  WITHDRAWN: 'withdrawn',
  OTHER: 'other',
}

/** What each part of a query answers; `granted`: fields as grants write them. A part without any is not answered. */
export function extractParts(
  input: ExtractInput,
  { parts, needs }: Answers,
  found: readonly (readonly KnownDocument[])[],
  granted: readonly string[],
): PartExtract[] {
  const extracts = parts.map((part, index) => {
    const fields = fieldsOf(part, parts, granted)
    return { isAsked: fields.length > 0, extract: extractPart(input, part, found[index] ?? [], fields) }
  })
  const needed = extracts.find(({ extract: { verdict } }) => verdict.document === needs)?.extract
  const isMet = needed === undefined || needed.verdict.verdict === 'valid'
  return extracts
    .filter(({ isAsked }) => isAsked)
    .map(({ extract: one }) => (isMet || one === needed ? one : withheld(one)))
}

const withheld = ({ verdict: { document } }: PartExtract): PartExtract => ({
  verdict: { document, verdict: 'withheld', documents: 0, complete: true },
  documents: [],
  known: [],
})

/** A verdict and granted members of each document, and one verdict of them all. */
function extractPart(
  input: ExtractInput,
  part: AnswerPart,
  found: readonly KnownDocument[],
  fields: readonly string[],
): PartExtract {
  const meant = found.slice(0, MAX_DOCUMENTS).filter(({ data }) => concerns(input, part, data))
  const known = meant.filter(({ data }) => input.mayLeave(part.document, data))
  const documents = known.map((one) => extract(input, part, one, fields))
  const best = documents.find(({ verdict }) => verdict === 'valid') ?? documents[0]
  return {
    verdict: {
      document: part.document,
      verdict: best?.verdict ?? (meant.length > 0 ? 'withheld' : 'not-found'),
      documents: documents.length,
      complete: found.length <= MAX_DOCUMENTS,
      ...(part.gives === 'match' ? { matched: documents.length > 0 } : {}),
    },
    documents,
    known,
  }
}

/** A document of the wrong kind or of another name is told apart from none by nothing. */
function concerns({ claims, nowMs, applicants }: ExtractInput, part: AnswerPart, data: JsonObject): boolean {
  if (part.where?.({ data, claims, nowMs }) === false) return false
  if (part.applicantName === undefined) return true
  const name = textAt(data, part.applicantName)
  return name !== undefined && applicants.some((applicant) => plainName(applicant) === plainName(name))
}

/** Names as they are compared: the dot of Mongolian and other names is typed in many ways, and blanks do not count. */
const plainName = (name: string): string =>
  name
    .normalize('NFKC')
    .replaceAll(/[\s·•‧・.]/gu, '')
    .toUpperCase()

/** One document as it is answered: granted members only, its status by the clock. */
function extract(
  { claims, nowMs }: ExtractInput,
  part: AnswerPart,
  { data, seal, ...known }: KnownDocument,
  fields: readonly string[],
): AnswerDocument {
  const status = statusAt(known.status, known.validTo, nowMs)
  const judged = { data, claims, nowMs }
  const disputed = known.disputed ?? []
  const unmet = part.conditions.filter(({ expression }) => !expression(judged)).map(({ id }) => id)
  const standing = known.replaced && status === 'ACTIVE' ? 'replaced' : (VERDICTS[status] ?? 'other')
  const suffices = standing === 'valid' && unmet.length === 0
  const computed = part.computed.map(({ name, expression }): [string, Json] => [name, suffices && expression(judged)])
  const added: [string, Json][] = part.gives === 'match' ? [['matched', true], ...computed] : computed
  return {
    document: part.document,
    data: minimise(data, fields, added),
    issuer: known.issuer,
    originalDigest: known.originalDigest,
    // A digest that the hub took proves what the hub saw; the issuer's own proof is its seal.
    proof: seal === undefined ? 'hub' : 'issuer',
    status,
    verdict: suffices ? (disputed.length > 0 ? 'disputed' : 'valid') : standing === 'valid' ? 'insufficient' : standing,
    validTo: known.validTo,
    ...(seal === undefined ? {} : { seal }),
    ...(unmet.length === 0 ? {} : { unmet }),
    ...(disputed.length === 0 ? {} : { disputed }),
  }
}
