import type { Contract, ContractSet } from '#contracts/contract.ts'
import { brokenRules } from '#contracts/rules.ts'
import { validateData } from '#contracts/validate.ts'
import { HubError, type Violation } from '#kernel/errors.ts'
import { atPointer, isJsonObject, type Json, type JsonObject } from '#kernel/json.ts'
import type { DocumentRow } from '#store/log-commit.ts'
import type { ExchangeClaims } from '#trust/claims.ts'
import type { CompactToken } from '#trust/compact.ts'
import type { Vault } from '#trust/vault.ts'
import type { Digests } from './digests.ts'
import { fault } from './named-files.ts'
import { type ProjectedDocument, projectDocument } from './plan.ts'

/** Of one row; what refuses all rows of a load still fits into the claim set of a refusal. */
const MAX_VIOLATIONS = 3
const MAX_REFUSED = 1_000
/** A file is looked for when its exchange is committed, and what is missing then refuses the exchange, not a row of it. */
const NO_FILES = 'a row of a load carries no file; send it alone'

export interface LoadedDocuments {
  readonly documents: readonly DocumentRow[]
  /** What is wrong with the rows that were refused, pointers into the data; undefined when all are good. */
  readonly refused: HubError | undefined
}

interface Load {
  readonly contracts: ContractSet
  readonly digests: Digests
  readonly vault: Vault
  readonly contract: Contract
  readonly token: CompactToken
  readonly claims: ExchangeClaims
  readonly nowMs: number
}

/**
 * The documents that an exchange brings: its own data, or each row of a load that its own contract accepts. A bad row
 * refuses only itself; a load without a good one is `contract.rows_refused` as a whole.
 */
export function documentsOf(load: Load): LoadedDocuments {
  const { contract, claims, digests } = load
  if (contract.rows === undefined) {
    const document = projectDocument(contract, claims, digests)
    return { documents: document === undefined ? [] : [withData(load, document, '', claims.data)], refused: undefined }
  }
  const rowContract = load.contracts.get(contract.rows.contract)
  if (rowContract === undefined) throw new HubError('contract.unknown')
  const listed = atPointer(claims.data, contract.rows.list)
  const documents: DocumentRow[] = []
  const violations: Violation[] = []
  for (const [index, row] of (Array.isArray(listed) ? (listed as readonly Json[]) : []).entries()) {
    const pointer = `${contract.rows.list}/${index}`
    const found = judgeRow(load, rowContract, row, pointer)
    if ('holderKeys' in found) documents.push(found)
    else violations.push(...found.map((one) => ({ ...one, pointer: `${pointer}${one.pointer}` })))
  }
  const refused =
    violations.length === 0
      ? undefined
      : new HubError('contract.rows_refused', { violations: violations.slice(0, MAX_REFUSED) })
  if (refused !== undefined && documents.length === 0) throw refused
  return { documents, refused }
}

/** Which rows of the list a signed refusal names, by the claims of it. */
export function refusedRows(list: string, refusal: JsonObject): number[] {
  const violations = atPointer(refusal, '/problem/violations')
  return (Array.isArray(violations) ? violations : []).map((one: Json) =>
    Number(
      String(atPointer(one, '/pointer'))
        .slice(list.length + 1)
        .split('/')[0],
    ),
  )
}

function judgeRow(load: Load, contract: Contract, row: Json, pointer: string): DocumentRow | readonly Violation[] {
  const violations = validateData(contract, row)
  if (violations.length > 0 || !isJsonObject(row)) return violations.slice(0, MAX_VIOLATIONS)
  // The schema has seen to it that the business key is there.
  const claims = { ...load.claims, contract: contract.ref, sub: String(atPointer(row, contract.sub)), data: row }
  const { data: _data, ...judged } = claims
  const carried = contract.files?.pointers.find((pointer) => atPointer(row, pointer) !== undefined)
  if (carried !== undefined) return [fault(carried, 'files', '装载的行不能附带文件，请单独发送', NO_FILES)]
  const errors = brokenRules(contract, { data: row, claims: judged as unknown as JsonObject, nowMs: load.nowMs })
  if (errors.length > 0) return errors.slice(0, MAX_VIOLATIONS)
  const document = projectDocument(contract, claims, load.digests)
  return document === undefined ? [] : withData({ ...load, contract }, document, pointer, row)
}

const withData = (
  { vault, contract, token }: Pick<Load, 'vault' | 'contract' | 'token'>,
  document: ProjectedDocument,
  pointer: string,
  data: Json,
): DocumentRow => ({
  ...document,
  pointer,
  data: vault.seal(contract.retention, JSON.stringify(data)),
  tokenDigest: token.digest,
})
