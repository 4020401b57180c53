import { compat } from '#contracts/compat/compare.ts'
import type { CompatibilityMode } from '#contracts/compat/verdict.ts'
import { readJsonFile } from './json-file.ts'
import { printJson, say } from './output.ts'

/** What breaks between two schema files, a JSON line each; exit code 3 when the one may not follow the other. */
export function diff(before: string, after: string, mode: CompatibilityMode, strict: boolean): number {
  const { verdict, changes } = compat([readJsonFile(before)], readJsonFile(after), mode, { strict })
  for (const change of changes) printJson(change)
  say(verdict)
  return verdict === 'compatible' ? 0 : 3
}
