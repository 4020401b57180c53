/**
 * Changes of status that are nothing to wonder at. Any other is taken all the same, for courts undo revocations, but
 * whoever is told of it is warned (DOMAIN §1.3). A new version may also renew what had expired.
 */
const USUAL: Readonly<Record<string, readonly string[]>> = {
  ACTIVE: ['SUSPENDED', 'REVOKED', 'CANCELLED', 'EXPIRED', 'TRANSFERRED_OUT', 'WITHDRAWN', 'OTHER'],
  SUSPENDED: ['ACTIVE', 'REVOKED', 'CANCELLED', 'EXPIRED', 'WITHDRAWN'],
  TRANSFERRED_OUT: ['ACTIVE', 'CANCELLED'],
  EXPIRED: ['ACTIVE', 'CANCELLED', 'REVOKED', 'WITHDRAWN'],
  REVOKED: ['CANCELLED'],
  WITHDRAWN: ['CANCELLED'],
  CANCELLED: [],
  OTHER: ['ACTIVE', 'SUSPENDED', 'REVOKED', 'CANCELLED', 'EXPIRED', 'TRANSFERRED_OUT', 'WITHDRAWN'],
}

export const isUnusual = (from: string, to: string): boolean => from !== to && USUAL[from]?.includes(to) !== true
