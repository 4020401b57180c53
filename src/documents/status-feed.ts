import type { ContractSet } from '#contracts/contract.ts'
import { documentIdentity } from '#contracts/formats.ts'
import { sendEach } from '#exchange/notices.ts'
import { sha256Digest } from '#kernel/canonical.ts'
import { type Clock, numericDate } from '#kernel/clock.ts'
import { type FaultPoint, NO_FAULT } from '#kernel/fault-point.ts'
import { atPointer, type Json, type JsonObject } from '#kernel/json.ts'
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
  type StatusChange,
} from '#store/document-change-queries.ts'
import { parseCompact } from '#trust/compact.ts'
import type { Signer } from '#trust/sign.ts'
import { textAt } from './minimise.ts'
import { isUnusual } from './status-changes.ts'

const STATUS_FEED_CURSOR = 'document-status'
const STATUS_CONTRACT = 'document-status@1'

const STEP = 500
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
  const contracts = deps.contracts.list().flatMap(({ ref, document }) => (document === undefined ? [] : [ref]))
  const passed = await advanceCursor(db, STATUS_FEED_CURSOR, { limit: STEP, contracts }, async (tx, entries) => {
    if (entries.length === 0) return
    await insertReplacements(
      tx,
      entries.flatMap((entry) => replacementIn(deps, entry)),
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

/** The document that an entry says to replace; a newer version that names the one before it replaces nothing else. */
function replacementIn({ contracts, claimsOf, onUnreadable }: StatusFeedDeps, entry: LogEntry): Replacement[] {
  const pointers = contracts.get(entry.contract)?.document
  if (pointers?.replaces === undefined) return []
  let data: JsonObject
  try {
    data = claimsOf(entry.token)['data'] as JsonObject
  } catch (error) {
    onUnreadable(entry, error)
    return []
  }
  const replaced = textAt(data, pointers.replaces)
  const own = textAt(data, pointers.identifier)
  if (replaced === undefined || own === undefined) return []
  const [identifier, replacement] = [documentIdentity(replaced), documentIdentity(own)]
  if (identifier === replacement) return []
  return [{ contract: entry.contract, identifier, replacement, exchange: entry.exchange }]
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
