import { randomBytes } from 'node:crypto'
import { type Clock, createIsoDay } from '#kernel/clock.ts'
import { HubError } from '#kernel/errors.ts'
import { RETENTION_CLASSES, type RetentionClass } from '#kernel/retention.ts'
import { type DataKeyRow, insertDataKey, readDataKeys, withKeyLock } from '#store/data-key-queries.ts'
import type { Db } from '#store/db.ts'
import type { Keystore } from './keystore.ts'

export interface DataKeyOptions {
  readonly db: Db
  readonly keystore: Keystore
  readonly clock: Clock
  /** A refresh failed; the keys in memory go on serving, tomorrow's included. */
  readonly onError?: (error: unknown) => void
}

const DAY_MS = 86_400_000
/** What is younger is read at each refresh; a process that slept longer reads everything. */
const RECENT_MS = 2 * DAY_MS

/** The day of a time, UTC: what a data key is made for. */
export const keyPeriod = createIsoDay()

/** What a data key is bound to when it is wrapped. */
export const keyBinding = ({ retention, period }: Pick<DataKeyRow, 'retention' | 'period'>): string =>
  `dianqiao data key ${retention} ${period}`

export interface DataKey {
  readonly id: number
  readonly bytes: Buffer
}

export const damaged = (cause?: unknown): HubError => new HubError('vault.sealed_damaged', { cause })

export interface DataKeys {
  readonly current: (retention: RetentionClass) => DataKey
  readonly byId: (id: number) => DataKey
  readonly refresh: () => Promise<void>
  readonly refreshQuietly: () => void
  readonly sealsUntilMs: () => number
  readonly idle: () => Promise<void>
}

/** The data keys in memory: those to seal with, by class and day, and those to open with, by id. */
export function createDataKeys({ db, keystore, clock, onError }: DataKeyOptions): DataKeys {
  const sealing = new Map<string, DataKey>()
  const opening = new Map<number, DataKey | 'destroyed'>()
  /** When an id was asked for that is not here: unknown after the next look, it is no key of this database. */
  const missed = new Map<number, number>()
  let readAtMs: number | undefined
  let underWay: Promise<void> | undefined

  async function read(withinMs?: number): Promise<void> {
    for (const row of await readDataKeys(db, withinMs)) {
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
    await read(isRecent ? RECENT_MS : undefined)
    const lacking = [nowMs, nowMs + DAY_MS].map(keyPeriod).flatMap((period) =>
      RETENTION_CLASSES.filter((retention) => !sealing.has(`${retention} ${period}`)).map((retention) => ({
        retention,
        period,
      })),
    )
    if (lacking.length > 0) {
      await makeKeys(db, keystore, lacking)
      await read(RECENT_MS)
    }
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
    sealsUntilMs: () => sealsUntil(sealing, clock()),
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

function sealsUntil(sealing: ReadonlyMap<string, DataKey>, nowMs: number): number {
  let day = nowMs
  while (RETENTION_CLASSES.every((retention) => sealing.has(`${retention} ${keyPeriod(day)}`))) day += DAY_MS
  return Date.parse(`${keyPeriod(day)}T00:00:00Z`)
}

/** So many unknown ids are remembered; what is stored names few, and a hostile value none that is opened. */
const MAX_MISSED = 1_000

/** Under the lock of a rotation: a key wrapped under the version before it could be left behind by it. */
const makeKeys = (
  db: Db,
  keystore: Keystore,
  lacking: readonly { readonly retention: string; readonly period: string }[],
): Promise<void> =>
  withKeyLock(db, async (tx) => {
    for (const key of lacking) {
      await insertDataKey(tx, { ...key, ...(await keystore.wrap(randomBytes(32), keyBinding(key))) })
    }
  })
