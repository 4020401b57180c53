/** How an exchange came in (PROTOCOL, four doors), weakest first: a contract's `minOrigin` is a floor. */
export const ORIGINS = ['clerk-entered', 'connector-attested', 'mac-attested', 'agent-signed', 'party-signed'] as const
export type Origin = (typeof ORIGINS)[number]
