import { createPrivateKey, createPublicKey, generateKeyPairSync, type KeyObject } from 'node:crypto'
import { HubError, violated } from '#kernel/errors.ts'
import { isJsonObject, type Json, type JsonObject, parseStrictJson } from '#kernel/json.ts'
import { importPublicJwk } from './keys.ts'
import { createPrivateFile, readPrivateFile } from './private-file.ts'

/** A public key that values on a broker are wrapped for: P-256, ECDH-ES (RFC 7518 §4.6). */
export interface EncryptionKey {
  /** RFC 7638 thumbprint. */
  readonly kid: string
  readonly key: KeyObject
  /** The public members with `alg`, `kid` and `use: enc`. */
  readonly jwk: JsonObject
}

/** The private halves: the first is the one that others wrap for, the older ones still unwrap. */
export interface DecryptionKeys {
  readonly current: EncryptionKey
  readonly publicKeys: readonly EncryptionKey[]
  readonly privateKey: (kid: string) => KeyObject | undefined
}

const FORMAT = 'dianqiao-encryption-keys@1'
const ALGORITHMS: readonly Json[] = ['ECDH-ES', 'ECDH-ES+A256KW']

/** A public encryption JWK made ready for use. Throws `key.refused` as importPublicJwk does, and for another type. */
export function importEncryptionJwk(jwk: Json): EncryptionKey {
  if (!isJsonObject(jwk) || jwk['kty'] !== 'EC' || jwk['crv'] !== 'P-256') {
    throw violated('key.refused', '/kty', 'jwk.type', '加密密钥只接受 EC P-256', 'an encryption key is EC P-256')
  }
  const { alg, use, key_ops: _operations, ...members } = jwk
  if (alg !== undefined && !ALGORITHMS.includes(alg)) {
    throw violated('key.refused', '/alg', 'jwk.alg', 'alg 须为 ECDH-ES', 'the alg must be ECDH-ES')
  }
  if (use !== undefined && use !== 'enc') {
    throw violated(
      'key.refused',
      '/use',
      'jwk.use',
      '须为加密密钥（use: enc）',
      'it must be an encryption key (use: enc)',
    )
  }
  const { kid, key, jwk: signing } = importPublicJwk(members)
  return Object.freeze({ kid, key, jwk: Object.freeze({ ...signing, alg: 'ECDH-ES', use: 'enc' }) })
}

/**
 * The encryption keys in `file`, {format, keys: private JWKs}; where it is missing and `create` is set, one is made. Of
 * several processes that start at once all open the same. Throws `config.invalid` (missing, readable by others, damaged).
 */
export function openDecryptionKeys(file: string, create: boolean): DecryptionKeys {
  const text = readPrivateFile(file, faulty) ?? (create ? createPrivateFile(file, newFile(), faulty) : undefined)
  if (text === undefined) throw faulty(file, '文件不存在', 'the file does not exist')
  const pairs = parse(file, text)
  const [current] = pairs
  if (current === undefined) throw faulty(file, '没有密钥', 'it holds no key')
  const byKid = new Map(pairs.map(({ publicKey, privateKey }) => [publicKey.kid, privateKey]))
  return Object.freeze({
    current: current.publicKey,
    publicKeys: Object.freeze(pairs.map(({ publicKey }) => publicKey)),
    privateKey: (kid: string) => byKid.get(kid),
  })
}

function newFile(): object {
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  return { format: FORMAT, keys: [privateKey.export({ format: 'jwk' })] }
}

interface Pair {
  readonly publicKey: EncryptionKey
  readonly privateKey: KeyObject
}

function parse(file: string, text: string): Pair[] {
  try {
    const content = parseStrictJson(text)
    const keys = isJsonObject(content) && content['format'] === FORMAT ? content['keys'] : undefined
    if (Array.isArray(keys)) return keys.filter(isJsonObject).map(pairOf)
  } catch {
    // Without the cause: what a library says about a private key stays out of logs.
  }
  throw faulty(
    file,
    `须为 ${FORMAT} 格式的 EC P-256 私钥`,
    `it must hold EC P-256 private keys in the format ${FORMAT}`,
  )
}

function pairOf(jwk: JsonObject): Pair {
  const privateKey = createPrivateKey({ key: jwk, format: 'jwk' })
  const publicJwk = createPublicKey(privateKey).export({ format: 'jwk' }) as JsonObject
  return { publicKey: importEncryptionJwk(publicJwk), privateKey }
}

function faulty(file: string, zh: string, en: string, cause?: unknown): HubError {
  return new HubError('config.invalid', {
    violations: [{ pointer: '', rule: 'encryption-keys', message: { zh, en } }],
    detail: { zh: `加密密钥 ${file}：${zh}`, en: `encryption keys ${file}: ${en}` },
    cause,
  })
}
