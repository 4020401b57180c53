import { HubError } from './errors.ts'

export type Json = null | boolean | number | string | readonly Json[] | { readonly [member: string]: Json }
export type JsonObject = { readonly [member: string]: Json }

const MAX_DEPTH = 32

/**
 * Parses JSON text as strictly as a signed message deserves (PROTOCOL, strict parse): duplicate members, lone
 * surrogates, U+0000, `__proto__`, non-finite numbers, integers beyond ±(2^53−1) and depth above 32 are refused.
 *
 * Duplicates are found by arithmetic: JSON.parse keeps one member per name, so the text holds more name separators
 * than the value holds members exactly when a name came twice. That costs one scan instead of a second parser.
 * Depth is judged by that scan, before JSON.parse would build a million nested lists. What JSON text cannot spell raw
 * (U+0000, and lone surrogates once the whole text is well-formed) needs an escape: without one no string is looked at.
 */
export function parseStrictJson(text: string): Json {
  const separators = scan(text)
  let value: Json
  try {
    value = JSON.parse(text) as Json
  } catch (cause) {
    throw refuse('json', '不是合法的 JSON', 'not valid JSON', cause)
  }
  const suspect = text.includes('\\u') || text.includes('__proto__') || !text.isWellFormed()
  if (separators !== countMembers(value, suspect)) {
    throw refuse('duplicate-member', 'JSON 对象有重复成员', 'a JSON object has duplicate members')
  }
  return value
}

/** Colons outside strings, one for every member that the text spells out; refuses brackets nested too deep. */
function scan(text: string): number {
  let colons = 0
  let depth = 0
  let at = 0
  while (at < text.length) {
    const code = text.charCodeAt(at)
    if (code === 0x22) {
      at = endOfString(text, at)
      continue
    }
    if (code === 0x3a) colons++
    else if (code === 0x5b || code === 0x7b) {
      depth++
      if (depth > MAX_DEPTH) throw refuse('depth', `嵌套超过 ${MAX_DEPTH} 层`, `nested deeper than ${MAX_DEPTH} levels`)
    } else if (code === 0x5d || code === 0x7d) depth--
    at++
  }
  return colons
}

function endOfString(text: string, openingQuote: number): number {
  let end = text.indexOf('"', openingQuote + 1)
  while (end !== -1) {
    let backslashes = 0
    while (text.charCodeAt(end - 1 - backslashes) === 0x5c) backslashes++
    if (backslashes % 2 === 0) return end + 1
    end = text.indexOf('"', end + 1)
  }
  return text.length
}

function countMembers(value: Json, suspect: boolean): number {
  if (typeof value === 'string') {
    if (suspect) checkText(value)
    return 0
  }
  if (typeof value === 'number') {
    checkNumber(value)
    return 0
  }
  if (value === null || typeof value === 'boolean') return 0
  const isList = Array.isArray(value)
  if (suspect && !isList) for (const name of Object.keys(value)) checkName(name)
  // Not for…in: V8 compiles it for one shape of object, and tokens have many.
  const values: readonly Json[] = isList ? value : Object.values(value)
  let members = isList ? 0 : values.length
  for (const item of values) members += countMembers(item, suspect)
  return members
}

function checkName(name: string): void {
  checkText(name)
  if (name === '__proto__') throw refuse('proto', '不允许成员名 __proto__', 'the member name __proto__ is not allowed')
}

function checkText(value: string): void {
  if (!value.isWellFormed()) throw refuse('surrogate', '字符串含有孤立代理项', 'a string holds a lone surrogate')
  if (value.includes('\u0000')) throw refuse('nul', '字符串含有 U+0000', 'a string holds U+0000')
}

function checkNumber(value: number): void {
  if (!Number.isFinite(value)) throw refuse('number', '数值超出范围', 'a number is out of range')
  if (Number.isInteger(value) && !Number.isSafeInteger(value)) {
    throw refuse('integer', '整数超出 ±(2^53−1)', 'an integer lies beyond ±(2^53−1)')
  }
}

function refuse(rule: string, zh: string, en: string, cause?: unknown): HubError {
  return new HubError('token.malformed', {
    violations: [{ pointer: '', rule: `json.${rule}`, message: { zh, en } }],
    detail: { zh, en },
    cause,
  })
}

export const isJsonObject = (value: Json | undefined): value is JsonObject =>
  typeof value === 'object' && value !== null && !Array.isArray(value)

/** What a JSON Pointer (RFC 6901) finds, or undefined. Own members only. */
export function atPointer(value: Json | undefined, pointer: string): Json | undefined {
  if (pointer === '') return value
  let current = value
  for (const part of pointer.slice(1).split('/')) {
    const name = part.includes('~') ? part.replaceAll('~1', '/').replaceAll('~0', '~') : part
    if (typeof current !== 'object' || current === null || !Object.hasOwn(current, name)) return undefined
    current = (current as JsonObject)[name]
  }
  return current
}
