import { isJsonObject, type JsonObject } from '#kernel/json.ts'
import { subschemaAt, walkSchema } from './schema-walk.ts'

/** Whether any part of what a schema describes is personal: a subschema that carries `x-privacy`. */
export function isPersonal(schema: JsonObject): boolean {
  let found = false
  walkSchema(schema, (subschema) => {
    found ||= isJsonObject(subschema['x-privacy'])
  })
  return found
}

/** Whether what a pointer finds in the data is personal. */
export const isPersonalAt = (schema: JsonObject, pointer: string): boolean =>
  isJsonObject(subschemaAt(schema, pointer)?.['x-privacy'])
