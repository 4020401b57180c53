/**
 * Why something is kept, and so for how long (DOMAIN §9): what a query asked or was answered, identity assertions,
 * data before there is a case, what is delivered, the record of accesses, evidence of approvals and documents in force.
 */
export const RETENTION_CLASSES = ['query', 'assertion', 'precase', 'delivered', 'access', 'archive'] as const
export type RetentionClass = (typeof RETENTION_CLASSES)[number]

/** For how many days each class is kept; `keep`: until its owner's archive rule says otherwise. */
export type RetentionDays = { readonly [Class in RetentionClass]: number | 'keep' }

/** DOMAIN §9, to be confirmed by the owner of the data. */
export const DEFAULT_RETENTION_DAYS: RetentionDays = Object.freeze({
  query: 0,
  assertion: 30,
  precase: 7,
  delivered: 180,
  access: 1_096,
  archive: 'keep',
})
