import {
  createCipheriv,
  createDecipheriv,
  createHash,
  createPublicKey,
  diffieHellman,
  generateKeyPairSync,
  type KeyObject,
  randomBytes,
} from 'node:crypto'
import { compactDecrypt } from 'jose'
import { HubError } from '#kernel/errors.ts'
import { isJsonObject, type JsonObject, parseStrictJson } from '#kernel/json.ts'
import type { DecryptionKeys, EncryptionKey } from './encryption-keys.ts'

/** What wraps a value of a broker (PROTOCOL, Kafka): RFC 7516 compact, ECDH-ES on P-256, A256GCM; the token inside. */
const HEADER = { alg: 'ECDH-ES', enc: 'A256GCM', typ: 'JWE', cty: 'JWT' } as const
const HEADER_MEMBERS: ReadonlySet<string> = new Set([...Object.keys(HEADER), 'kid', 'epk'])

/** Both key agreements are taken: some libraries know only the one with a wrapped key. */
const ALGORITHMS = { keyManagementAlgorithms: ['ECDH-ES', 'ECDH-ES+A256KW'], contentEncryptionAlgorithms: ['A256GCM'] }

const COMPACT_JWE = /^[A-Za-z0-9_-]+\.[A-Za-z0-9_-]*\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+$/
const IV_BYTES = 12
const TAG_BYTES = 16

/** Five parts; a token has three. */
export const isEncrypted = (text: string): boolean => COMPACT_JWE.test(text)

/** Synchronous node:crypto: a library's key agreement is a chain of jobs, each of which waits for a busy event loop. */
export function encryptFor({ key, kid }: EncryptionKey, token: Buffer): string {
  const ephemeral = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const header = base64url(JSON.stringify({ ...HEADER, kid, epk: ephemeral.publicKey.export({ format: 'jwk' }) }))
  const iv = randomBytes(IV_BYTES)
  const cipher = createCipheriv('aes-256-gcm', agreedKey(ephemeral.privateKey, key), iv)
  cipher.setAAD(Buffer.from(header))
  const sealed = base64url(Buffer.concat([cipher.update(token), cipher.final()]))
  return `${header}..${base64url(iv)}.${sealed}.${base64url(cipher.getAuthTag())}`
}

/** The token inside. Throws `token.encryption_invalid` for another recipient's, other algorithms, or changed bytes. */
export async function decryptWith(keys: DecryptionKeys, text: string): Promise<string> {
  try {
    return decryptOwn(keys, text) ?? (await decryptForeign(keys, text))
  } catch (cause) {
    throw new HubError('token.encryption_invalid', { cause })
  }
}

/** What `encryptFor` wrote; undefined for any other form. */
function decryptOwn(keys: DecryptionKeys, text: string): string | undefined {
  const [protectedHeader = '', , iv = '', sealed = '', tag = ''] = text.split('.')
  const header = parseStrictJson(Buffer.from(protectedHeader, 'base64url').toString('utf8'))
  if (!isJsonObject(header) || !isOwnForm(header) || !text.startsWith(`${protectedHeader}..`)) return undefined
  const ephemeral = createPublicKey({ key: header['epk'] as JsonObject, format: 'jwk' })
  const key = agreedKey(privateKeyOf(keys, header['kid']), ephemeral)
  const decipher = createDecipheriv('aes-256-gcm', key, bytes(iv, IV_BYTES), { authTagLength: TAG_BYTES })
  decipher.setAAD(Buffer.from(protectedHeader))
  decipher.setAuthTag(bytes(tag, TAG_BYTES))
  return decipher.update(sealed, 'base64url', 'latin1') + decipher.final('latin1')
}

const isOwnForm = (header: JsonObject): boolean =>
  Object.entries(HEADER).every(([name, value]) => header[name] === value) &&
  Object.keys(header).every((name) => HEADER_MEMBERS.has(name))

async function decryptForeign(keys: DecryptionKeys, text: string): Promise<string> {
  const keyOf = ({ kid }: { kid?: string }): KeyObject => privateKeyOf(keys, kid)
  const { plaintext } = await compactDecrypt(text, keyOf, ALGORITHMS)
  return Buffer.from(plaintext).toString('latin1')
}

function privateKeyOf(keys: DecryptionKeys, kid: unknown): KeyObject {
  const key = typeof kid === 'string' ? keys.privateKey(kid) : undefined
  if (key === undefined) throw new HubError('token.encryption_invalid')
  return key
}

/** ECDH-ES in direct mode for A256GCM: the Concat KDF of RFC 7518 §4.6.2 without party information, one round of SHA-256. */
function agreedKey(privateKey: KeyObject, publicKey: KeyObject): Buffer {
  return createHash('sha256')
    .update(uint32(1))
    .update(diffieHellman({ privateKey, publicKey }))
    .update(uint32(HEADER.enc.length))
    .update(HEADER.enc)
    .update(uint32(0))
    .update(uint32(0))
    .update(uint32(256))
    .digest()
}

function uint32(value: number): Buffer {
  const buffer = Buffer.alloc(4)
  buffer.writeUInt32BE(value)
  return buffer
}

function bytes(text: string, length: number): Buffer {
  const buffer = Buffer.from(text, 'base64url')
  if (buffer.length !== length) throw new HubError('token.encryption_invalid')
  return buffer
}

const base64url = (value: Buffer | string): string => Buffer.from(value).toString('base64url')
