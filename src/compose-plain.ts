import type { Acceptance, AcceptDeps } from '#exchange/accept.ts'
import { type AcceptPlainDeps, acceptPlain } from '#exchange/accept-plain.ts'
import type { PlainRequest } from '#exchange/prove-plain.ts'
import { HubError } from '#kernel/errors.ts'
import { insertPlainEvidence, useNonce } from '#store/app-key-queries.ts'
import type { Db } from '#store/db.ts'
import type { HubKeyRing } from '#trust/key-ring.ts'
import { appKeySecret } from '#trust/mac.ts'

/** The plain door over the acceptance path of this process. */
export function composePlain(
  acceptDeps: AcceptDeps,
  db: Db,
  keyRing: HubKeyRing,
): (request: PlainRequest) => Promise<Acceptance> {
  const deps: AcceptPlainDeps = {
    ...acceptDeps,
    appKeySecret: (id) => appKeySecret(keyRing.digestKey, id),
    useNonce: (appKey, nonce) => durable(useNonce(db, appKey, nonce)),
    keepEvidence: (row) => durable(insertPlainEvidence(db, row)),
  }
  return (request) => acceptPlain(deps, request)
}

/** Without nonce and evidence nothing is accepted: evidence first. */
async function durable<R>(written: Promise<R>): Promise<R> {
  try {
    return await written
  } catch (cause) {
    throw new HubError('hub.store_unavailable', { cause, retryAfterSeconds: 1 })
  }
}
