import { PROJECT_ROOT } from '#compose.ts'
import { loadContracts } from '#contracts/load.ts'
import { MAX_TOKEN_BYTES } from '#exchange/accept.ts'
import { HubError } from '#kernel/errors.ts'
import { isJsonObject, type Json, type JsonObject, parseStrictJson } from '#kernel/json.ts'
import { TOKEN_TYPES } from '#trust/claims.ts'
import { parseCompact } from '#trust/compact.ts'
import { importPublicJwk } from '#trust/keys.ts'
import { createSigner } from '#trust/sign.ts'
import { verifySignature } from '#trust/verify.ts'
import { readJsonFile, usage } from './json-file.ts'
import { maskClaims } from './masked-claims.ts'
import { printError, printJson, readStdin, say } from './output.ts'

const NO = 3

export async function signToken(typ: string, keyFile: string): Promise<void> {
  const type = TOKEN_TYPES.find((one) => one === typ)
  if (type === undefined)
    throw usage(`typ 应为 ${TOKEN_TYPES.join('、')} 之一`, `typ is one of ${TOKEN_TYPES.join(', ')}`)
  const claims = parseStrictJson(await readStdin())
  if (!isJsonObject(claims)) throw usage('stdin 应为 JSON 对象', 'stdin must be a JSON object')
  process.stdout.write(`${createSigner(readJsonFile(keyFile)).sign(type, claims)}\n`)
}

/** Header and claims; personal values are masked unless they are to be revealed. */
export async function decodeToken(reveal: boolean): Promise<void> {
  const { header, claims } = parseCompact((await readStdin()).trimEnd(), MAX_TOKEN_BYTES)
  printJson({ header, claims: shown(claims, reveal) })
}

const shown = (claims: JsonObject, reveal: boolean): JsonObject =>
  reveal ? claims : maskClaims(loadContracts(PROJECT_ROOT), claims)

/** A JWK Set of the hub also holds what parties wrap for on the broker. */
const isSigning = (jwk: Json): boolean => !isJsonObject(jwk) || jwk['use'] !== 'enc'

/** Exit code 3 when the token does not verify. */
export async function verifyToken(jwksFile: string, reveal: boolean): Promise<number> {
  const token = parseCompact((await readStdin()).trimEnd(), MAX_TOKEN_BYTES)
  const document = readJsonFile(jwksFile)
  const jwks = Array.isArray(document['keys']) ? (document['keys'] as Json[]) : [document]
  const key = jwks
    .filter(isSigning)
    .map(importPublicJwk)
    .find((one) => one.kid === token.header.kid)
  try {
    if (key === undefined) throw new HubError('token.key_unknown')
    verifySignature(token, key)
  } catch (error) {
    if (!(error instanceof HubError)) throw error
    printError(error)
    return NO
  }
  printJson({ header: token.header, claims: shown(token.claims, reveal) })
  say('verified')
  return 0
}
