import { randomBytes, randomUUID } from 'node:crypto'
import {
  closeSync,
  fstatSync,
  fsyncSync,
  linkSync,
  mkdirSync,
  openSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { dirname } from 'node:path'
import { HubError } from '#kernel/errors.ts'
import { isJsonObject, type Json, type JsonObject, parseStrictJson } from '#kernel/json.ts'
import { generateKeyPair, importPublicJwk, type PublicKey } from './keys.ts'
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
  const text = readPrivateFile(file) ?? (create ? createRing(file) : undefined)
  if (text === undefined) throw faulty(file, '密钥环文件不存在', 'the key ring file does not exist')
  const { keys, digestKey } = parseRing(file, text)
  const signers = keys.map(createSigner)
  const [signer] = signers
  if (signer === undefined) throw faulty(file, '密钥环中没有密钥', 'the key ring holds no key')
  const publicKeys = Object.freeze(signers.map(({ publicJwk }) => importPublicJwk(publicJwk)))
  return Object.freeze({ signer, publicKeys, jwks: () => ({ keys: publicKeys.map(({ jwk }) => jwk) }), digestKey })
}

/** The text of a file that only its owner can read, or undefined when there is none. */
function readPrivateFile(file: string): string | undefined {
  let descriptor: number
  try {
    descriptor = openSync(file, 'r')
  } catch (cause) {
    if (isErrno(cause, 'ENOENT')) return undefined
    throw faulty(file, '密钥环文件无法打开', 'the key ring file cannot be opened', cause)
  }
  try {
    const stat = fstatSync(descriptor)
    if (!stat.isFile()) throw faulty(file, '不是普通文件', 'it is not a regular file')
    // Windows has no such mode bits; there the directory's access list protects the file.
    if (process.platform !== 'win32' && (stat.mode & 0o077) !== 0) {
      throw faulty(
        file,
        `同组或其他用户可读写，请执行 chmod 600 ${file}`,
        `others have access to it; run chmod 600 ${file}`,
      )
    }
    return readFileSync(descriptor, 'utf8')
  } finally {
    closeSync(descriptor)
  }
}

/**
 * Writes a new ring beside the file and links it to its name: the name never shows half a ring, and link fails when
 * another process was first, whose ring is then the one. (rename would replace it.) Gives the text that is in place.
 */
function createRing(file: string): string {
  const ring = {
    format: FORMAT,
    keys: [generateKeyPair('ES256').privateJwk],
    digestKey: randomBytes(DIGEST_KEY_BYTES).toString('base64url'),
  }
  const directory = dirname(file)
  const draft = `${file}.${randomUUID()}.draft`
  try {
    mkdirSync(directory, { recursive: true, mode: 0o700 })
    writeFileSync(draft, `${JSON.stringify(ring, null, 2)}\n`, { mode: 0o600, flag: 'wx', flush: true })
    linkSync(draft, file)
    syncDirectory(directory)
  } catch (cause) {
    if (!isErrno(cause, 'EEXIST'))
      throw faulty(file, '无法创建密钥环文件', 'the key ring file cannot be created', cause)
  } finally {
    rmSync(draft, { force: true })
  }
  const text = readPrivateFile(file)
  if (text === undefined) throw faulty(file, '密钥环文件刚创建即消失', 'the key ring file vanished as it was created')
  return text
}

/** Makes the new name itself durable: a receipt must not outlive the key that signed it. */
function syncDirectory(directory: string): void {
  if (process.platform === 'win32') return
  const descriptor = openSync(directory, 'r')
  try {
    fsyncSync(descriptor)
  } finally {
    closeSync(descriptor)
  }
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

const isErrno = (error: unknown, code: string): boolean =>
  error instanceof Error && 'code' in error && error.code === code

function faulty(file: string, zh: string, en: string, cause?: unknown): HubError {
  return new HubError('config.invalid', {
    violations: [{ pointer: '', rule: 'key-ring', message: { zh, en } }],
    detail: { zh: `密钥环 ${file}：${zh}`, en: `key ring ${file}: ${en}` },
    cause,
  })
}
