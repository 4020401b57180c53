import { sha256Digest } from '#kernel/canonical.ts'
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
}

/** One that an exchange brought. */
export const heldDocument = (claimsOf: (token: string) => JsonObject, row: DocumentFound): KnownDocument => ({
  data: claimsOf(row.token)['data'] as JsonObject,
  issuer: row.issuer,
  identifier: row.identifier,
  originalDigest: sha256Digest(row.token),
  status: row.status,
  validTo: row.valid_to,
  replaced: row.replaced,
  disputed: row.disputed,
  exchange: row.exchange,
})

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
})
