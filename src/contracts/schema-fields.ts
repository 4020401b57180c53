import { isJsonObject, type JsonObject } from '#kernel/json.ts'
import { pointerMember, resolved } from './schema-walk.ts'

/** One place in the data that a schema describes. */
export interface SchemaField {
  /** JSON Pointer into the data, `*` for any item of a list; `` for the whole. */
  readonly pointer: string
  /** With its local reference followed. */
  readonly schema: JsonObject
  readonly isRequired: boolean
}

/** What a schema describes, in its own order: properties, items and local references; recursion ends at itself. */
export function schemaFields(root: JsonObject): readonly SchemaField[] {
  const found: SchemaField[] = []
  const visit = (schema: JsonObject, pointer: string, isRequired: boolean, followed: readonly string[]): void => {
    const { $ref } = schema
    const here = resolved(root, schema)
    if (here === undefined || (typeof $ref === 'string' && followed.includes($ref))) return
    found.push({ pointer, schema: here, isRequired })
    const next = typeof $ref === 'string' ? [...followed, $ref] : followed
    const required = Array.isArray(here.required) ? here.required : []
    for (const [name, child] of Object.entries(isJsonObject(here.properties) ? here.properties : {})) {
      if (isJsonObject(child)) visit(child, `${pointer}/${pointerMember(name)}`, required.includes(name), next)
    }
    if (isJsonObject(here.items)) visit(here.items, `${pointer}/*`, true, next)
    if (isJsonObject(here.additionalProperties)) visit(here.additionalProperties, `${pointer}/*`, false, next)
  }
  visit(root, '', true, [])
  return found
}
