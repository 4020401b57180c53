import path from 'node:path'
import type { OpenAPIHono } from '@hono/zod-openapi'
import type { Pool } from 'pg'
import type { Bus } from '#bus/bus.ts'
import { openEmbeddedBus } from '#bus/embedded.ts'
import { caseProgress } from '#cases/progress.ts'
import type { ContractSet } from '#contracts/contract.ts'
import { loadContracts } from '#contracts/load.ts'
import { ACK_CONTRACT, claimsOf } from '#delivery/outcomes.ts'
import { pullDeliveries } from '#delivery/pull.ts'
import { exchangeStatus } from '#delivery/status.ts'
import { query } from '#documents/query.ts'
import { type Acceptance, type AcceptDeps, type Arrival, accept } from '#exchange/accept.ts'
import { authenticate } from '#exchange/authenticate.ts'
import { type Committer, createCommitter } from '#exchange/committer.ts'
import { createDigests, type Digests } from '#exchange/digests.ts'
import { createRefuse, type Refuse } from '#exchange/refuse.ts'
import { createGateway } from '#gateway/http/app.ts'
import { createSourceLimit } from '#gateway/http/source-limit.ts'
import { statusOf } from '#gateway/problem.ts'
import { type Clock, systemClock } from '#kernel/clock.ts'
import { HubError } from '#kernel/errors.ts'
import { type LiveRegister, openRegister } from '#parties/register.ts'
import { openCaseOf } from '#store/case-queries.ts'
import { logHead } from '#store/cursor.ts'
import { type Db, isStoreOutage, openDb, openPool } from '#store/db.ts'
import { findReplay, insertRefusal } from '#store/exchange-queries.ts'
import { clockOffsetMs } from '#store/health-queries.ts'
import { createCommitBatch } from '#store/log-commit.ts'
import { requireCurrentSchema } from '#store/migrate.ts'
import { type HubKeyRing, openKeyRing } from '#trust/key-ring.ts'
import type { Signer } from '#trust/sign.ts'
import type { Config } from './config.ts'
import { createFaultPoint, type FaultPoint } from './faults.ts'

/** Where contracts, schemas, connectors and seeds stand: the folder above src. */
export const PROJECT_ROOT = path.dirname(import.meta.dirname)

/** What the roles of one process share. */
export interface Core {
  readonly config: Config
  readonly clock: Clock
  readonly db: Db
  readonly contracts: ContractSet
  readonly register: LiveRegister
  readonly keyRing: HubKeyRing
  readonly digests: Digests
  readonly signer: Signer
  readonly refuse: Refuse
  readonly bus: Bus
  readonly fault: FaultPoint
  readonly log: Log
  /** The acceptance path, for the doors and for the hub's own notices. */
  readonly accept: (token: string, arrival?: Arrival) => Promise<Acceptance>
  /** Called after each commit; the loops of this process hang on it. */
  readonly onCommit: (listener: () => void) => void
  close(): Promise<void>
}

export interface LogEntry {
  readonly level: 'info' | 'warn' | 'error'
  readonly message: string
  readonly error?: unknown
  readonly instance?: string
}
export type Log = (entry: LogEntry) => void

const LANES = 2
const MIB = 1024 * 1024

/** Opens everything on a database whose schema is current and whose register is seeded. */
export async function openCore(config: Config, databaseUrl: string, log: Log): Promise<Core> {
  const clock = systemClock
  const contracts = loadContracts(PROJECT_ROOT)
  const keyRing = openKeyRing(config.hubKeysFile, false)
  const onError = (error: Error): void => log({ level: 'warn', message: 'database connection lost', error })
  const db = openDb(databaseUrl, { max: 16, onError })
  await requireCurrentSchema(db)
  const commitPool = openPool(databaseUrl, { max: LANES, onError })
  const register = await openRegister(db, clock)
  const digests = createDigests(keyRing.digestKey)
  const fault = createFaultPoint(config.faultPoint)
  const common = { hubId: config.hubId, clock, contracts, register, digests, signer: keyRing.signer }
  const refuse = createRefuse({ ...common, statusOf, record: (row) => insertRefusal(db, row) })
  const writer = await openLogEnd(db, commitPool, fault)
  const bus = openEmbeddedBus(db)
  const acceptDeps: AcceptDeps = {
    ...common,
    refuse,
    committer: writer.committer,
    findReplay: (iss, jti) => findReplay(db, iss, jti),
    knownHead: writer.knownHead,
  }
  return {
    ...common,
    config,
    db,
    keyRing,
    bus,
    fault,
    refuse,
    log,
    accept: (token, arrival) => accept(acceptDeps, token, arrival),
    onCommit: writer.onCommit,
    async close() {
      await writer.committer.drain()
      await bus.close()
      register.close()
      await commitPool.end()
      await db.destroy()
    },
  }
}

interface LogEnd {
  readonly committer: Committer
  readonly knownHead: () => number
  readonly onCommit: (listener: () => void) => void
}

/** The writing end of the log: the committer with its bounds, and the head as this node last saw it. */
async function openLogEnd(db: Db, pool: Pool, fault: FaultPoint): Promise<LogEnd> {
  const listeners: (() => void)[] = []
  let head = await logHead(db)
  const commit = createCommitBatch(pool)
  const committer = createCommitter({
    commit: async (rows) => {
      fault('accept.before-commit')
      const outcomes = await commit(rows)
      fault('accept.after-commit')
      return outcomes
    },
    lanes: LANES,
    maxRows: 256,
    maxBytes: 4 * MIB,
    maxQueuedRows: 20_000,
    maxQueuedBytes: 64 * MIB,
    onCommitted: (pos) => {
      head = Math.max(head, pos)
      for (const listener of listeners) listener()
    },
  })
  return { committer, knownHead: () => head, onCommit: (listener) => listeners.push(listener) }
}

/** The HTTP edge over a core. */
export function composeGateway(core: Core, publicUrl: () => string): OpenAPIHono {
  const { config, clock, contracts, register, db } = core
  const { hubId } = config
  return createGateway({
    hubId,
    publicUrl,
    clock,
    contracts,
    accept: core.accept,
    query: outageAware((token: string) =>
      query({ ...core, hubId, claimsOf, openCaseOf: (question) => openCaseOf(db, question) }, token),
    ),
    authenticate: (token, request) => authenticate({ hubId, clock, register }, token, request),
    status: outageAware((id: string, party: string) => exchangeStatus(db, id, party)),
    pull: outageAware((party: string, limit: number, waitSeconds: number, signal: AbortSignal) =>
      pullDeliveries(db, { recipients: register.actsFor(party, ACK_CONTRACT, clock()), limit, waitSeconds }, signal),
    ),
    caseProgress: outageAware((number: string, party: string) => caseProgress(db, number, party)),
    jwks: core.keyRing.jwks,
    notReady: () => notReady(core),
    unproven: createSourceLimit(clock, config.unprovenPerSecond, config.unprovenBurst),
    log: core.log,
  })
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

const MAX_CLOCK_OFFSET_MS = 2_000

async function notReady(core: Core): Promise<string[]> {
  const causes: string[] = []
  if (!core.register.isCurrent()) causes.push('register: not refreshed for 5 s')
  try {
    const offset = await clockOffsetMs(core.db, core.clock)
    if (Math.abs(offset) > MAX_CLOCK_OFFSET_MS) causes.push(`clock: ${Math.round(offset)} ms off the database`)
  } catch {
    causes.push('database: not reachable')
  }
  return causes
}
