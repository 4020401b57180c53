/**
 * Where the hub delivers to a party. A change of the partition count or of the key's secret is a new generation: a
 * topic of its own. Party ids are written in lower case, so the suffix can be no part of one.
 */
export const outTopic = (party: string, generation = 1): string =>
  generation === 1 ? `dx.out.${party}` : `dx.out.${party}.G${generation}`

/** Where a party that sends by Kafka writes. */
export const inTopic = (party: string): string => `dx.in.${party}`

/** Where the hub answers what came by Kafka. */
export const receiptTopic = (party: string): string => `dx.receipt.${party}`
