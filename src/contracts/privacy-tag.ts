import type { Violation } from '#kernel/errors.ts'
import { isJsonObject, type JsonObject } from '#kernel/json.ts'
import { RETENTION_CLASSES, type RetentionClass } from '#kernel/retention.ts'

/** PIPL: personal information (art. 4), sensitive personal information (art. 28). */
const PRIVACY_CLASSES = ['personal', 'sensitive-personal'] as const
type PrivacyClass = (typeof PRIVACY_CLASSES)[number]

export const MASKS = ['name', 'id-number', 'phone', 'address', 'hidden'] as const
export type Mask = (typeof MASKS)[number]

/** `x-privacy` of a property. Legal basis and retention are those of the contract where the tag has none. */
export interface PrivacyTag {
  readonly class: PrivacyClass
  readonly mask: Mask
  /** Why this very field may be processed; without one a sensitive field is matched and never answered. */
  readonly legalBasis?: string
  /** The class that the contract must keep it under. */
  readonly retention?: RetentionClass
}

/** The tag of a subschema; only well-formed ones get past `tagFaults` at load. */
export const tagOf = (schema: JsonObject | undefined): PrivacyTag | undefined =>
  isJsonObject(schema?.['x-privacy']) ? (schema['x-privacy'] as unknown as PrivacyTag) : undefined

/** What is wrong with a tag; pointers start at the subschema. */
export function tagFaults(subschema: JsonObject): readonly Violation[] {
  const tag = subschema['x-privacy']
  if (tag === undefined) return []
  const { class: level, mask, legalBasis, retention, ...others } = isJsonObject(tag) ? tag : { '': tag }
  const isWellFormed =
    PRIVACY_CLASSES.some((one) => one === level) &&
    MASKS.some((one) => one === mask) &&
    (legalBasis === undefined || (typeof legalBasis === 'string' && legalBasis !== '')) &&
    (retention === undefined || RETENTION_CLASSES.some((one) => one === retention)) &&
    Object.keys(others).length === 0
  if (isWellFormed) return []
  const allowed = `{class: ${PRIVACY_CLASSES.join(' | ')}, mask: ${MASKS.join(' | ')}, legalBasis?, retention?: ${RETENTION_CLASSES.join(' | ')}}`
  const message = { zh: `隐私标签应为 ${allowed}`, en: `a privacy tag is ${allowed}` }
  return [{ pointer: '/x-privacy', rule: 'privacy', message }]
}
