import { createCipheriv, createDecipheriv, randomFillSync } from 'node:crypto'
import { HubError } from '#kernel/errors.ts'
import type { RetentionClass } from '#kernel/retention.ts'
import { createDataKeys, type DataKey, type DataKeyOptions, damaged } from './data-keys.ts'

/** Encryption at rest. Both synchronous: the data keys are unwrapped in memory. */
export interface Vault {
  /** Throws `vault.key_unavailable` (retriable) when today's key of the class could not be read yet. */
  seal(retention: RetentionClass, plain: Buffer | string): Buffer
  /** Throws `vault.key_destroyed`, `vault.key_unavailable` (retriable), `vault.sealed_damaged`. */
  open(sealed: Buffer): Buffer
}

export interface LiveVault extends Vault {
  /** Reads what other processes made or destroyed, and makes what will be needed. It does so each minute by itself. */
  refresh(): Promise<void>
  /** Until when the keys in memory suffice to seal every class, Unix milliseconds; a day or more ahead when all is well. */
  readonly sealsUntilMs: () => number
  close(): Promise<void>
}

/** Whether what was read is gone for good: whoever goes through many passes over it, with a record. */
export const isUnreadable = (error: unknown): error is HubError =>
  error instanceof HubError && (error.code === 'vault.key_destroyed' || error.code === 'vault.sealed_damaged')

const REFRESH_MS = 60_000

const PLAIN = 0
const SEALED = 1
const HEAD_BYTES = 5
const NONCE_BYTES = 12
const TAG_BYTES = 16
const OVERHEAD_BYTES = HEAD_BYTES + NONCE_BYTES + TAG_BYTES

/**
 * Opens the vault over the data keys of this database. One key for each class and day, made a day ahead by whoever
 * comes first and read back, so that all processes seal with the same and can open what the others seal.
 *
 * A sealed value is: version (1) · key id (uint32, big-endian) · nonce (12 bytes) · ciphertext · tag (16 bytes), AES-256-
 * GCM with version and key id as additional data. Version 0 is what stood in the clear before there was a vault: the
 * byte, then the value as it is.
 *
 * Nonces are random: NIST SP 800-38D §8.3 allows 2^32 of them under one key, that is 49,700 values a second in one class
 * for a whole day by all processes together; one log head, which every exchange takes, commits far fewer.
 */
export async function openVault(options: DataKeyOptions): Promise<LiveVault> {
  const keys = createDataKeys(options)
  await keys.refresh()
  const timer = setInterval(() => keys.refreshQuietly(), REFRESH_MS).unref()
  const nonces = createNonces()
  return {
    seal: (retention, plain) => seal(keys.current(retention), nonces(), plain),
    open(sealed) {
      if (sealed[0] === PLAIN) return sealed.subarray(1)
      if (sealed[0] !== SEALED || sealed.length < OVERHEAD_BYTES) throw damaged()
      return open(keys.byId(sealed.readUInt32BE(1)), sealed)
    },
    refresh: keys.refresh,
    sealsUntilMs: keys.sealsUntilMs,
    async close() {
      clearInterval(timer)
      await keys.idle()
    },
  }
}

function seal(key: DataKey, nonce: Buffer, plain: Buffer | string): Buffer {
  const head = Buffer.allocUnsafe(HEAD_BYTES)
  head[0] = SEALED
  head.writeUInt32BE(key.id, 1)
  const cipher = createCipheriv('aes-256-gcm', key.bytes, nonce).setAAD(head)
  const body = typeof plain === 'string' ? cipher.update(plain, 'utf8') : cipher.update(plain)
  cipher.final()
  return Buffer.concat([head, nonce, body, cipher.getAuthTag()])
}

function open(key: DataKey, sealed: Buffer): Buffer {
  const nonce = sealed.subarray(HEAD_BYTES, HEAD_BYTES + NONCE_BYTES)
  const decipher = createDecipheriv('aes-256-gcm', key.bytes, nonce, { authTagLength: TAG_BYTES })
    .setAAD(sealed.subarray(0, HEAD_BYTES))
    .setAuthTag(sealed.subarray(-TAG_BYTES))
  const plain = decipher.update(sealed.subarray(HEAD_BYTES + NONCE_BYTES, -TAG_BYTES))
  try {
    decipher.final()
  } catch (cause) {
    throw damaged(cause)
  }
  return plain
}

/** Many nonces from one call: a call for each costs more than the encryption of a small value. */
function createNonces(): () => Buffer {
  const pool = Buffer.allocUnsafe(NONCE_BYTES * 256)
  let at = pool.length
  return () => {
    if (at === pool.length) {
      randomFillSync(pool)
      at = 0
    }
    at += NONCE_BYTES
    return pool.subarray(at - NONCE_BYTES, at)
  }
}
