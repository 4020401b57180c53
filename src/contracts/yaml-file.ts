import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { loadAll, YAMLException } from 'js-yaml'
import type { z } from 'zod'
import type { Violation } from '#kernel/errors.ts'

/**
 * YAML 1.2 (core) of one document, null where there is none. Duplicate keys, tags of its own and aliases are a fault, told
 * in an English sentence.
 */
export function parseYaml(text: string): { readonly value: unknown; readonly fault?: string } {
  try {
    const [value = null, ...others] = loadAll(text, { maxAliases: 0 })
    return others.length === 0 ? { value } : { value: undefined, fault: 'there is more than one document' }
  } catch (error) {
    if (!(error instanceof YAMLException)) throw error
    return { value: undefined, fault: error.message.split('\n', 1)[0] ?? error.reason }
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
  const { value, fault } = parseYaml(readFileSync(path, 'utf8'))
  if (fault !== undefined) {
    faults.push(yamlFault(file, '', 'yaml', `YAML 有误：${fault}`, `the YAML is faulty: ${fault}`))
    return undefined
  }
  const parsed = shape.safeParse(value)
  if (parsed.success) return parsed.data
  for (const issue of parsed.error.issues) {
    const at = issue.path.map((part) => `/${String(part)}`).join('')
    faults.push(yamlFault(file, at, issue.code, `数据有误：${issue.message}`, issue.message))
  }
  return undefined
}
