import path from 'node:path'
import type { OpenAPIHono } from '@hono/zod-openapi'
import type { Pool } from 'pg'
import type { Bus } from '#bus/bus.ts'
import { readLedgerTasks } from '#cases/ledger-tasks.ts'
import { caseProgress } from '#cases/progress.ts'
import type { ContractSet } from '#contracts/contract.ts'
import { loadContracts } from '#contracts/load.ts'
import { ACK_CONTRACT, claimsOf } from '#delivery/outcomes.ts'
import { pullDeliveries } from '#delivery/pull.ts'
import { exchangeStatus } from '#delivery/status.ts'
import { query } from '#documents/query.ts'
import { type Acceptance, type AcceptDeps, type Arrival, accept } from '#exchange/accept.ts'
import { authenticate } from '#exchange/authenticate.ts'
import { createCommitter, type WatchedCommitter } from '#exchange/committer.ts'
import { createDigests, type Digests } from '#exchange/digests.ts'
import { createPartyLimits, type PartyLimits } from '#exchange/party-limits.ts'
import { type Proven, requireStanding } from '#exchange/prove.ts'
import { createRefuse, type Refuse } from '#exchange/refuse.ts'
import { answerError } from '#gateway/http/answers.ts'
import { createGateway } from '#gateway/http/app.ts'
import { createOperations } from '#gateway/http/operations.ts'
import { metricsRoute } from '#gateway/http/routes/metrics.ts'
import { createSourceAddress } from '#gateway/http/source-address.ts'
import { createSourceLimit } from '#gateway/http/source-limit.ts'
import type { BusReader } from '#gateway/metric-gauges.ts'
import type { Metrics } from '#gateway/metrics.ts'
import { statusOf } from '#gateway/problem.ts'
import { createBatcher } from '#kernel/batcher.ts'
import { type Clock, systemClock } from '#kernel/clock.ts'
import { HubError } from '#kernel/errors.ts'
import type { FaultPoint } from '#kernel/fault-point.ts'
import { activateKey } from '#parties/keys.ts'
import { type LiveRegister, openRegister } from '#parties/register.ts'
import { logHead } from '#store/cursor.ts'
import { type Db, isStoreOutage, openDb, openPool } from '#store/db.ts'
import { type AccessRow, type CaseQuestion, findCaseDocuments, recordAccesses } from '#store/document-queries.ts'
import { findReplay, insertRefusal } from '#store/exchange-queries.ts'
import { createCommitBatch } from '#store/log-commit.ts'
import { requireCurrentSchema } from '#store/migrate.ts'
import { type HubKeyRing, openKeyRing } from '#trust/key-ring.ts'
import { openFileKeystore } from '#trust/keystore.ts'
import type { Signer } from '#trust/sign.ts'
import { type LiveVault, openVault } from '#trust/vault.ts'
import { openBus } from './compose-bus.ts'
import { createLife, type Life, notReady } from './compose-health.ts'
import { composeMetrics, metricsToken } from './compose-metrics.ts'
import type { Config } from './config.ts'
import { createFaultPoint } from './faults.ts'

/** Where contracts, schemas, connectors and seeds stand: the folder above src. */
export const PROJECT_ROOT = path.dirname(import.meta.dirname)

/** What the roles of one process share. */
export interface Core {
  readonly config: Config
  readonly clock: Clock
  readonly db: Db
  readonly contracts: ContractSet
  readonly register: LiveRegister
  readonly limits: PartyLimits
  readonly keyRing: HubKeyRing
  readonly vault: LiveVault
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
  /** The acceptance path, for the doors and for the hub's own notices. */
  readonly accept: (token: string, arrival?: Arrival) => Promise<Acceptance>
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
/** Queries are looked up and recorded many at once. */
const BATCHES = { lanes: 2, maxItems: 128, isItemsFault: (error: unknown) => !isStoreOutage(error) }
const QUEUE_LIMITS = { rows: 20_000, bytes: 64 * MIB } as const

/** Opens everything on a database whose schema is current and whose register is seeded. */
export async function openCore(config: Config, databaseUrl: string, writeLog: Log): Promise<Core> {
  const clock = systemClock
  const contracts = loadContracts(PROJECT_ROOT)
  const keyRing = openKeyRing(config.hubKeysFile, false)
  const onError = (error: Error): void => writeLog({ level: 'warn', message: 'database connection lost', error })
  const db = openDb(databaseUrl, { max: 16, onError })
  await requireCurrentSchema(db)
  const commitPool = openPool(databaseUrl, { max: LANES, onError })
  const vaultError = (error: unknown): void => writeLog({ level: 'error', message: 'vault', error })
  const keystore = openFileKeystore(config.keystoreFile, false)
  const vault = await openVault({ db, keystore, clock, onError: vaultError })
  const register = await openRegister(db, clock)
  const digests = createDigests(keyRing.digestKey)
  const fault = createFaultPoint(config.faultPoint)
  const limits = createPartyLimits(clock, config.partyLimit)
  const common = { hubId: config.hubId, clock, contracts, register, limits, digests, signer: keyRing.signer }
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
    notReady: () => notReady({ config, clock, db, register, bus, life }),
  })
  const log = counted(writeLog, metrics)
  const writer = await openLogEnd(db, commitPool, fault, metrics)
  const bus = await openBus(config, db, log)
  const acceptDeps: AcceptDeps = {
    ...common,
    refuse,
    committer: writer.committer,
    findReplay: (iss, jti) => findReplay(db, iss, jti),
    knownHead: writer.knownHead,
    observe: metrics.exchangeJudged,
  }
  return {
    ...common,
    config,
    db,
    keyRing,
    vault,
    bus,
    life,
    fault,
    refuse,
    log,
    metrics,
    busReaders,
    accept: (token, arrival) => accept(acceptDeps, token, arrival),
    onCommit: writer.onCommit,
    async close() {
      await writer.committer.drain()
      await bus.close()
      register.close()
      await vault.close()
      await commitPool.end()
      await db.destroy()
    },
  }
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
  const commit = createCommitBatch(pool)
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

/** The HTTP edge over a core. */
export function composeGateway(core: Core, publicUrl: () => string): OpenAPIHono {
  const { config, clock, contracts, register, limits, db } = core
  const { hubId } = config
  const asking = {
    hubId,
    claimsOf,
    findCaseDocuments: createBatcher((questions: readonly CaseQuestion[]) => findCaseDocuments(db, questions), BATCHES),
    recordAccess: createBatcher((rows: readonly AccessRow[]) => recordAccesses(db, rows), BATCHES),
    observe: core.metrics.queryJudged,
  }
  const app = createGateway({
    hubId,
    publicUrl,
    clock,
    contracts,
    accept: core.accept,
    query: outageAware((token: string, source: string | undefined) => query({ ...core, ...asking }, token, source)),
    authenticate: (token, request) => authenticate({ hubId, clock, register, limits }, token, request),
    activateKey: outageAware((proven: Proven) => activateKey(db, proven)),
    status: outageAware((id: string, party: string) => exchangeStatus(db, id, party)),
    pull: outageAware((asker: Proven, limit: number, waitSeconds: number, signal: AbortSignal) =>
      pullDeliveries(
        db,
        { recipients: () => servedBy(register, asker, clock()), limit, waitSeconds },
        AbortSignal.any([signal, core.life.draining]),
      ),
    ),
    caseProgress: outageAware((number: string, party: string) => caseProgress(db, number, party)),
    jwks: core.keyRing.jwks,
    ledgerTasks: readLedgerTasks(path.join(PROJECT_ROOT, 'seeds')),
    notReady: () => notReady(core),
    sourceAddress: createSourceAddress(config.trustedProxies),
    unproven: createSourceLimit(clock, config.unprovenPerSecond, config.unprovenBurst),
    log: core.log,
    logsRequests: config.logLevel === 'debug',
  })
  if (config.operationsPort === undefined) {
    const notFound = (): Response => answerError(core, new HubError('http.not_found'))
    metricsRoute(app, core.metrics, { token: metricsToken(config), notFound })
  }
  return app
}

/** Whose deliveries the asker gets by now: nobody's, once it lost its standing, and no suspended party's. */
function servedBy(register: LiveRegister, asker: Proven, nowMs: number): readonly string[] {
  requireStanding(register, asker)
  return register
    .actsFor(asker.party.id, ACK_CONTRACT, nowMs)
    .filter((party) => register.party(party)?.status === 'active')
}

/** Health and metrics of a process, for a port of their own. */
export const composeOperations = (core: Core): OpenAPIHono =>
  createOperations({
    metrics: core.metrics,
    metricsToken: metricsToken(core.config),
    notReady: () => notReady(core),
    log: core.log,
  })

function counted(log: Log, metrics: Metrics): Log {
  return (entry) => {
    metrics.logged(entry.level)
    log(entry)
  }
}

/** A database that is down is `hub.store_unavailable`, never an internal error. */
function outageAware<A extends unknown[], R>(call: (...args: A) => Promise<R>): (...args: A) => Promise<R> {
  return async (...args) => {
    try {
      return await call(...args)
    } catch (error) {
      if (isStoreOutage(error)) throw new HubError('hub.store_unavailable', { cause: error, retryAfterSeconds: 1 })
      throw error
    }
  }
}
