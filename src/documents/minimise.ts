import type { AnswerPart } from '#contracts/contract.ts'
import { createIsoDay } from '#kernel/clock.ts'
import { atPointer, type Json, type JsonObject } from '#kernel/json.ts'

/**
 * Only the granted members of a document, in its own order; a field names a top-level member. Before them what was
 * `added`, which one of the same name replaces.
 */
export function minimise(
  data: JsonObject,
  fields: readonly string[],
  added: readonly (readonly [string, Json])[] = [],
): JsonObject {
  const granted = new Set(fields)
  const own = Object.keys(data).filter((name) => granted.has(name))
  return Object.fromEntries([
    ...added.filter(([name]) => granted.has(name)),
    ...own.map((name) => [name, data[name] as Json] as const),
  ])
}

/**
 * The fields of a part among names as grants and queries write them: plain where the query has one part, with the name
 * of the document contract in front (`business-licence.entityName`) where it has several.
 */
export function fieldsOf(part: AnswerPart, parts: readonly AnswerPart[], names: readonly string[]): string[] {
  const named = new Set(names)
  if (parts.length === 1) return part.fields.filter((field) => named.has(field))
  const prefix = `${part.document.slice(0, part.document.lastIndexOf('@'))}.`
  return part.fields.filter((field) => named.has(`${prefix}${field}`))
}

const DAY_MS = 86_400_000
const SHANGHAI_MS = 8 * 3_600_000
const isoDay = createIsoDay()

/** The day in Asia/Shanghai (UTC+8, no daylight saving since 1991), YYYY-MM-DD. */
export const shanghaiDay = (ms: number): string => isoDay(ms + SHANGHAI_MS)

export const secondsToShanghaiMidnight = (ms: number): number =>
  Math.ceil((DAY_MS - ((ms + SHANGHAI_MS) % DAY_MS)) / 1_000)

/** Expiry is the clock's, not the issuer's: an ACTIVE document past its last day is EXPIRED. */
export function statusAt(status: string, validTo: string | null, nowMs: number): string {
  return status === 'ACTIVE' && validTo !== null && validTo < shanghaiDay(nowMs) ? 'EXPIRED' : status
}

/** A string that a pointer finds, or undefined. */
export function textAt(data: Json, pointer: string): string | undefined {
  const value = atPointer(data, pointer)
  return typeof value === 'string' ? value : undefined
}

/** When a day in Asia/Shanghai (YYYY-MM-DD) is over. */
export const endOfShanghaiDay = (day: string): number => Date.parse(`${day}T00:00:00+08:00`) + DAY_MS
