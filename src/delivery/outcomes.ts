import { type FaultPoint, NO_FAULT } from '#kernel/fault-point.ts'
import { atPointer, isJsonObject, type Json, type JsonObject } from '#kernel/json.ts'
import { advanceCursor, type LogEntry } from '#store/cursor.ts'
import type { Db } from '#store/db.ts'
import { applyOutcomes, type OutcomeRow } from '#store/delivery-queries.ts'
import { statesBefore } from './states.ts'

export const ACK_CONTRACT = 'delivery-ack@1'

const STEP = 1_000

/** Reads what the log holds sealed. */
export interface LogReader {
  readonly claimsOf: (sealed: Buffer) => JsonObject
  /** Takes note of an entry whose content is gone, and throws what may pass. */
  readonly onUnreadable: (entry: LogEntry, error: unknown) => void
}

const FROM = { acknowledged: statesBefore('acknowledged'), dead: statesBefore('dead') }

/**
 * Folds acknowledgements from the log into the deliveries they speak of. Only the recipient, or who acts for it,
 * settles a delivery: an outcome for somebody else's changes nothing. A delivery that had expired, or that an operator
 * replayed after its rejection, is still acknowledged late, because that is what happened. Returns positions passed.
 */
export function outcomeStep(db: Db, reader: LogReader, fault: FaultPoint = NO_FAULT): Promise<number> {
  return advanceCursor(db, 'outcomes', { limit: STEP, contracts: [ACK_CONTRACT] }, async (tx, entries) => {
    const outcomes = new Map<string, OutcomeRow>()
    for (const outcome of entries.flatMap((entry) => outcomesOf(entry, reader))) {
      // A first word stands, but a replay after a rejection may still succeed.
      const before = outcomes.get(outcome.delivery)
      if (before === undefined || before.state === 'dead') outcomes.set(outcome.delivery, outcome)
    }
    if (outcomes.size === 0) return
    await fault('outcome.before-apply')
    await applyOutcomes(tx, [...outcomes.values()], FROM)
  })
}

function outcomesOf(entry: LogEntry, { claimsOf, onUnreadable }: LogReader): OutcomeRow[] {
  let claims: JsonObject
  try {
    claims = claimsOf(entry.token)
  } catch (error) {
    onUnreadable(entry, error)
    return []
  }
  const listed = atPointer(claims, '/data/outcomes')
  if (!Array.isArray(listed)) return []
  return listed.filter(isJsonObject).map((outcome) => ({
    delivery: String(outcome['delivery']),
    recipient: entry.obo ?? entry.iss,
    state: outcome['outcome'] === 'rejected' ? 'dead' : 'acknowledged',
    outcome: String(outcome['outcome']),
    recipientRef: text(outcome['recipientRef']),
    cause: text(outcome['code']),
    at: String(outcome['at']),
  }))
}

const text = (value: Json | undefined): string | undefined => (typeof value === 'string' ? value : undefined)

/** The claims of a token that the log holds: parsed strictly and verified at acceptance, so reading it is enough. */
export function claimsOf(token: string): JsonObject {
  const payload = token.slice(token.indexOf('.') + 1, token.lastIndexOf('.'))
  return JSON.parse(Buffer.from(payload, 'base64url').toString('utf8')) as JsonObject
}
