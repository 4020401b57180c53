import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { canonicalJson, sha256Digest } from '#kernel/canonical.ts'
import { HubError, type Violation } from '#kernel/errors.ts'
import { isJsonObject, type Json, type JsonObject } from '#kernel/json.ts'
import { fileFault, readSchemas } from './schema-files.ts'
import { parseYaml } from './yaml-file.ts'

/** Paths under schemas/ and the SHA-256 of the canonical JSON (RFC 8785) that each was released with. */
export const RELEASED_FILE = 'schemas/released.yaml'

const HEADER = `# Schemas that parties rely on: path under schemas/ and SHA-256 of the canonical JSON (RFC 8785).
# A line is added by \`dianqiao contract release\`; what is listed never changes, a new version stands beside it.
`

/** The digest that locks a schema: that of its content, whatever its formatting. */
const digestOf = (schema: JsonObject): string => sha256Digest(canonicalJson(schema))

/** What differs from what was released: a schema that changed or vanished, or a list that is missing or faulty. */
export function releasedFaults(rootDir: string, schemas: ReadonlyMap<string, JsonObject>): Violation[] {
  const { released, faults } = readReleased(rootDir)
  for (const [path, digest] of released) {
    const schema = schemas.get(path)
    if (schema === undefined) {
      const zh = '已发布的模式不得删除；请恢复该文件'
      faults.push(
        fileFault(`schemas/${path}`, '', 'released', zh, 'a released schema may not vanish; restore the file'),
      )
    } else if (digestOf(schema) !== digest) {
      const zh = '已发布的模式不得修改；请恢复原文，另发布新版本'
      const en = 'a released schema may not change; restore it and publish a new version'
      faults.push(fileFault(`schemas/${path}`, '', 'released', zh, en))
    }
  }
  return faults
}

/**
 * Adds schemas to the list of released ones; resolves to the paths that were new. Throws `contract.set_invalid` when a
 * path is no schema, is faulty, or was released with other content, and then writes nothing.
 */
export function releaseSchemas(rootDir: string, paths: readonly string[]): readonly string[] {
  const { schemas, faults: schemaFaults } = readSchemas(rootDir)
  const { released, faults } = readReleased(rootDir)
  const added: string[] = []
  for (const path of paths) {
    const file = `schemas/${path}`
    const schema = schemas.get(path)
    if (schema === undefined) {
      faults.push(fileFault(file, '', 'schema', '没有这个模式文件', 'there is no such schema file'))
      continue
    }
    faults.push(...schemaFaults.filter(({ pointer }) => pointer.startsWith(`${file}#`)))
    const before = released.get(path)
    if (before === digestOf(schema)) continue
    if (before !== undefined) {
      const zh = '已以其他内容发布；请另发布新版本'
      faults.push(fileFault(file, '', 'released', zh, 'was released with other content; publish a new version'))
      continue
    }
    released.set(path, digestOf(schema))
    added.push(path)
  }
  if (faults.length > 0) throw new HubError('contract.set_invalid', { violations: faults })
  const lines = [...released].sort(([a], [b]) => (a < b ? -1 : 1)).map(([path, digest]) => `${path}: ${digest}\n`)
  if (added.length > 0) writeFileSync(join(rootDir, RELEASED_FILE), HEADER + lines.join(''))
  return added
}

function readReleased(rootDir: string): { readonly released: Map<string, string>; readonly faults: Violation[] } {
  const path = join(rootDir, RELEASED_FILE)
  if (!existsSync(path)) {
    const en = 'the list of released schemas is missing'
    return { released: new Map(), faults: [fileFault(RELEASED_FILE, '', 'missing', '缺少已发布模式清单', en)] }
  }
  const { value, fault } = parseYaml(readFileSync(path, 'utf8'))
  // Parsed through YAML's core schema, so it is JSON; nothing but comments is an empty list.
  const entries = (value ?? {}) as Json
  const isList = isJsonObject(entries) && Object.values(entries).every((digest) => typeof digest === 'string')
  const why = fault ?? (isList ? undefined : 'must map paths to digests')
  return {
    released: new Map(isList ? (Object.entries(entries) as [string, string][]) : []),
    faults:
      why === undefined ? [] : [fileFault(RELEASED_FILE, '', 'yaml', `清单有误：${why}`, `the list is faulty: ${why}`)],
  }
}
