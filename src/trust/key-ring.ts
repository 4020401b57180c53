import { randomBytes } from 'node:crypto'
import { HubError } from '#kernel/errors.ts'
import { isJsonObject, type Json, type JsonObject, parseStrictJson } from '#kernel/json.ts'
import { generateKeyPair, importPublicJwk, type PublicKey } from './keys.ts'
import { createPrivateFile, readPrivateFile } from './private-file.ts'
import { createSigner, type Signer } from './sign.ts'

/** The hub's own keys. The first key in the file signs; the others only stay published, for what they once signed. */
export interface HubKeyRing {
  readonly signer: Signer
  readonly publicKeys: readonly PublicKey[]
  /** The public half as a JWK Set (RFC 7517 §5). */
  readonly jwks: () => { readonly keys: readonly JsonObject[] }
  /** 32 bytes: the key of the content digests. Lost with it: the recognition of every replayed content. */
  readonly digestKey: Buffer
}

const FORMAT = 'dianqiao-key-ring@1'
const DIGEST_KEY_BYTES = 32

/**
 * Opens the ring in `file`, {format, keys: private JWKs, digestKey: base64url}; where it is missing and `create` is
 * set, makes one with an ES256 key. Of several processes that start at once all open the same ring.
 * Throws config.invalid (missing, readable by others, damaged) or key.refused (a key in it is unsound).
 */
export function openKeyRing(file: string, create: boolean): HubKeyRing {
  const text = readPrivateFile(file, faulty) ?? (create ? createRing(file) : undefined)
  if (text === undefined) throw faulty(file, '密钥环文件不存在', 'the key ring file does not exist')
  const { keys, digestKey } = parseRing(file, text)
  const signers = keys.map(createSigner)
  const [signer] = signers
  if (signer === undefined) throw faulty(file, '密钥环中没有密钥', 'the key ring holds no key')
  const publicKeys = Object.freeze(signers.map(({ publicJwk }) => importPublicJwk(publicJwk)))
  return Object.freeze({ signer, publicKeys, jwks: () => ({ keys: publicKeys.map(({ jwk }) => jwk) }), digestKey })
}

/** Makes a ring; gives the text that is in place, whoever made it. */
function createRing(file: string): string {
  const ring = {
    format: FORMAT,
    keys: [generateKeyPair('ES256').privateJwk],
    digestKey: randomBytes(DIGEST_KEY_BYTES).toString('base64url'),
  }
  return createPrivateFile(file, ring, faulty)
}

function parseRing(file: string, text: string): { keys: readonly JsonObject[]; digestKey: Buffer } {
  const ring = parseText(file, text)
  if (!isJsonObject(ring) || ring['format'] !== FORMAT) {
    throw faulty(file, `format 须为 ${FORMAT}`, `its format must be ${FORMAT}`)
  }
  const { keys, digestKey } = ring
  if (!Array.isArray(keys) || !keys.every(isJsonObject)) {
    throw faulty(file, 'keys 须为私钥 JWK 的数组', 'its keys must be a list of private JWKs')
  }
  const digestKeyBytes = Buffer.from(typeof digestKey === 'string' ? digestKey : '', 'base64url')
  if (digestKeyBytes.length !== DIGEST_KEY_BYTES) {
    throw faulty(file, `digestKey 须为 ${DIGEST_KEY_BYTES} 字节`, `its digestKey must be ${DIGEST_KEY_BYTES} bytes`)
  }
  return { keys, digestKey: digestKeyBytes }
}

function parseText(file: string, text: string): Json {
  try {
    return parseStrictJson(text)
  } catch {
    // Without the cause: a JSON error quotes the text, and this text is private keys.
    throw faulty(file, '不是合法的 JSON', 'it is not valid JSON')
  }
}

function faulty(file: string, zh: string, en: string, cause?: unknown): HubError {
  return new HubError('config.invalid', {
    violations: [{ pointer: '', rule: 'key-ring', message: { zh, en } }],
    detail: { zh: `密钥环 ${file}：${zh}`, en: `key ring ${file}: ${en}` },
    cause,
  })
}
