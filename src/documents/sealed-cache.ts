import { createCipheriv, createDecipheriv, randomBytes } from 'node:crypto'
import type { Clock } from '#kernel/clock.ts'

/** Of values that JSON keeps whole. */
export interface SealedCache<T> {
  readonly get: (key: string) => T | undefined
  readonly put: (key: string, value: T, expiresMs: number) => void
  readonly load: () => { readonly entries: number; readonly bytes: number }
}

interface Entry {
  readonly sealed: Buffer
  readonly expiresMs: number
}

const NONCE = 12
const TAG = 16
const SWEEP_EVERY_MS = 1_000

/**
 * Answers of others for a few minutes, in memory and under a key that dies with the process (AES-256-GCM), so that no
 * swap file, core or heap dump holds them in the clear. Bounded in entries and bytes; the least recently used go first.
 */
export function createSealedCache<T>(
  clock: Clock,
  limits: { readonly entries: number; readonly bytes: number },
): SealedCache<T> {
  const secret = randomBytes(32)
  const entries = new Map<string, Entry>()
  let bytes = 0
  let sweepAt = 0

  const drop = (key: string): void => {
    bytes -= entries.get(key)?.sealed.length ?? 0
    entries.delete(key)
  }
  const sweep = (nowMs: number): void => {
    if (nowMs < sweepAt) return
    sweepAt = nowMs + SWEEP_EVERY_MS
    for (const [key, { expiresMs }] of entries) if (expiresMs <= nowMs) drop(key)
  }

  return {
    get(key) {
      sweep(clock())
      const entry = entries.get(key)
      if (entry === undefined) return undefined
      entries.delete(key)
      if (entry.expiresMs <= clock()) {
        bytes -= entry.sealed.length
        return undefined
      }
      entries.set(key, entry)
      return JSON.parse(open(secret, key, entry.sealed)) as T
    },
    put(key, value, expiresMs) {
      const nowMs = clock()
      sweep(nowMs)
      drop(key)
      const sealed = seal(secret, key, JSON.stringify(value))
      if (expiresMs <= nowMs || sealed.length > limits.bytes) return
      entries.set(key, { sealed, expiresMs })
      bytes += sealed.length
      for (const oldest of entries.keys()) {
        if (entries.size <= limits.entries && bytes <= limits.bytes) break
        drop(oldest)
      }
    },
    load: () => ({ entries: entries.size, bytes }),
  }
}

/** The key of the entry is authenticated too: no entry can stand for another. */
function seal(secret: Buffer, key: string, plain: string): Buffer {
  const nonce = randomBytes(NONCE)
  const cipher = createCipheriv('aes-256-gcm', secret, nonce).setAAD(Buffer.from(key))
  return Buffer.concat([nonce, cipher.update(plain, 'utf8'), cipher.final(), cipher.getAuthTag()])
}

function open(secret: Buffer, key: string, sealed: Buffer): string {
  const decipher = createDecipheriv('aes-256-gcm', secret, sealed.subarray(0, NONCE))
  decipher.setAAD(Buffer.from(key)).setAuthTag(sealed.subarray(-TAG))
  return Buffer.concat([decipher.update(sealed.subarray(NONCE, -TAG)), decipher.final()]).toString('utf8')
}
