import { sha256Digest } from '#kernel/canonical.ts'
import type { JsonObject } from '#kernel/json.ts'
import type { DocumentFound } from '#store/document-queries.ts'
import type { AnswerDocument } from '#trust/claims.ts'
import { minimise, statusAt } from './minimise.ts'

/** One document as it is answered: granted fields only, its status by the clock. */
export function extract(
  claimsOf: (token: string) => JsonObject,
  row: DocumentFound,
  fields: readonly string[],
  nowMs: number,
): AnswerDocument {
  return {
    document: row.contract,
    data: minimise(claimsOf(row.token)['data'] as JsonObject, fields),
    issuer: row.issuer,
    originalDigest: sha256Digest(row.token),
    proof: 'hub',
    status: statusAt(row.status, row.valid_to, nowMs),
    validTo: row.valid_to,
  }
}
