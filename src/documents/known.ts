import { canonicalJson, sha256Digest } from '#kernel/canonical.ts'
import type { JsonObject } from '#kernel/json.ts'
import type { DisputedField } from '#store/amendment.ts'
import type { DocumentFound } from '#store/document-queries.ts'
import type { Seal } from '#trust/answer-lookup.ts'
import type { JudgedDocument } from './lookup.ts'

/** A document however the hub knows it. */
export interface KnownDocument {
  readonly data: JsonObject
  readonly issuer: string
  /** What all its versions share. */
  readonly identifier: string
  readonly originalDigest: string
  readonly seal?: Seal
  readonly status: string
  readonly validTo: string | null
  /** Another document takes its place. */
  readonly replaced: boolean
  /** Its members that are disputed. */
  readonly disputed?: readonly DisputedField[] | null | undefined
  /** The exchange that brought it; undefined for one that was looked up. */
  readonly exchange: string | undefined
  /** Whether it is the only one that its exchange brought; the others came as rows of a load. */
  readonly isAlone: boolean
}

/** The progress of a case as the notice contract of the source `case` describes it. */
export type CaseRecord = JsonObject & { readonly caseNo: string }

type ClaimsOf = (token: string) => JsonObject

/** One that an exchange brought. */
export const heldDocument = (claimsOf: ClaimsOf, row: DocumentFound): KnownDocument => ({
  ...originalOf(claimsOf, row),
  issuer: row.issuer,
  identifier: row.identifier,
  status: row.status,
  validTo: row.valid_to,
  replaced: row.replaced,
  disputed: row.disputed,
  exchange: row.exchange,
})

/** What it says, and the digest of the token that brought it: alone, or as a row of a load. */
function originalOf(
  claimsOf: ClaimsOf,
  { token, pointer, data, token_digest }: DocumentFound,
): Pick<KnownDocument, 'data' | 'originalDigest' | 'isAlone'> {
  if (data !== null) {
    return { data: JSON.parse(data) as JsonObject, originalDigest: token_digest ?? '', isAlone: pointer === '' }
  }
  const alone = token ?? ''
  return { data: claimsOf(alone)['data'] as JsonObject, originalDigest: sha256Digest(alone), isAlone: true }
}

/** One that was looked up; `issuer` is the party whose data it is. */
export const foundDocument = (
  { data, identifier, originalDigest, seal, status, validTo }: JudgedDocument,
  issuer: string,
  disputed?: readonly DisputedField[],
): KnownDocument => ({
  data,
  issuer,
  identifier,
  originalDigest,
  ...(seal === undefined ? {} : { seal }),
  status,
  validTo,
  replaced: false,
  disputed,
  exchange: undefined,
  isAlone: true,
})

/** What the hub knows of a case, without what it does not know. Its own word, so the digest is of that. */
export function caseDocument(record: CaseRecord, hubId: string): KnownDocument {
  const data = Object.fromEntries(Object.entries(record).filter(([, value]) => value !== null))
  return {
    data,
    issuer: hubId,
    identifier: record.caseNo,
    originalDigest: sha256Digest(canonicalJson(data)),
    status: 'ACTIVE',
    validTo: null,
    replaced: false,
    exchange: undefined,
    isAlone: true,
  }
}
