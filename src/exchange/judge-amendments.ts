import type { ContractSet } from '#contracts/contract.ts'
import { documentIdentity } from '#contracts/formats.ts'
import { identifyingContracts } from '#contracts/identifying.ts'
import { sha256Digest } from '#kernel/canonical.ts'
import { HubError, violated } from '#kernel/errors.ts'
import { atPointer } from '#kernel/json.ts'
import type { AnsweredReference, CorrectionClaim, DisputeClaim } from '#store/amendment.ts'
import {
  documentsAnswered,
  findDispute,
  findKnownDocument,
  findLookedUp,
  findVersionChange,
  isProvidedBy,
  takeNumber,
} from '#store/amendment-queries.ts'
import type { Db } from '#store/db.ts'
import { type DisputeRow, insertCorrection, insertDispute, removeUncommitted } from '#store/dispute-queries.ts'
import type { ExchangeRow } from '#store/log-commit.ts'
import { parseCompact } from '#trust/compact.ts'
import { isUnreadable, type Vault } from '#trust/vault.ts'
import { MAX_TOKEN_BYTES } from './accept.ts'
import type { Committer } from './committer.ts'

export interface AmendmentDeps {
  readonly db: Db
  readonly vault: Vault
  readonly contracts: ContractSet
}

/**
 * Before a dispute or a correction is queued for its commit, what it speaks of is looked up and written down under the
 * exchange's id; readers of the log make it count once the exchange is there. Nothing else waits for it.
 */
export function withAmendments<C extends Committer>(deps: AmendmentDeps, committer: C): C {
  return {
    ...committer,
    async submit(row) {
      if (row.amendment === undefined) return committer.submit(row)
      await asOutage(() => judge(deps, row))
      const committed = await committer.submit(row)
      if (committed.exchange !== row.id) await asOutage(() => removeUncommitted(deps.db, row.id))
      return committed
    },
  }
}

/** What the database does not answer may pass; the same jti is safe. */
async function asOutage(ask: () => Promise<void>): Promise<void> {
  try {
    await ask()
  } catch (error) {
    if (error instanceof HubError) throw error
    throw new HubError('hub.store_unavailable', { cause: error, retryAfterSeconds: 1 })
  }
}

async function judge(deps: AmendmentDeps, row: ExchangeRow): Promise<void> {
  const { amendment } = row
  if (amendment === undefined) return
  const write =
    amendment.kind === 'dispute'
      ? await judgeDispute(deps, row.id, amendment)
      : await judgeCorrection(deps, row.id, amendment)
  const { issuer, number } = amendment
  const by = `${row.iss} ${row.jti}`
  if (!(await takeNumber(deps.db, { contract: row.contract, issuer, number, by }))) {
    throw new HubError('dispute.number_used')
  }
  await write()
}

/** The document that is disputed, if the sender may know it: one that it may not know is as if it did not exist. */
async function judgeDispute(deps: AmendmentDeps, exchange: string, claim: DisputeClaim): Promise<() => Promise<void>> {
  const { issuer, number, provider, contract, fields } = claim
  const found = await disputedDocument(deps, claim)
  if (found === undefined) throw unknownDocument()
  const row = { exchange, issuer, number, provider, contract, fields, ...found }
  return () => insertDispute(deps.db, row)
}

async function disputedDocument(deps: AmendmentDeps, claim: DisputeClaim): Promise<Disputed | undefined> {
  const { issuer, provider, by } = claim
  const held = 'identifier' in by ? await namedDocument(deps, claim, by) : await answeredDocument(deps, claim, by)
  if (held !== undefined) return held
  const identifier = await findLookedUp(deps.db, issuer, { contract: claim.contract, provider }, by)
  return identifier === undefined ? undefined : { identifier, original: undefined }
}

type Disputed = Pick<DisputeRow, 'identifier' | 'original'>

async function namedDocument(
  { db, contracts }: AmendmentDeps,
  { issuer, provider, contract }: DisputeClaim,
  { identifier }: { readonly identifier: string },
): Promise<Disputed | undefined> {
  const identifying = identifyingContracts(contracts)
  const original = await findKnownDocument(db, issuer, { contract, identifier }, { provider, identifying })
  return original === undefined ? undefined : { identifier, original }
}

async function answeredDocument(
  { db, vault, contracts }: AmendmentDeps,
  { issuer, provider, contract }: DisputeClaim,
  { query, originalDigest }: AnsweredReference,
): Promise<Disputed | undefined> {
  const pointers = contracts.get(contract)?.document
  if (pointers === undefined) return undefined
  for (const answered of await documentsAnswered(db, issuer, { ...query, contract })) {
    const token = readable(vault, answered.token)
    if (token === undefined || sha256Digest(token) !== originalDigest || answered.provider !== provider) continue
    const { claims } = parseCompact(token, MAX_TOKEN_BYTES)
    const identifier = atPointer(claims, `/data${pointers.identifier}`) ?? claims['sub']
    return { identifier: documentIdentity(String(identifier)), original: answered.exchange }
  }
  return undefined
}

/** The token, or undefined when its content is gone. */
function readable(vault: Vault, sealed: Buffer): string | undefined {
  try {
    return vault.open(sealed).toString('latin1')
  } catch (error) {
    if (isUnreadable(error)) return undefined
    throw error
  }
}

/** Only its provider corrects a document, and only a version that took an earlier one's place is a correction. */
async function judgeCorrection(
  { db }: AmendmentDeps,
  exchange: string,
  claim: CorrectionClaim,
): Promise<() => Promise<void>> {
  const { issuer, number, contract, identifier, fields, newVersion } = claim
  if (!(await isProvidedBy(db, claim, issuer))) throw unknownDocument()
  const dispute = claim.dispute && (await findDispute(db, claim, claim.dispute))
  if (claim.dispute !== undefined && dispute === undefined) throw unknownDispute()
  if (dispute?.is_settled) throw new HubError('correction.dispute_settled')
  const versionChange =
    newVersion &&
    (await findVersionChange(db, claim, { ...newVersion, provider: issuer, original: dispute?.original ?? undefined }))
  if (newVersion !== undefined && versionChange === undefined) throw unknownVersion()
  const outcome = newVersion === undefined ? 'REJECTED' : 'CORRECTED'
  const of = { exchange, issuer, number, contract, identifier, fields }
  return () => insertCorrection(db, { ...of, dispute: dispute?.exchange, outcome, versionChange })
}

const unknownDocument = (): HubError =>
  violated(
    'dispute.document_unknown',
    '/document',
    'document',
    '没有该提供方的这份证照，或本方无从知悉',
    'this provider has no such document, or it is none that you may know',
  )

const unknownDispute = (): HubError =>
  violated(
    'correction.dispute_unknown',
    '/dispute',
    'dispute',
    '没有针对该证照的这项异议',
    'there is no such dispute of this document',
  )

const unknownVersion = (): HubError =>
  violated(
    'correction.version_unknown',
    '/newVersion',
    'version',
    '该交换不是取代旧值的现行版本',
    'this exchange is no version that took the place of the disputed one',
  )
