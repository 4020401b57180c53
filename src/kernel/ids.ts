import { randomBytes } from 'node:crypto'

declare const brand: unique symbol
type Branded<T, B extends string> = T & { readonly [brand]: B }

export type PartyId = Branded<string, 'PartyId'>
export type ExchangeId = Branded<string, 'ExchangeId'>
export type DeliveryId = Branded<string, 'DeliveryId'>

/** Party ids are what `iss`, `aud` and topic names hold: lower-case labels joined by dots or hyphens. */
export const PARTY_ID = /^[a-z0-9](?:[a-z0-9.-]{0,46}[a-z0-9])?$/

export const isPartyId = (value: unknown): value is PartyId => typeof value === 'string' && PARTY_ID.test(value)

let pool = Buffer.alloc(0)
let used = 0

/** A UUIDv7 (RFC 9562 §5.7): time-ordered, so that index pages fill from the right. */
export function uuidv7(nowMs: number): string {
  if (used + 10 > pool.length) {
    pool = randomBytes(4_000)
    used = 0
  }
  const r = pool.toString('hex', used, used + 10)
  used += 10
  const t = nowMs.toString(16).padStart(12, '0')
  const variant = ((Number.parseInt(r.charAt(3), 16) & 0x3) | 0x8).toString(16)
  return `${t.slice(0, 8)}-${t.slice(8)}-7${r.slice(0, 3)}-${variant}${r.slice(4, 7)}-${r.slice(7, 19)}`
}

/** The least UUIDv7 of a millisecond: what was made before it is less, what was made after it is greater. */
export function leastUuidv7(ms: number): string {
  const t = ms.toString(16).padStart(12, '0')
  return `${t.slice(0, 8)}-${t.slice(8)}-7000-8000-000000000000`
}

export const newExchangeId = (nowMs: number): ExchangeId => uuidv7(nowMs) as ExchangeId
export const newDeliveryId = (nowMs: number): DeliveryId => uuidv7(nowMs) as DeliveryId
