import type { Contract, ContractSet } from '#contracts/contract.ts'
import { documentIdentity } from '#contracts/formats.ts'
import { sendEach } from '#exchange/notices.ts'
import { refusedRows } from '#exchange/rows.ts'
import { sha256Digest } from '#kernel/canonical.ts'
import { type Clock, numericDate } from '#kernel/clock.ts'
import { type FaultPoint, NO_FAULT } from '#kernel/fault-point.ts'
import { atPointer, isJsonObject, type Json, type JsonObject } from '#kernel/json.ts'
import { advanceCursor, type LogEntry } from '#store/cursor.ts'
import type { Db } from '#store/db.ts'
import {
  type DueNotice,
  dueNotices,
  insertReplacements,
  markNoticed,
  type NoticedDelivery,
  type NoticedQuery,
  noteChanges,
  noteLateFetches,
  type Replacement,
  receiptsOf,
  refusalsOf,
  type StatusChange,
} from '#store/document-change-queries.ts'
import { parseCompact } from '#trust/compact.ts'
import type { Signer } from '#trust/sign.ts'
import { textAt } from './minimise.ts'
import { isUnusual } from './status-changes.ts'

const STATUS_FEED_CURSOR = 'document-status'
const STATUS_CONTRACT = 'document-status@1'

const STEP = 500
const STEP_BYTES = 16 * 1024 * 1024
const NOTICES_PER_STEP = 200
/** Of queries and of deliveries each. */
const MAX_WAYS = 50
const MAX_AGE_S = 600
/** Longer than any query takes from its look at the documents to its record (statement timeouts bound both). */
const LOOK_AGAIN_MS = 120_000

export interface StatusFeedDeps {
  readonly db: Db
  readonly clock: Clock
  readonly hubId: string
  readonly contracts: ContractSet
  readonly signer: Signer
  /** What an entry of the log says. */
  readonly claimsOf: (sealed: Buffer) => JsonObject
  /** Takes note of an entry whose content is gone, and throws what may pass. */
  readonly onUnreadable: (entry: LogEntry, error: unknown) => void
  /** The acceptance path itself; throws when the notice cannot be made durable. */
  readonly acceptOwn: (token: string) => Promise<void>
  /** A status went where it seldom goes. */
  readonly onUnusual?: (change: StatusChange) => void
  readonly fault?: FaultPoint
}

/**
 * Tells everybody who fetched a document once when it is suspended, revoked, cancelled, withdrawn, restored, corrected,
 * or replaced by a newer version or another document. Changes are read from the log behind a cursor and written down with those who
 * fetched; the notices go from there, so a step that was cut off repeats the same ones. Returns what it moved.
 */
export async function statusFeedStep(deps: StatusFeedDeps): Promise<number> {
  const { db, fault = NO_FAULT } = deps
  const contracts = deps.contracts
    .list()
    .filter(({ document, rows }) => document !== undefined || rows !== undefined)
    .map(({ ref }) => ref)
  const step = { limit: STEP, maxBytes: STEP_BYTES, contracts }
  const passed = await advanceCursor(db, STATUS_FEED_CURSOR, step, async (tx, entries) => {
    const refusals = await refusalsOf(
      tx,
      entries.filter(({ contract }) => deps.contracts.get(contract)?.rows).map(({ exchange }) => exchange),
    )
    await insertReplacements(
      tx,
      entries.flatMap((entry) => replacementsIn(deps, entry, refusals.get(entry.exchange))),
    )
    const changes = await noteChanges(
      tx,
      entries.map(({ exchange }) => exchange),
    )
    for (const change of changes) if (isUnusual(change.old_status, change.status)) deps.onUnusual?.(change)
    fault('feed.before-commit')
  })
  await noteLateFetches(db, LOOK_AGAIN_MS)
  return passed + (await sendNotices(deps))
}

/** The documents that an entry says to replace; `refusal`: of the rows of a load that were not good. */
function replacementsIn(
  { contracts, claimsOf, onUnreadable }: StatusFeedDeps,
  entry: LogEntry,
  refusal: string | undefined,
): Replacement[] {
  const contract = contracts.get(entry.contract)
  const brought = contract?.rows === undefined ? contract : contracts.get(contract.rows.contract)
  if (brought?.document?.replaces === undefined) return []
  try {
    const data = claimsOf(entry.token)['data'] as JsonObject
    const documents = contract?.rows === undefined ? [data] : goodRows(data, contract.rows.list, refusal)
    return documents.flatMap((one) => replacementIn(brought, one, entry.exchange) ?? [])
  } catch (error) {
    onUnreadable(entry, error)
    return []
  }
}

/** A newer version that names the one before it replaces nothing else. */
function replacementIn({ ref, document }: Contract, data: JsonObject, exchange: string): Replacement | undefined {
  if (document?.replaces === undefined) return undefined
  const replaced = textAt(data, document.replaces)
  const own = textAt(data, document.identifier)
  if (replaced === undefined || own === undefined) return undefined
  const [identifier, replacement] = [documentIdentity(replaced), documentIdentity(own)]
  return identifier === replacement ? undefined : { contract: ref, identifier, replacement, exchange }
}

function goodRows(data: JsonObject, list: string, refusal: string | undefined): JsonObject[] {
  const rows = atPointer(data, list)
  const refused = refusal === undefined ? [] : refusedRows(list, parseCompact(refusal, MAX_REFUSAL_BYTES).claims)
  return (Array.isArray(rows) ? rows : []).filter(
    (row, n): row is JsonObject => isJsonObject(row) && !refused.includes(n),
  )
}

async function sendNotices(deps: StatusFeedDeps): Promise<number> {
  const due = await dueNotices(deps.db, NOTICES_PER_STEP)
  await sendEach(due, (notice) => sendNotice(deps, notice))
  return due.length
}

async function sendNotice(deps: StatusFeedDeps, notice: DueNotice): Promise<void> {
  const { db, fault = NO_FAULT } = deps
  const fetched = notice.queries.slice(0, MAX_WAYS)
  const delivered = notice.deliveries.slice(0, MAX_WAYS)
  const receipts = await receiptsOf(
    db,
    [...fetched, ...delivered].flatMap(({ exchange }) => exchange ?? []),
  )
  const named = ({ exchange, originalDigest, ...way }: NoticedQuery | NoticedDelivery): JsonObject => ({
    ...way,
    originalDigest: originalDigest ?? digestIn(receipts.get(exchange ?? '') ?? ''),
  })
  await deps.acceptOwn(noticeOf(deps, notice, { queries: fetched.map(named), deliveries: delivered.map(named) }))
  fault('feed.before-mark')
  await markNoticed(db, notice)
}

const MAX_RECEIPT_BYTES = 65_536
/** Up to a thousand violations. */
const MAX_REFUSAL_BYTES = 4 * 1024 * 1024

/** The digest of the original is what its receipt says, which is never purged. */
function digestIn(receipt: string): Json {
  return atPointer(parseCompact(receipt, MAX_RECEIPT_BYTES).claims, '/of/tokenDigest') ?? null
}

/** The jti names change and recipient, so that a repeat is the same notice. */
function noticeOf(
  { hubId, clock, signer }: StatusFeedDeps,
  due: DueNotice,
  { queries, deliveries }: { readonly queries: readonly JsonObject[]; readonly deliveries: readonly JsonObject[] },
): string {
  const now = numericDate(clock())
  const { change, recipient, contract, kind, exchange, old_status, status, status_at, correction } = due
  const notice = `${exchange}:${recipient}`
  return signer.sign('exchange+jwt', {
    iss: hubId,
    aud: hubId,
    iat: now,
    exp: now + MAX_AGE_S,
    jti: `document-status-${change}-${sha256Digest(recipient).slice(-16)}`,
    contract: STATUS_CONTRACT,
    sub: notice,
    data: {
      notice,
      recipient,
      document: contract,
      change: kind,
      previousStatus: old_status,
      status,
      unusual: kind !== 'CORRECTED' && isUnusual(old_status, status),
      statusTime: status_at.toISOString(),
      ...(correction === null ? {} : { correction }),
      ...(queries.length === 0 ? {} : { queries }),
      ...(deliveries.length === 0 ? {} : { deliveries }),
    },
  })
}
