import type { Digests } from '#exchange/digests.ts'
import { HubError, type Violation } from '#kernel/errors.ts'
import type { JsonObject } from '#kernel/json.ts'
import type { ConsentFound } from '#store/consent-queries.ts'
import { advanceCursor, type LogEntry } from '#store/cursor.ts'
import { endSessions, insertSessions, type SessionFound, type SessionRow } from '#store/session-queries.ts'
import { type BasisDeps, consentMissing, isInForce } from './basis.ts'
import { dataOf, type FoldDeps } from './consents.ts'

const ASSERTION_CONTRACT = 'identity-assertion@1'
const STEP = 1_000
/** 4: a real person was seen, 5: certificate or counter (DOMAIN §2). */
const LEAST_LEVEL = 4
/** Name, number and photo are compared. */
const FACE = 'CTID_0x42'
const ACTIVE = '01'

/**
 * Each identity assertion in the log opens one pre-case session for its audience, under the assertion's own id; one that
 * says that it holds no longer ends it. Returns positions passed.
 */
export function sessionStep(deps: FoldDeps): Promise<number> {
  return advanceCursor(deps.db, 'sessions', { limit: STEP, contracts: [ASSERTION_CONTRACT] }, async (tx, entries) => {
    const sessions = entries.flatMap((entry) => {
      const data = dataOf(deps, entry)
      return data === undefined ? [] : [sessionOf(entry, data, deps.digests)]
    })
    await insertSessions(tx, sessions)
    await endSessions(
      tx,
      sessions.filter(({ is_ended }) => is_ended),
    )
  })
}

/** The contract's schema has made sure of the members. */
function sessionOf(entry: LogEntry, data: JsonObject, digests: Digests): SessionRow {
  const consentRef = data['consentRef']
  return {
    issuer: entry.obo ?? entry.iss,
    id: String(data['assertionId']),
    subject_key: digests.subject(String(data['subjectRefType']), String(data['subjectRef'])),
    nonce: String(data['nonce']),
    audience: String(data['audience']),
    purpose: String(data['purpose']),
    consent_ref: typeof consentRef === 'string' ? consentRef : null,
    level: Number(data['assuranceLevel']),
    is_matched: data['matchResult'] === 'MATCHED',
    by_face: data['method'] === FACE,
    is_ended: data['status'] !== ACTIVE,
    verified_at: String(data['verifiedAt']),
    expires_at: String(data['expiresAt']),
    opened_at: entry.accepted_at,
    exchange: entry.exchange,
  }
}

export interface SessionLimits {
  /** How old a verification may be when its assertion arrives. */
  readonly assertionMaxAgeMs: number
  /** How long a session may be used. */
  readonly sessionMs: number
}

/**
 * The session that a query names, when it serves. Throws `query.case_mismatch` with each part that does not fit; a
 * session of another audience is told like one that does not exist.
 */
export function sessionFor(
  found: readonly SessionFound[],
  needed: { readonly purpose: string; readonly atMs: number },
  limits: SessionLimits,
): SessionFound {
  const [nearest] = found
    .map((session) => ({ session, reasons: [...reasonsAgainst(session, needed, limits)] }))
    .toSorted((a, b) => a.reasons.length - b.reasons.length)
  const violations = nearest?.reasons ?? [reason('session', '没有给予本方的这一会话', 'no such session, given to you')]
  if (nearest === undefined || violations.length > 0) throw new HubError('query.case_mismatch', { violations })
  return nearest.session
}

function* reasonsAgainst(
  session: SessionFound,
  { purpose, atMs }: Parameters<typeof sessionFor>[1],
  { assertionMaxAgeMs, sessionMs }: SessionLimits,
): Generator<Violation> {
  const openedAt = session.opened_at.getTime()
  if (session.level < LEAST_LEVEL || !session.is_matched) {
    yield reason('session.level', `核验等级须不低于 ${LEAST_LEVEL}`, `the assurance must be ${LEAST_LEVEL} at least`)
  }
  if (openedAt - session.verified_at.getTime() > assertionMaxAgeMs) {
    yield reason('session.stale', '核验结果送达时已过旧', 'the verification was too old when its assertion arrived')
  }
  if (session.is_ended || atMs >= Math.min(openedAt + sessionMs, session.expires_at.getTime())) {
    yield reason('session.expired', '会话已结束', 'the session is over')
  }
  if (session.purpose !== purpose) {
    yield reason('session.purpose', '会话不是为该目的开启的', 'the session was opened for another purpose')
  }
}

/**
 * The face may not be looked at on a general consent (人脸识别技术应用安全管理办法): the separate one, for this party, under
 * which the assertion was made. Throws `query.consent_missing`.
 */
export async function requireFaceConsent(
  findConsents: BasisDeps['findConsents'],
  { consent_ref }: SessionFound,
  { party, atMs }: { readonly party: string; readonly atMs: number },
): Promise<ConsentFound> {
  const found = consent_ref === null ? [] : await findConsents({ ref: consent_ref, recipient: party })
  const separate = found.find((consent) => consent.face && isInForce(consent, atMs))
  if (separate !== undefined) return separate
  throw consentMissing(
    '/session',
    'consent.face',
    '会话以人脸核验开启，但没有有效的人脸信息单独同意',
    'the session was opened by face, and no separate consent to that is in force',
  )
}

const reason = (rule: string, zh: string, en: string): Violation => ({
  pointer: '/session',
  rule,
  message: { zh, en },
})
