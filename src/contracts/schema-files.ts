import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Violation } from '#kernel/errors.ts'
import { isJsonObject, type Json, type JsonObject } from '#kernel/json.ts'
import { createAjv } from './ajv.ts'
import { checkSchema } from './schema-check.ts'

export const FORMAT_SCHEMA = 'contract-format/1.0.0.json'

export interface SchemaFiles {
  /** By path under schemas/, which is the `$id`. */
  readonly schemas: ReadonlyMap<string, JsonObject>
  readonly faults: readonly Violation[]
}

export const fileFault = (file: string, pointer: string, rule: string, zh: string, en: string): Violation => ({
  pointer: `${file}#${pointer}`,
  rule,
  message: { zh, en },
})

/** Reads every `schemas/<name>/<version>.json` and judges each against 2020-12 and the house's limits. */
export function readSchemas(rootDir: string): SchemaFiles {
  const schemas = new Map<string, JsonObject>()
  const faults: Violation[] = []
  const ajv = createAjv({ allErrors: true, validateSchema: true })
  for (const path of schemaPaths(rootDir)) {
    const file = `schemas/${path}`
    const schema = readJson(join(rootDir, file))
    if (!isJsonObject(schema)) {
      faults.push(fileFault(file, '', 'json', '不是合法的 JSON 对象', 'is not a valid JSON object'))
      continue
    }
    schemas.set(path, schema)
    if (schema.$id !== path) {
      faults.push(fileFault(file, '/$id', 'id', `$id 应等于文件路径 ${path}`, `$id must equal the path ${path}`))
    }
    const { $schema: _dialect, ...body } = schema
    if (ajv.validateSchema(body) !== true) {
      for (const error of ajv.errors ?? []) {
        const zh = `不符合 JSON Schema 2020-12（${error.keyword}）`
        faults.push(fileFault(file, error.instancePath, 'meta', zh, `violates JSON Schema 2020-12 (${error.keyword})`))
      }
    }
    for (const fault of checkSchema(schema)) faults.push({ ...fault, pointer: `${file}#${fault.pointer}` })
  }
  return { schemas, faults }
}

function schemaPaths(rootDir: string): string[] {
  const names = readdirSync(join(rootDir, 'schemas'), { withFileTypes: true })
  return names
    .filter((entry) => entry.isDirectory())
    .flatMap(({ name }) =>
      readdirSync(join(rootDir, 'schemas', name))
        .filter((file) => /^\d+\.\d+\.\d+\.json$/.test(file))
        .map((file) => `${name}/${file}`),
    )
    .sort()
}

/** The JSON value of a file, or undefined when it is not JSON. */
export function readJson(file: string): Json | undefined {
  try {
    return JSON.parse(readFileSync(file, 'utf8')) as Json
  } catch {
    return undefined
  }
}
