import { type Digests, subjectKeysIn } from '#exchange/digests.ts'
import type { JsonObject } from '#kernel/json.ts'
import { type ConsentedDocument, type ConsentRow, insertConsents } from '#store/consent-queries.ts'
import { advanceCursor, type LogEntry } from '#store/cursor.ts'
import type { Db } from '#store/db.ts'

const CONSENT_CONTRACT = 'consent-grant@1'
const SUBJECT = { codeType: '/subject/idTypeCode', code: '/subject/idNumber' }
const STEP = 1_000

export interface FoldDeps {
  readonly db: Db
  readonly digests: Digests
  readonly claimsOf: (sealed: Buffer) => JsonObject
  /** Takes note of an entry whose content is gone, and throws what may pass. */
  readonly onUnreadable: (entry: LogEntry, error: unknown) => void
}

/** The data of an entry; undefined when it cannot be read any more, and then it gives no right. */
export function dataOf({ claimsOf, onUnreadable }: FoldDeps, entry: LogEntry): JsonObject | undefined {
  try {
    return claimsOf(entry.token)['data'] as JsonObject
  } catch (error) {
    onUnreadable(entry, error)
    return undefined
  }
}

/**
 * Folds consents from the log into what queries resolve. Until then a consent is not there yet; a withdrawal needs no
 * folding: it is looked for in the log itself. Returns positions passed.
 */
export function consentStep(deps: FoldDeps): Promise<number> {
  return advanceCursor(deps.db, 'consents', { limit: STEP, contracts: [CONSENT_CONTRACT] }, async (tx, entries) => {
    await insertConsents(
      tx,
      entries.flatMap((entry) => {
        const data = dataOf(deps, entry)
        return data === undefined ? [] : consentOf(entry, data, deps.digests)
      }),
    )
  })
}

function consentOf(entry: LogEntry, data: JsonObject, digests: Digests): ConsentRow[] {
  return subjectKeysIn(digests, [SUBJECT], data).map((subject_key) => ({
    issuer: entry.obo ?? entry.iss,
    ref: String(data['consentRef']),
    subject_key,
    recipient: String(data['recipient']),
    purpose: String(data['purpose']),
    documents: consented(data),
    face: data['face'] !== undefined,
    valid_from: String(data['validFrom']),
    valid_to: String(data['validTo']),
    granted_at: String(data['grantedAt']),
    exchange: entry.exchange,
    accepted_at: entry.accepted_at,
  }))
}

/** As the contract's schema has them. */
function consented(data: JsonObject): ConsentedDocument[] {
  const listed = data['documents'] as unknown as { readonly document: string; readonly fields?: readonly string[] }[]
  return listed.map(({ document, fields }) => ({ document, fields: fields ?? null }))
}
