import { existsSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import type { Json } from '#kernel/json.ts'
import { readJson } from './schema-files.ts'

export interface Example {
  /** File name without `.json`. */
  readonly name: string
  readonly data: Json
}

/** The valid examples of a schema, by name; they belong to its newest version. */
export function validExamples(rootDir: string, schema: string): readonly Example[] {
  const folder = join(rootDir, 'schemas', schema.split('/')[0] ?? '', 'examples/valid')
  const names = existsSync(folder) ? readdirSync(folder).filter((file) => file.endsWith('.json')) : []
  return names.sort().flatMap((file) => {
    const data = readJson(join(folder, file))
    return data === undefined ? [] : [{ name: file.slice(0, -'.json'.length), data }]
  })
}
