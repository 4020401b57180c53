import { createHmac, hash, type KeyObject } from 'node:crypto'
import type { Json, JsonObject } from './json.ts'

/** Canonical JSON (RFC 8785): members sorted by UTF-16 code units, ECMAScript numbers, no white space. */
export function canonicalJson(value: Json): string {
  if (typeof value !== 'object' || value === null) return JSON.stringify(value)
  if (Array.isArray(value)) return `[${value.map(canonicalJson).join(',')}]`
  const object = value as JsonObject
  let text = ''
  for (const name of Object.keys(object).sort()) {
    text += `${text === '' ? '' : ','}${JSON.stringify(name)}:${canonicalJson(object[name] as Json)}`
  }
  return `{${text}}`
}

/** `sha-256:` and the base64url digest of the text's UTF-8 bytes. */
export const sha256Digest = (text: string): string => `sha-256:${hash('sha256', text, 'base64url')}`

/** Keyed digest (HMAC-SHA-256, base64url): a plain hash of an id number could be guessed. */
export const keyedDigest = (key: KeyObject, text: string): string =>
  createHmac('sha256', key).update(text).digest('base64url')
