import { consentStep } from '#documents/consents.ts'
import type { OccasionDeps } from '#documents/occasion.ts'
import { sessionStep } from '#documents/sessions.ts'
import { createBatcher } from '#kernel/batcher.ts'
import { type ConsentQuestion, findConsents } from '#store/consent-queries.ts'
import { isStoreOutage } from '#store/db.ts'
import { findSessions } from '#store/session-queries.ts'
import type { Core } from './compose.ts'
import { logReader } from './compose-vault.ts'

/** Consents are looked up many at once. */
const BATCHES = { lanes: 2, maxItems: 128, isItemsFault: (error: unknown) => !isStoreOutage(error) }

/** How a query finds the consent and the session that it names. */
export const consentLookUps = ({ db, config }: Core): Omit<OccasionDeps, 'findCaseDocuments'> => ({
  findConsents: createBatcher((questions: readonly ConsentQuestion[]) => findConsents(db, questions), BATCHES),
  findSessions: (question) => findSessions(db, question),
  sessionLimits: { assertionMaxAgeMs: config.assertionMaxAgeMs, sessionMs: config.sessionMs },
})

/** Folds consents and sessions from the log; returns positions passed. */
export async function consentsStep({
  db,
  digests,
  vault,
  log,
}: Pick<Core, 'db' | 'digests' | 'vault' | 'log'>): Promise<number> {
  const deps = { db, digests, ...logReader(vault, log) }
  return (await consentStep(deps)) + (await sessionStep(deps))
}
