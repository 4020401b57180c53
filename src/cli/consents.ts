import { consentsByRef } from '#store/consent-queries.ts'
import { printJson, say } from './output.ts'
import { withDb } from './with-store.ts'

const NO = 3

/** Each issuer's consent of this reference, a JSON line each, without its subject. Exit code 3: there is none. */
export async function show(ref: string): Promise<number> {
  const found = await withDb((db) => consentsByRef(db, ref))
  for (const one of found) {
    const { valid_from, valid_to, granted_at, accepted_at, withdrawn_at, fetches, last_fetch_at, ...consent } = one
    printJson({
      ...consent,
      validFrom: valid_from,
      validTo: valid_to,
      grantedAt: granted_at,
      acceptedAt: accepted_at,
      withdrawnAt: withdrawn_at,
      fetches,
      lastFetchAt: last_fetch_at,
    })
  }
  if (found.length === 0) say(`no consent ${ref} was recorded`)
  return found.length === 0 ? NO : 0
}
