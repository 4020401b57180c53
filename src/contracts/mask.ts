import { isJsonObject, type Json, type JsonObject } from '#kernel/json.ts'
import type { Contract } from './contract.ts'
import { type Mask, tagOf } from './privacy-tag.ts'
import { resolved } from './schema-walk.ts'

const HIDDEN = '***'

/**
 * A copy of data for people to look at: personal values masked as their tags say. What the schema does not describe, or
 * describes as another type, is hidden whole: data that was refused may hold anything anywhere.
 */
export const maskData = ({ schemaDocument }: Pick<Contract, 'schemaDocument'>, data: Json): Json =>
  masked(schemaDocument, [schemaDocument], data)

/** `schemas`: all that may describe the value. */
function masked(root: JsonObject, schemas: readonly JsonObject[], value: Json): Json {
  const applying = schemas.flatMap((schema) => branches(root, schema))
  const tag = applying.map(tagOf).find((one) => one !== undefined)
  if (tag !== undefined) return typeof value === 'string' ? MASKED[tag.mask](Array.from(value)) : HIDDEN
  if (Array.isArray(value)) {
    const items = applying.flatMap(({ items: one }) => (isJsonObject(one) ? [one] : []))
    return items.length === 0 ? HIDDEN : value.map((item: Json) => masked(root, items, item))
  }
  if (isJsonObject(value)) {
    return Object.fromEntries(
      Object.entries(value).map(([name, member]) => [name, maskedMember(root, applying, name, member)]),
    )
  }
  return applying.some((schema) => isOfType(schema.type, value)) ? value : HIDDEN
}

function maskedMember(root: JsonObject, applying: readonly JsonObject[], name: string, value: Json): Json {
  const declared = applying.flatMap(({ properties }) => {
    const child = isJsonObject(properties) && Object.hasOwn(properties, name) ? properties[name] : undefined
    return isJsonObject(child) ? [child] : []
  })
  const others = applying.flatMap(({ additionalProperties: one }) => (isJsonObject(one) ? [one] : []))
  return masked(root, declared.length > 0 ? declared : others, value)
}

/** A subschema and whatever else it may apply at the same place. */
function branches(root: JsonObject, schema: JsonObject, depth = 0): JsonObject[] {
  const here = resolved(root, schema)
  if (here === undefined || depth > MAX_BRANCHING) return []
  const lists = [here.allOf, here.anyOf, here.oneOf].flatMap((list) => (Array.isArray(list) ? (list as Json[]) : []))
  const dependent = isJsonObject(here.dependentSchemas) ? Object.values(here.dependentSchemas) : []
  return [
    here,
    ...[...lists, ...dependent, here.if, here.then, here.else].flatMap((one) =>
      isJsonObject(one) ? branches(root, one, depth + 1) : [],
    ),
  ]
}

const MAX_BRANCHING = 8

function isOfType(type: Json | undefined, value: Json): boolean {
  if (value === null) return type === 'null'
  if (typeof value === 'number') return type === 'number' || type === 'integer'
  return typeof value === type
}

const starred = (text: readonly string[], first: number, last: number): string =>
  text.map((char, i) => (i < first || i >= text.length - last ? char : '*')).join('')

/** By characters. What is too short to keep anything of is hidden. */
const MASKED: Readonly<Record<Mask, (text: readonly string[]) => string>> = {
  name: (text) => (text.length < 2 ? HIDDEN : starred(text, 1, 0)),
  'id-number': (text) => (text.length < 8 ? HIDDEN : starred(text, 1, 1)),
  phone: (text) => (text.length < 11 ? HIDDEN : starred(text, 3, 4)),
  // As far as the county; the length of what follows would tell too.
  address: (text) => `${text.slice(0, Math.min(6, Math.floor(text.length / 2))).join('')}${HIDDEN}`,
  hidden: () => HIDDEN,
}
