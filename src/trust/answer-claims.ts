import type { JsonObject } from '#kernel/json.ts'
import { type Seal, sealShape } from './answer-lookup.ts'
import {
  closed,
  contractName,
  count,
  dateOrNull,
  digest,
  flag,
  jsonObject,
  listOf,
  numericDate,
  oneOf,
  optional,
  partyId,
  required,
  text,
} from './claim-shapes.ts'

/** What a reader is to make of a document. */
const VERDICTS = [
  'valid',
  'expired',
  'suspended',
  'revoked',
  'cancelled',
  'withdrawn',
  'transferred-out',
  'other',
  'replaced',
  'insufficient',
  'disputed',
  'withheld',
  'not-found',
] as const
export type Verdict = (typeof VERDICTS)[number]

/** One part of the answer: what the documents under one contract come to. */
export interface PartVerdict {
  readonly document: string
  /** `valid` when one of them is, else that of the newest. */
  readonly verdict: Verdict
  /** How many are answered. */
  readonly documents: number
  /** False when there are more than are answered. */
  readonly complete: boolean
  /** For verifications: whether there is one as asked. */
  readonly matched?: boolean
}

interface DisputedField {
  readonly field: string
  /** Numeric date. */
  readonly since: number
}

export interface AnswerDocument {
  readonly document: string
  readonly data: JsonObject
  readonly issuer: string
  readonly originalDigest: string
  readonly proof: 'issuer' | 'hub'
  readonly status: string
  readonly verdict: Verdict
  /** Conditions of the contract that it does not meet. */
  readonly unmet?: readonly string[]
  /** Members of the document that somebody disputes and its provider has not answered yet, whether asked for or not. */
  readonly disputed?: readonly DisputedField[]
  /** Last day of validity, YYYY-MM-DD; null when there is none (长期). */
  readonly validTo: string | null
  /**
   * The issuer's seal over `digest`, which `originalDigest` repeats, as the issuer's system gave it: not verified by the
   * hub. Present exactly where `proof` is `issuer`.
   */
  readonly seal?: Seal
}

const DISPUTED_FIELD = closed<DisputedField>({ field: required(text(64)), since: required(numericDate) })

export const ANSWER_DOCUMENT = closed<AnswerDocument>({
  document: required(text(128)),
  data: required(jsonObject),
  issuer: required(partyId),
  originalDigest: required(digest),
  proof: required(oneOf(['issuer', 'hub'])),
  status: required(text(32)),
  verdict: required(oneOf(VERDICTS)),
  unmet: optional(listOf(text(64), 10)),
  disputed: optional(listOf(DISPUTED_FIELD, 200)),
  validTo: required(dateOrNull),
  seal: optional(sealShape),
})

export const PART_VERDICT = closed<PartVerdict>({
  document: required(contractName),
  verdict: required(oneOf(VERDICTS)),
  documents: required(count),
  complete: required(flag),
  matched: optional(flag),
})
