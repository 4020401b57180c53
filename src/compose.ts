import path from 'node:path'
import type { Pool } from 'pg'
import type { Bus } from '#bus/bus.ts'
import { type LiveContractSet, openContracts } from '#contracts/live-set.ts'
import { type Acceptance, type AcceptDeps, type Arrival, accept, acceptOwn } from '#exchange/accept.ts'
import { createCommitter, type WatchedCommitter } from '#exchange/committer.ts'
import { createDigests, type Digests } from '#exchange/digests.ts'
import { withAmendments } from '#exchange/judge-amendments.ts'
import { withNamings } from '#exchange/naming.ts'
import { createPartyLimits, type PartyLimits } from '#exchange/party-limits.ts'
import type { PlainRequest } from '#exchange/prove-plain.ts'
import { createRefuse, createSignRefusal, type Refuse } from '#exchange/refuse.ts'
import type { BusReader } from '#gateway/metric-gauges.ts'
import type { Metrics } from '#gateway/metrics.ts'
import { statusOf } from '#gateway/problem.ts'
import { type Clock, steadyClock, systemClock } from '#kernel/clock.ts'
import type { FaultPoint } from '#kernel/fault-point.ts'
import { type LiveRegister, openRegister } from '#parties/register.ts'
import { giveBack } from '#store/access-queries.ts'
import { type CapReserve, createCapReserve } from '#store/cap-reserve.ts'
import { logHead } from '#store/cursor.ts'
import { type Db, openDb, openPool } from '#store/db.ts'
import { findReplay, insertRefusal } from '#store/exchange-queries.ts'
import { createCommitBatch } from '#store/log-commit.ts'
import { requireCurrentSchema } from '#store/migrate.ts'
import { type DecryptionKeys, openDecryptionKeys } from '#trust/encryption-keys.ts'
import { type HubKeyRing, openKeyRing } from '#trust/key-ring.ts'
import type { Signer } from '#trust/sign.ts'
import type { LiveVault } from '#trust/vault.ts'
import { openBus } from './compose-bus.ts'
import { createLife, type Life, notReady } from './compose-health.ts'
import { composeMetrics } from './compose-metrics.ts'
import { composePlain } from './compose-plain.ts'
import { busSeal, openConfiguredVault } from './compose-vault.ts'
import type { Config } from './config.ts'
import { createFaultPoint } from './faults.ts'

/** Where contracts, schemas, connectors and seeds stand: the folder above src. */
export const PROJECT_ROOT = path.dirname(import.meta.dirname)

/** What the roles of one process share. */
export interface Core {
  readonly config: Config
  readonly clock: Clock
  readonly db: Db
  readonly contracts: LiveContractSet
  readonly register: LiveRegister
  readonly limits: PartyLimits
  readonly keyRing: HubKeyRing
  readonly vault: LiveVault
  readonly capReserve: CapReserve
  /** Unwraps what parties wrap for the hub on the broker. */
  readonly decryption: DecryptionKeys
  readonly digests: Digests
  readonly signer: Signer
  readonly refuse: Refuse
  readonly bus: Bus
  readonly life: Life
  readonly fault: FaultPoint
  readonly log: Log
  readonly metrics: Metrics
  /** What this process reads of the bus; whoever subscribes adds to it, and the metrics say how far behind it is. */
  readonly busReaders: BusReader[]
  /** The acceptance path, for the doors. */
  readonly accept: (token: string, arrival?: Arrival) => Promise<Acceptance>
  /** The same for the hub's own notices. */
  readonly acceptOwn: (token: string) => Promise<Acceptance>
  readonly acceptPlain: (request: PlainRequest) => Promise<Acceptance>
  /** Called after each commit; the loops of this process hang on it. */
  readonly onCommit: (listener: () => void) => void
  close(): Promise<void>
}

export interface LogEntry {
  readonly level: 'debug' | 'info' | 'warn' | 'error'
  readonly message: string
  readonly error?: unknown
  /** The request that its sender can quote. */
  readonly instance?: string
  readonly traceparent?: string
  /** Never personal data. */
  readonly fields?: Readonly<Record<string, string | number>>
}
export type Log = (entry: LogEntry) => void

const LANES = 2
const MIB = 1024 * 1024
const QUEUE_LIMITS = { rows: 20_000, bytes: 64 * MIB } as const

/** Opens everything on a database whose schema is current and whose register is seeded. */
export async function openCore(config: Config, databaseUrl: string, writeLog: Log): Promise<Core> {
  const clock = systemClock
  const contracts = openContracts(PROJECT_ROOT)
  const keyRing = openKeyRing(config.hubKeysFile, false)
  const decryption = openDecryptionKeys(config.hubEncryptionKeysFile, false)
  const onError = (error: Error): void => writeLog({ level: 'warn', message: 'database connection lost', error })
  const db = openDb(databaseUrl, { max: 16, onError })
  await requireCurrentSchema(db)
  const commitPool = openPool(databaseUrl, { max: LANES, onError })
  const vault = await openConfiguredVault(config, db, clock, writeLog)
  const register = await openRegister(db, steadyClock)
  const digests = createDigests(keyRing.digestKey)
  const fault = createFaultPoint(config.faultPoint)
  const limits = createPartyLimits(steadyClock, config.partyLimit)
  const common = { hubId: config.hubId, clock, contracts, register, limits, digests, vault, signer: keyRing.signer }
  const refuse = createRefuse({ ...common, statusOf, record: (row) => insertRefusal(db, row) })
  const busReaders: BusReader[] = []
  const life = createLife()
  const metrics = composeMetrics({
    ...common,
    db,
    bus: () => bus,
    busReaders,
    queue: () => writer.committer.load(),
    queueLimits: QUEUE_LIMITS,
    notReady: () => notReady({ config, clock, db, register, bus, life, vault }),
  })
  const log = counted(writeLog, metrics)
  const writer = await openLogEnd(db, commitPool, fault, metrics)
  const bus = await openBus(config, db, busSeal(vault, log), log)
  const acceptDeps: AcceptDeps = {
    ...common,
    refuse,
    signRefusal: createSignRefusal({ ...common, statusOf }),
    committer: withAmendments({ db, vault, contracts }, writer.committer),
    findReplay: (iss, jti) => findReplay(db, iss, jti),
    knownHead: writer.knownHead,
    observe: metrics.exchangeJudged,
  }
  const capReserve = createCapReserve()
  return {
    ...common,
    config,
    db,
    capReserve,
    keyRing,
    decryption,
    bus,
    life,
    fault,
    refuse,
    log,
    metrics,
    busReaders,
    accept: (token, arrival) => accept(acceptDeps, token, arrival),
    acceptOwn: (token) => acceptOwn(acceptDeps, token),
    acceptPlain: composePlain(acceptDeps, db, keyRing),
    onCommit: writer.onCommit,
    close: () => closeAll({ ...common, db, capReserve, bus, log, writer, commitPool }),
  }
}

type Closing = Pick<Core, 'db' | 'capReserve' | 'bus' | 'log' | 'register' | 'vault'> & {
  readonly writer: LogEnd
  readonly commitPool: Pool
}

/** First whatever still writes. */
async function closeAll({ writer, bus, register, vault, db, capReserve, commitPool, log }: Closing): Promise<void> {
  await writer.committer.drain()
  await bus.close()
  register.close()
  await vault.close()
  await giveBack(db, capReserve).catch((error: unknown) =>
    log({ level: 'warn', message: 'what was reserved of caps is not given back and stays counted today', error }),
  )
  await commitPool.end()
  await db.destroy()
}

interface LogEnd {
  readonly committer: WatchedCommitter
  readonly knownHead: () => number
  readonly onCommit: (listener: () => void) => void
}

/** The writing end of the log: the committer with its bounds, and the head as this node last saw it. */
async function openLogEnd(db: Db, pool: Pool, fault: FaultPoint, metrics: Metrics): Promise<LogEnd> {
  const listeners: (() => void)[] = []
  let head = await logHead(db)
  const commit = withNamings(db, createCommitBatch(pool))
  const committer = createCommitter({
    commit: async (rows) => {
      fault('accept.before-commit')
      const began = performance.now()
      const outcomes = await commit(rows)
      metrics.batchCommitted(rows.length, (performance.now() - began) / 1_000)
      fault('accept.after-commit')
      return outcomes
    },
    lanes: LANES,
    maxRows: 256,
    maxBytes: 4 * MIB,
    maxQueuedRows: QUEUE_LIMITS.rows,
    maxQueuedBytes: QUEUE_LIMITS.bytes,
    onCommitted: (pos) => {
      head = Math.max(head, pos)
      for (const listener of listeners) listener()
    },
  })
  return { committer, knownHead: () => head, onCommit: (listener) => listeners.push(listener) }
}

function counted(log: Log, metrics: Metrics): Log {
  return (entry) => {
    metrics.logged(entry.level)
    log(entry)
  }
}
