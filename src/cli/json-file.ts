import { readFileSync } from 'node:fs'
import { HubError } from '#kernel/errors.ts'
import { isJsonObject, type JsonObject, parseStrictJson } from '#kernel/json.ts'

/** A file that holds a JSON object. Throws `cli.usage`. */
export function readJsonFile(file: string): JsonObject {
  let text: string
  try {
    text = readFileSync(file, 'utf8')
  } catch (cause) {
    throw usage(`无法读取 ${file}`, `cannot read ${file}`, cause)
  }
  try {
    const value = parseStrictJson(text)
    if (isJsonObject(value)) return value
  } catch (cause) {
    throw usage(`${file} 不是合法的 JSON`, `${file} is not valid JSON`, cause)
  }
  throw usage(`${file} 应为 JSON 对象`, `${file} must hold a JSON object`)
}

export const usage = (zh: string, en: string, cause?: unknown): HubError =>
  new HubError('cli.usage', { cause, detail: { zh, en } })
