import { readFileSync } from 'node:fs'
import type { Bus } from '#bus/bus.ts'
import type { ContractSet } from '#contracts/contract.ts'
import type { BusReader } from '#gateway/metric-gauges.ts'
import { createMetrics, type Metrics } from '#gateway/metrics.ts'
import type { Clock } from '#kernel/clock.ts'
import { HubError } from '#kernel/errors.ts'
import type { Db } from '#store/db.ts'
import { countDisputes } from '#store/dispute-queries.ts'
import { fileLoad } from '#store/file-queries.ts'
import { clockOffsetMs } from '#store/health-queries.ts'
import { readBacklog } from '#store/operations-queries.ts'
import type { LiveVault } from '#trust/vault.ts'
import type { Config } from './config.ts'

interface Load {
  readonly rows: number
  readonly bytes: number
}

interface Watched {
  readonly db: Db
  readonly clock: Clock
  readonly contracts: ContractSet
  readonly bus: () => Bus
  readonly vault: LiveVault
  readonly busReaders: readonly BusReader[]
  readonly queue: () => Load
  readonly queueLimits: Load
  readonly notReady: () => Promise<readonly string[]>
}

/** The readers of the log whose lag shows; the relay reads deliveries instead, and their age shows its lag. */
export const LOG_READERS: readonly string[] = [
  'cases',
  'routing',
  'outcomes',
  'consents',
  'sessions',
  'disputes',
  'document-status',
]

/** The metrics of a process, bound to what they watch. */
export const composeMetrics = ({ db, clock, contracts, bus, busReaders, vault, ...watched }: Watched): Metrics =>
  createMetrics({
    ...watched,
    isContract: (ref) => contracts.get(ref) !== undefined,
    backlog: () => readBacklog(db, LOG_READERS),
    files: () => fileLoad(db),
    disputes: () => countDisputes(db),
    clockOffsetMs: () => clockOffsetMs(db, clock),
    vaultSeconds: () => (vault.sealsUntilMs() - clock()) / 1_000,
    busReaders: () => busReaders,
    busLag: (topic, group) => bus().lag(topic, group),
  })

/** The bearer token that opens `/metrics`, or undefined. Throws `config.invalid` when its file holds none. */
export function metricsToken({ metricsTokenFile: file }: Config): string | undefined {
  if (file === undefined) return undefined
  try {
    const token = readFileSync(file, 'utf8').trim()
    if (/^[!-~]{16,512}$/.test(token)) return token
  } catch (cause) {
    throw new HubError('config.invalid', { cause, detail: { zh: `无法读取 ${file}`, en: `cannot read ${file}` } })
  }
  throw new HubError('config.invalid', {
    detail: {
      zh: `${file} 中的令牌应为 16–512 个可见 ASCII 字符`,
      en: `the token in ${file} should be 16 to 512 visible ASCII characters`,
    },
  })
}
