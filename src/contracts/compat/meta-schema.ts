import type { JsonObject } from '#kernel/json.ts'
import { createAjv } from '../ajv.ts'
import { DIALECT } from '../schema-check.ts'
import { below, keywordOf, list, namesIn, type Place, referenced, referencesIn } from './place.ts'

/** Why a document cannot be compared: it is no JSON Schema 2020-12, or a reference in it leads back to itself. */
export interface SchemaFault {
  readonly rule: 'schema' | 'endless'
  readonly pointer: string
}

let compiler: ReturnType<typeof createAjv> | undefined

/**
 * What it says elsewhere means nothing then: another dialect has other rules, a value that no keyword takes is judged by
 * nobody, and an endless reference is valid or not as one pleases.
 */
export function faultOfSchema(schema: JsonObject): SchemaFault | undefined {
  const { $schema, ...rest } = schema
  if ($schema !== undefined && $schema !== DIALECT && $schema !== `${DIALECT}#`) {
    return { rule: 'schema', pointer: '/$schema' }
  }
  compiler ??= createAjv({ allErrors: false, lenient: true })
  if (compiler.validateSchema(rest) !== true) {
    return { rule: 'schema', pointer: compiler.errors?.[0]?.instancePath ?? '' }
  }
  const endless = endlessReference(schema)
  return endless === undefined ? undefined : { rule: 'endless', pointer: endless }
}

/** A place that an instance would be judged by again and again: references to itself about the same value. */
function endlessReference(root: JsonObject): string | undefined {
  const done = new Set<string>()
  const whole: Place = { schema: root, root, pointer: '' }
  for (const reference of new Set(referencesIn(JSON.stringify(root)))) {
    const start = referenced(whole, reference)
    if (start === undefined) continue
    // Depth first, by hand: a chain of references can be longer than the stack.
    const path = new Set<string>()
    const pending: { readonly place: Place; readonly isLeft?: true }[] = [{ place: start }]
    for (let next = pending.pop(); next !== undefined; next = pending.pop()) {
      const { place, isLeft } = next
      if (isLeft) {
        path.delete(place.pointer)
        done.add(place.pointer)
      } else if (path.has(place.pointer)) {
        return place.pointer
      } else if (!done.has(place.pointer)) {
        path.add(place.pointer)
        pending.push({ place, isLeft: true }, ...ofTheSameValue(place).map((one) => ({ place: one })))
      }
    }
  }
  return undefined
}

/** Schemas that judge the same value as the place itself. */
function ofTheSameValue(place: Place): Place[] {
  const reference = keywordOf(place, '$ref')
  return [
    (reference === undefined ? undefined : referenced(place, reference)) ?? [],
    ...['allOf', 'anyOf', 'oneOf'].map((keyword) => list(place, keyword)),
    ...['not', 'if', 'then', 'else'].map((keyword) => below(place, keyword) ?? []),
    ...namesIn(place, 'dependentSchemas').map((name) => below(place, 'dependentSchemas', name) ?? []),
  ].flat()
}
