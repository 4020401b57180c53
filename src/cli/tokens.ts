import { readFileSync } from 'node:fs'
import { MAX_TOKEN_BYTES } from '#exchange/accept.ts'
import { HubError } from '#kernel/errors.ts'
import { isJsonObject, type Json, parseStrictJson } from '#kernel/json.ts'
import { TOKEN_TYPES } from '#trust/claims.ts'
import { parseCompact } from '#trust/compact.ts'
import { importPublicJwk } from '#trust/keys.ts'
import { createSigner } from '#trust/sign.ts'
import { verifySignature } from '#trust/verify.ts'
import { printError, printJson, readStdin, say } from './output.ts'

const NO = 3

export async function signToken(typ: string, keyFile: string): Promise<void> {
  const type = TOKEN_TYPES.find((one) => one === typ)
  if (type === undefined)
    throw usage(`typ 应为 ${TOKEN_TYPES.join('、')} 之一`, `typ is one of ${TOKEN_TYPES.join(', ')}`)
  const claims = parseStrictJson(await readStdin())
  if (!isJsonObject(claims)) throw usage('stdin 应为 JSON 对象', 'stdin must be a JSON object')
  process.stdout.write(`${createSigner(readObject(keyFile)).sign(type, claims)}\n`)
}

export async function decodeToken(): Promise<void> {
  const { header, claims } = parseCompact((await readStdin()).trimEnd(), MAX_TOKEN_BYTES)
  printJson({ header, claims })
}

/** Exit code 3 when the token does not verify. */
export async function verifyToken(jwksFile: string): Promise<number> {
  const token = parseCompact((await readStdin()).trimEnd(), MAX_TOKEN_BYTES)
  const document = readObject(jwksFile)
  const jwks = Array.isArray(document['keys']) ? (document['keys'] as Json[]) : [document]
  const key = jwks.map(importPublicJwk).find((one) => one.kid === token.header.kid)
  try {
    if (key === undefined) throw new HubError('token.key_unknown')
    verifySignature(token, key)
  } catch (error) {
    if (!(error instanceof HubError)) throw error
    printError(error)
    return NO
  }
  printJson({ header: token.header, claims: token.claims })
  say('verified')
  return 0
}

function readObject(file: string): { readonly [member: string]: Json } {
  let text: string
  try {
    text = readFileSync(file, 'utf8')
  } catch (cause) {
    throw new HubError('cli.usage', { cause, detail: { zh: `无法读取 ${file}`, en: `cannot read ${file}` } })
  }
  const value = parseStrictJson(text)
  if (!isJsonObject(value)) throw usage(`${file} 应为 JSON 对象`, `${file} must hold a JSON object`)
  return value
}

const usage = (zh: string, en: string): HubError => new HubError('cli.usage', { detail: { zh, en } })
