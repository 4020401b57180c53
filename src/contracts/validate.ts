import type { Ajv2020, ErrorObject, ValidateFunction } from 'ajv/dist/2020.js'
import type { Violation } from '#kernel/errors.ts'
import { atPointer, type Json, type JsonObject } from '#kernel/json.ts'
import { createAjv } from './ajv.ts'
import type { Contract } from './contract.ts'
import { sentenceFor } from './sentences.ts'

const MAX_VIOLATIONS = 20
/** A name that the sender made up goes into a pointer; longer ones could carry a text. */
const MAX_NAME = 64

interface Compiled {
  readonly accepts: ValidateFunction
  explain?: ValidateFunction
}

/** Compiled on first use and forgotten together with the contract set that the schema belongs to. */
const compiledSchemas = new WeakMap<JsonObject, Compiled>()

let fast: Ajv2020 | undefined
let thorough: Ajv2020 | undefined

const NO_VIOLATIONS: readonly Violation[] = Object.freeze([])

/**
 * The violations of `data` against the contract's JSON Schema, at most 20, empty when it is valid. Never throws.
 * Valid data costs one call of the compiled function; only failing data is judged again to explain everything.
 */
export function validateData(contract: Pick<Contract, 'schemaDocument'>, data: Json): readonly Violation[] {
  return validateAgainst(contract.schemaDocument, data)
}

/** As `validateData`, for a bare schema document. */
export function validateAgainst(schema: JsonObject, data: Json): readonly Violation[] {
  try {
    const compiled = compiledOnce(schema)
    if (compiled.accepts(data)) return NO_VIOLATIONS
    thorough ??= createAjv({ allErrors: true })
    compiled.explain ??= compileSchema(thorough, schema)
    compiled.explain(data)
    return explainErrors(schema, data, compiled.explain.errors ?? [])
  } catch {
    return [UNJUDGEABLE]
  }
}

function compiledOnce(schema: JsonObject): Compiled {
  const before = compiledSchemas.get(schema)
  if (before !== undefined) return before
  fast ??= createAjv({ allErrors: false })
  const compiled = { accepts: compileSchema(fast, schema) }
  compiledSchemas.set(schema, compiled)
  return compiled
}

/** What keeps a schema from being compiled, in the words of the compiler; undefined when nothing does. */
export function compileFault(schema: JsonObject): string | undefined {
  try {
    compiledOnce(schema)
    return undefined
  } catch (error) {
    return error instanceof Error ? error.message : 'unknown'
  }
}

const UNJUDGEABLE: Violation = Object.freeze({
  pointer: '',
  rule: 'schema',
  message: Object.freeze({
    zh: '枢纽无法用该合同的模式检验这份数据，请联系枢纽运维',
    en: 'The hub cannot judge this data with the schema of the contract; call the hub operators',
  }),
})

/** Compiles without registering the `$id`: a reloaded set brings the same ids again. Throws what ajv throws. */
export function compileSchema(ajv: Ajv2020, schema: JsonObject): ValidateFunction {
  const { $id: _id, ...body } = schema
  try {
    return ajv.compile(body)
  } finally {
    ajv.removeSchema(body)
  }
}

/** ajv's errors as violations: pointer to the member itself, our sentence, capped and without duplicates. */
export function explainErrors(schema: JsonObject, data: Json, errors: readonly ErrorObject[]): readonly Violation[] {
  const violations = new Map<string, Violation>()
  for (const error of errors) {
    // "must match then": the errors inside the branch already say what is wrong.
    if (error.keyword === 'if') continue
    const pointer = error.instancePath + memberOf(error)
    const rule = error.keyword === 'format' ? String(error.params.format) : error.keyword
    const key = `${pointer} ${rule}`
    if (violations.has(key)) continue
    violations.set(key, { pointer, rule, message: sentenceFor(schema, pointer, error, atPointer(data, pointer)) })
    if (violations.size === MAX_VIOLATIONS) break
  }
  return [...violations.values()]
}

function memberOf(error: ErrorObject): string {
  const { missingProperty, additionalProperty, unevaluatedProperty } = error.params
  const name: unknown = missingProperty ?? additionalProperty ?? unevaluatedProperty
  if (typeof name !== 'string' || name.length > MAX_NAME) return ''
  return `/${name.replaceAll('~', '~0').replaceAll('/', '~1')}`
}
