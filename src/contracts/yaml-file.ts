import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { parseDocument } from 'yaml'
import type { z } from 'zod'
import type { Violation } from '#kernel/errors.ts'

/** Parses YAML 1.2 (core): duplicate keys, aliases and warnings are faults, one sentence in English each. */
export function parseYaml(text: string): { readonly value: unknown; readonly faults: readonly string[] } {
  const options = { version: '1.2', strict: true, uniqueKeys: true } as const
  // Keeping count of lines for messages takes as long as the parsing itself, and nearly every file has none.
  const document = parseDocument(text, { ...options, prettyErrors: false })
  if (document.errors.length + document.warnings.length > 0) {
    const { errors, warnings } = parseDocument(text, options)
    return {
      value: undefined,
      faults: [...errors, ...warnings].map(({ message, code }) => message.split('\n')[0] ?? code),
    }
  }
  try {
    return { value: document.toJS({ maxAliasCount: 0 }), faults: [] }
  } catch {
    return { value: undefined, faults: ['aliases are not allowed'] }
  }
}

export const yamlFault = (file: string, at: string, rule: string, zh: string, en: string): Violation => ({
  pointer: `${file}#${at}`,
  rule,
  message: { zh, en },
})

/** A YAML file in the shape that is wanted; undefined when it is faulty, with every fault in `faults`. */
export function readYamlFile<T>(dir: string, file: string, shape: z.ZodType<T>, faults: Violation[]): T | undefined {
  const path = join(dir, file)
  if (!existsSync(path)) {
    faults.push(yamlFault(file, '', 'missing', '文件不存在', 'the file does not exist'))
    return undefined
  }
  const { value, faults: yamlFaults } = parseYaml(readFileSync(path, 'utf8'))
  for (const why of yamlFaults)
    faults.push(yamlFault(file, '', 'yaml', `YAML 有误：${why}`, `the YAML is faulty: ${why}`))
  if (yamlFaults.length > 0) return undefined
  const parsed = shape.safeParse(value)
  if (parsed.success) return parsed.data
  for (const issue of parsed.error.issues) {
    const at = issue.path.map((part) => `/${String(part)}`).join('')
    faults.push(yamlFault(file, at, issue.code, `数据有误：${issue.message}`, issue.message))
  }
  return undefined
}
