/**
 * Why something is kept, and so for how long (DOMAIN §9): what a query asked or was answered, identity assertions,
 * data before there is a case, what is delivered, the record of accesses, evidence of approvals and documents in force.
 */
export const RETENTION_CLASSES = ['query', 'assertion', 'precase', 'delivered', 'access', 'archive'] as const
export type RetentionClass = (typeof RETENTION_CLASSES)[number]
