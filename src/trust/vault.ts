import { createCipheriv, createDecipheriv, randomBytes, randomFillSync } from 'node:crypto'
import type { Clock } from '#kernel/clock.ts'
import { HubError } from '#kernel/errors.ts'
import { RETENTION_CLASSES, type RetentionClass } from '#kernel/retention.ts'
import { type DataKeyRow, insertDataKey, readDataKeys } from '#store/data-key-queries.ts'
import type { Db } from '#store/db.ts'
import type { Keystore } from './keystore.ts'

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
  close(): Promise<void>
}

/** Whether what was read is gone for good: whoever goes through many passes over it, with a record. */
export const isUnreadable = (error: unknown): error is HubError =>
  error instanceof HubError && (error.code === 'vault.key_destroyed' || error.code === 'vault.sealed_damaged')

interface VaultOptions {
  readonly db: Db
  readonly keystore: Keystore
  readonly clock: Clock
  /** A refresh failed; the keys in memory go on serving, tomorrow's included. */
  readonly onError?: (error: unknown) => void
}

const DAY_MS = 86_400_000
const REFRESH_MS = 60_000
/** What is younger is read at each refresh; a process that slept longer reads everything. */
const RECENT_MS = 2 * DAY_MS

const PLAIN = 0
const SEALED = 1
const HEAD_BYTES = 5
const NONCE_BYTES = 12
const TAG_BYTES = 16
const OVERHEAD_BYTES = HEAD_BYTES + NONCE_BYTES + TAG_BYTES

/** The day of a time, UTC: what a data key is made for. */
export const keyPeriod = (ms: number): string => new Date(ms).toISOString().slice(0, 10)

/** What a data key is bound to when it is wrapped. */
const keyBinding = ({ retention, period }: Pick<DataKeyRow, 'retention' | 'period'>): string =>
  `dianqiao data key ${retention} ${period}`

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
export async function openVault(options: VaultOptions): Promise<LiveVault> {
  const keys = createKeys(options)
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
    async close() {
      clearInterval(timer)
      await keys.idle()
    },
  }
}

interface DataKey {
  readonly id: number
  readonly bytes: Buffer
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

const damaged = (cause?: unknown): HubError => new HubError('vault.sealed_damaged', { cause })

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

interface Keys {
  readonly current: (retention: RetentionClass) => DataKey
  readonly byId: (id: number) => DataKey
  readonly refresh: () => Promise<void>
  readonly refreshQuietly: () => void
  readonly idle: () => Promise<void>
}

/** The data keys in memory: those to seal with, by class and day, and those to open with, by id. */
function createKeys({ db, keystore, clock, onError }: VaultOptions): Keys {
  const sealing = new Map<string, DataKey>()
  const opening = new Map<number, DataKey | 'destroyed'>()
  /** When an id was asked for that is not here: unknown after the next look, it is no key of this database. */
  const missed = new Map<number, number>()
  let readAtMs: number | undefined
  let underWay: Promise<void> | undefined

  async function take(rows: readonly DataKeyRow[]): Promise<void> {
    for (const row of rows) {
      const { id, retention, period, wrapped, kek_version: kekVersion } = row
      const name = `${retention} ${period}`
      if (wrapped === null) {
        opening.set(id, 'destroyed')
        sealing.delete(name)
      } else if (!opening.has(id)) {
        const key = { id, bytes: await keystore.unwrap({ wrapped, kekVersion }, keyBinding(row)) }
        opening.set(id, key)
        sealing.set(name, key)
      }
    }
  }

  async function look(): Promise<void> {
    const startedMs = performance.now()
    const nowMs = clock()
    const isRecent = readAtMs !== undefined && startedMs - readAtMs < RECENT_MS / 2
    const read = async (): Promise<void> => take(await readDataKeys(db, isRecent ? RECENT_MS : undefined))
    await read()
    const lacking = [keyPeriod(nowMs), keyPeriod(nowMs + DAY_MS)].flatMap((period) =>
      RETENTION_CLASSES.filter((retention) => !sealing.has(`${retention} ${period}`)).map((retention) => ({
        retention,
        period,
      })),
    )
    for (const key of lacking) {
      await insertDataKey(db, { ...key, ...(await keystore.wrap(randomBytes(32), keyBinding(key))) })
    }
    if (lacking.length > 0) await read()
    readAtMs = startedMs
  }

  const refresh = (): Promise<void> => {
    underWay ??= look().finally(() => {
      underWay = undefined
    })
    return underWay
  }
  const refreshQuietly = (): void => {
    refresh().catch((error: unknown) => onError?.(error))
  }
  const unavailable = (): HubError => {
    refreshQuietly()
    return new HubError('vault.key_unavailable', { retryAfterSeconds: 1 })
  }

  return {
    refresh,
    refreshQuietly,
    idle: async () => underWay?.catch(() => {}),
    current(retention) {
      const key = sealing.get(`${retention} ${keyPeriod(clock())}`)
      if (key === undefined) throw unavailable()
      return key
    },
    byId(id) {
      const key = opening.get(id)
      if (key === 'destroyed') throw new HubError('vault.key_destroyed')
      if (key !== undefined) return key
      const missedAtMs = missed.get(id) ?? performance.now()
      if (readAtMs !== undefined && readAtMs > missedAtMs) throw damaged()
      if (missed.size < MAX_MISSED) missed.set(id, missedAtMs)
      throw unavailable()
    },
  }
}

/** So many unknown ids are remembered; what is stored names few, and a hostile value none that is opened. */
const MAX_MISSED = 1_000
