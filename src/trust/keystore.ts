import { createCipheriv, createDecipheriv, randomBytes } from 'node:crypto'
import { HubError } from '#kernel/errors.ts'
import { isJsonObject, type Json, parseStrictJson } from '#kernel/json.ts'
import { createPrivateFile, readPrivateFile, replacePrivateFile } from './private-file.ts'

/** A data key under the key-encryption key of a version. */
export interface WrappedKey {
  readonly wrapped: Buffer
  readonly kekVersion: number
}

/**
 * Holds the key-encryption keys and never hands one out: asynchronous, so that a hardware module can stand here. A
 * port; the file below is its first implementation. `binding` names what a data key is for: unwrapping under another
 * name fails, so that no row of the database can be passed off as another.
 */
export interface Keystore {
  /** Under the newest version. */
  wrap(dataKey: Buffer, binding: string): Promise<WrappedKey>
  /** Throws `vault.keystore_faulty` when the version is unknown or the bytes were changed. */
  unwrap(key: WrappedKey, binding: string): Promise<Buffer>
  /** The version that `wrap` uses. */
  version(): Promise<number>
  /** Adds a version, which is used from now on; the older ones still unwrap. */
  rotate(): Promise<number>
  /** Gives up every version but the newest and those named, for good. */
  forget(inUse: readonly number[]): Promise<void>
}

const FORMAT = 'dianqiao-keystore@1'
const KEY_BYTES = 32
const NONCE_BYTES = 12
const TAG_BYTES = 16

/**
 * The key-encryption keys in a file of mode 0600, {format, keys: base64url by version}, which belongs on another host
 * than the database: who has both reads everything. Where it is missing and `create` is set, it is made; of several
 * processes that start at once all use the same. Read at every use, so that all processes see a rotation; the vault
 * asks for a few keys a day. Throws `vault.keystore_faulty` (missing, readable by others, damaged).
 */
export function openFileKeystore(file: string, create: boolean): Keystore {
  if (readPrivateFile(file, faulty) === undefined) {
    if (!create) throw faulty(file, '文件不存在', 'the file does not exist')
    createPrivateFile(file, contentOf(new Map([[1, newKey()]])), faulty)
  }
  readKeys(file)
  return {
    async wrap(dataKey, binding) {
      const keys = readKeys(file)
      const kekVersion = newest(keys)
      return { wrapped: wrapUnder(keyOf(file, keys, kekVersion), dataKey, binding), kekVersion }
    },
    async unwrap({ wrapped, kekVersion }, binding) {
      return unwrapUnder(keyOf(file, readKeys(file), kekVersion), wrapped, binding)
    },
    version: async () => newest(readKeys(file)),
    async rotate() {
      const keys = readKeys(file)
      const version = newest(keys) + 1
      replacePrivateFile(file, contentOf(new Map([...keys, [version, newKey()]])), faulty)
      return version
    },
    async forget(inUse) {
      const keys = readKeys(file)
      const kept = [...keys].filter(([version]) => version === newest(keys) || inUse.includes(version))
      replacePrivateFile(file, contentOf(new Map(kept)), faulty)
    },
  }
}

const newKey = (): Buffer => randomBytes(KEY_BYTES)

const contentOf = (keys: ReadonlyMap<number, Buffer>): object => ({
  format: FORMAT,
  keys: Object.fromEntries([...keys].map(([version, key]) => [version, key.toString('base64url')])),
})

const newest = (keys: ReadonlyMap<number, Buffer>): number => Math.max(...keys.keys())

function keyOf(file: string, keys: ReadonlyMap<number, Buffer>, version: number): Buffer {
  const key = keys.get(version)
  if (key !== undefined) return key
  throw faulty(file, `没有版本 ${version} 的主密钥`, `it holds no key-encryption key of version ${version}`)
}

/** AES-256-GCM under a random nonce: nonce, ciphertext, tag. A key-encryption key wraps a few thousand keys in its life. */
function wrapUnder(kek: Buffer, dataKey: Buffer, binding: string): Buffer {
  const nonce = randomBytes(NONCE_BYTES)
  const cipher = createCipheriv('aes-256-gcm', kek, nonce).setAAD(Buffer.from(binding))
  return Buffer.concat([nonce, cipher.update(dataKey), cipher.final(), cipher.getAuthTag()])
}

function unwrapUnder(kek: Buffer, wrapped: Buffer, binding: string): Buffer {
  try {
    const decipher = createDecipheriv('aes-256-gcm', kek, wrapped.subarray(0, NONCE_BYTES), {
      authTagLength: TAG_BYTES,
    })
      .setAAD(Buffer.from(binding))
      .setAuthTag(wrapped.subarray(-TAG_BYTES))
    return Buffer.concat([decipher.update(wrapped.subarray(NONCE_BYTES, -TAG_BYTES)), decipher.final()])
  } catch (cause) {
    const detail = {
      zh: `数据密钥 ${binding} 无法解开：不属于此密钥库，或已损坏`,
      en: `the data key ${binding} does not open: it is of another keystore, or damaged`,
    }
    throw new HubError('vault.keystore_faulty', { detail, cause })
  }
}

function readKeys(file: string): ReadonlyMap<number, Buffer> {
  const text = readPrivateFile(file, faulty)
  if (text === undefined) throw faulty(file, '文件不存在', 'the file does not exist')
  const content = parseText(file, text)
  if (!isJsonObject(content) || content['format'] !== FORMAT || !isJsonObject(content['keys'])) {
    throw faulty(file, `format 须为 ${FORMAT}`, `its format must be ${FORMAT}`)
  }
  const keys = new Map(
    Object.entries(content['keys']).map(([version, key]) => [
      Number(version),
      Buffer.from(typeof key === 'string' ? key : '', 'base64url'),
    ]),
  )
  const isSound = [...keys].every(([version, key]) => Number.isSafeInteger(version) && key.length === KEY_BYTES)
  if (keys.size === 0 || !isSound) {
    throw faulty(file, `每个版本须有 ${KEY_BYTES} 字节的密钥`, `each version must have a key of ${KEY_BYTES} bytes`)
  }
  return keys
}

function parseText(file: string, text: string): Json {
  try {
    return parseStrictJson(text)
  } catch {
    // Without the cause: a JSON error quotes the text, and this text is keys.
    throw faulty(file, '不是合法的 JSON', 'it is not valid JSON')
  }
}

function faulty(file: string, zh: string, en: string, cause?: unknown): HubError {
  return new HubError('vault.keystore_faulty', {
    violations: [{ pointer: '', rule: 'keystore', message: { zh, en } }],
    detail: { zh: `密钥库 ${file}：${zh}`, en: `keystore ${file}: ${en}` },
    cause,
  })
}
