import path from 'node:path'
import type { OpenAPIHono } from '@hono/zod-openapi'
import { readLedgerTasks } from '#cases/ledger-tasks.ts'
import { caseProgress, progressOfCase } from '#cases/progress.ts'
import { createBoundedComparison } from '#contracts/compat/bounded.ts'
import { validExamples } from '#contracts/examples.ts'
import { requireEgress } from '#delivery/egress.ts'
import { ACK_CONTRACT, claimsOf } from '#delivery/outcomes.ts'
import { pullDeliveries } from '#delivery/pull.ts'
import { exchangeStatus } from '#delivery/status.ts'
import type { Looking } from '#documents/live.ts'
import { type QueryDeps, query } from '#documents/query.ts'
import { authenticate } from '#exchange/authenticate.ts'
import { partiesOfContract } from '#exchange/contract-parties.ts'
import { type Proven, requireStanding } from '#exchange/prove.ts'
import { answerError } from '#gateway/http/answers.ts'
import { createGateway } from '#gateway/http/app.ts'
import type { FileDoor } from '#gateway/http/deps.ts'
import { createOperations } from '#gateway/http/operations.ts'
import { metricsRoute } from '#gateway/http/routes/metrics.ts'
import { createSourceAddress } from '#gateway/http/source-address.ts'
import { createSourceLimit } from '#gateway/http/source-limit.ts'
import { createBatcher, createLanes } from '#kernel/batcher.ts'
import { steadyClock } from '#kernel/clock.ts'
import { HubError } from '#kernel/errors.ts'
import { activateKey } from '#parties/keys.ts'
import type { LiveRegister } from '#parties/register.ts'
import type { AccessRow } from '#store/access-queries.ts'
import { isStoreOutage } from '#store/db.ts'
import type { CaseQuestion } from '#store/document-queries.ts'
import { type Core, PROJECT_ROOT } from './compose.ts'
import { consentLookUps } from './compose-consents.ts'
import { composeFiles } from './compose-files.ts'
import { notReady } from './compose-health.ts'
import { metricsToken } from './compose-metrics.ts'
import { openedDocuments, sealedAccesses } from './compose-vault.ts'

/** The HTTP edge over a core. Without `looking` no foreign system is asked. */
export function composeGateway(core: Core, publicUrl: () => string, looking?: Looking): OpenAPIHono {
  const { config, clock, contracts, register, limits, db, vault } = core
  const { hubId } = config
  const asking = composeQueries(core, looking)
  const app = createGateway({
    hubId,
    publicUrl,
    clock,
    contracts,
    examplesOf: (schema) => validExamples(PROJECT_ROOT, schema),
    contractParties: (contract) => partiesOfContract(register, contracts, contract),
    compareSchemas: createBoundedComparison({ timeoutMs: 2_000, memoryMb: 256, maxWaiting: 16 }),
    accept: core.accept,
    acceptPlain: core.acceptPlain,
    query: outageAware((token: string, source: string | undefined) => query(asking, token, source)),
    authenticate: (token, request, progress) =>
      authenticate({ hubId, clock, register, limits }, token, request, progress),
    refuse: outageAware(core.refuse),
    activateKey: outageAware((proven: Proven) => activateKey(db, proven)),
    status: outageAware((id: string, party: string) => exchangeStatus(db, id, party)),
    pull: outageAware((asker: Proven, limit: number, waitSeconds: number, signal: AbortSignal) =>
      pullDeliveries(
        db,
        vault,
        {
          recipients: () => servedBy(register, asker, clock()),
          limit,
          waitSeconds,
          requireEgress: (ref, token) => requireEgress(contracts, ref, token, clock()),
        },
        AbortSignal.any([signal, core.life.draining]),
      ),
    ),
    files: outageAwareDoor(composeFiles(core, (asker) => servedBy(register, asker, clock()))),
    caseProgress: outageAware((number: string, party: string) => caseProgress(db, number, party)),
    jwks: () => ({ keys: [...core.keyRing.jwks().keys, ...core.decryption.publicKeys.map(({ jwk }) => jwk)] }),
    ledgerTasks: readLedgerTasks(path.join(PROJECT_ROOT, 'seeds')),
    notReady: () => notReady(core),
    sourceAddress: createSourceAddress(config.trustedProxies),
    unproven: createSourceLimit(steadyClock, config.unprovenPerSecond, config.unprovenBurst),
    log: core.log,
    logsRequests: config.logLevel === 'debug',
  })
  if (config.operationsPort === undefined) {
    const notFound = (): Response => answerError(core, new HubError('http.not_found'))
    metricsRoute(app, core.metrics, { token: metricsToken(config), notFound })
  }
  return app
}

/** What a query stands on. */
function composeQueries(core: Core, looking: Looking | undefined): QueryDeps {
  const { db, vault } = core
  // Queries are looked up and recorded many at once. Both take turns in one lane: while one is under way the other
  // gathers, and fewer, larger batches cost less; a second record would wait for the first at the counters of the caps.
  const batches = {
    lanes: createLanes(1),
    maxItems: 128,
    isItemsFault: (error: unknown) => !isStoreOutage(error),
  }
  return {
    ...core,
    hubId: core.config.hubId,
    claimsOf,
    ...consentLookUps(core),
    findCaseDocuments: createBatcher(
      (questions: readonly CaseQuestion[]) => openedDocuments(db, vault, questions),
      batches,
    ),
    caseRecord: (id: string) => progressOfCase(db, id),
    recordAccess: createBatcher((rows: readonly AccessRow[]) => sealedAccesses(core, rows), batches),
    observe: core.metrics.queryJudged,
    looking,
  }
}

const outageAwareDoor = ({ upload, uploadState, fetchable, open }: FileDoor): FileDoor => ({
  upload: outageAware(upload),
  uploadState: outageAware(uploadState),
  fetchable: outageAware(fetchable),
  open: outageAware(open),
})

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
