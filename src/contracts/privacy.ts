import type { JsonObject } from '#kernel/json.ts'
import type { Contract } from './contract.ts'
import { type PrivacyTag, tagOf } from './privacy-tag.ts'
import { schemaFields } from './schema-fields.ts'
import { subschemaAt, walkSchema } from './schema-walk.ts'

/** Where personal data stands under a contract, with what holds for it. */
export interface PrivacyEntry extends Required<PrivacyTag> {
  /** JSON Pointer into the data, `*` for any item of a list. */
  readonly pointer: string
}

/** Whether any part of what a schema describes is personal: a subschema that carries `x-privacy`. */
export function isPersonal(schema: JsonObject): boolean {
  let found = false
  walkSchema(schema, (subschema) => {
    found ||= tagOf(subschema) !== undefined
  })
  return found
}

/** Whether what a pointer finds in the data is personal. */
export const isPersonalAt = (schema: JsonObject, pointer: string): boolean =>
  tagOf(subschemaAt(schema, pointer)) !== undefined

/** Every personal field of a contract, in the order of its schema. */
export function privacyIndex(
  contract: Pick<Contract, 'schemaDocument' | 'legalBasis' | 'retention'>,
): readonly PrivacyEntry[] {
  const { policyDocument } = contract.legalBasis
  return taggedPlaces(contract.schemaDocument).map(({ pointer, tag }) => ({
    pointer,
    class: tag.class,
    mask: tag.mask,
    legalBasis: tag.legalBasis ?? policyDocument,
    retention: tag.retention ?? contract.retention,
  }))
}

interface TaggedPlace {
  readonly pointer: string
  readonly tag: PrivacyTag
}

/** Tags by where they stand in the data. */
export const taggedPlaces = (root: JsonObject): readonly TaggedPlace[] =>
  schemaFields(root).flatMap(({ pointer, schema }) => {
    const tag = tagOf(schema)
    return tag === undefined ? [] : [{ pointer, tag }]
  })
