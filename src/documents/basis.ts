import { violated } from '#kernel/errors.ts'

/** Consents are not recorded yet, so none can be resolved: an unproved one must not open anything. */
export function requireProvableBasis(legalBasis: string): void {
  if (legalBasis !== 'consent') return
  throw violated(
    'query.grant_missing',
    '/consentRef',
    'consent',
    '没有可核验的授权同意',
    'no recorded consent covers this query',
  )
}
