import { CASES_CURSOR, type FoldSources, foldStep } from '#cases/fold.ts'
import type { Contract } from '#contracts/contract.ts'
import { holdLeases } from '#delivery/leases.ts'
import { outcomeStep } from '#delivery/outcomes.ts'
import { createRelay, RELAY_LANES } from '#delivery/relay.ts'
import { routeStep } from '#delivery/routing.ts'
import { sweepStep } from '#delivery/sweeper.ts'
import { shanghaiDay } from '#documents/minimise.ts'
import { statementStep } from '#documents/statements.ts'
import { statusFeedStep } from '#documents/status-feed.ts'
import { aliasesIn, subjectKeysIn } from '#exchange/digests.ts'
import { KEEP_NONCES_SECONDS } from '#exchange/prove-plain.ts'
import { type Loop, startLoop } from '#kernel/loop.ts'
import { pruneUsage } from '#store/access-queries.ts'
import { pruneNonces } from '#store/app-key-queries.ts'
import { aliasesIntroduced, divisionsByAlias } from '#store/case-queries.ts'
import { cursorPosition } from '#store/cursor.ts'
import type { Db } from '#store/db.ts'
import { purgeFiles } from '#store/file-queries.ts'
import { watchLog } from '#store/log-watch.ts'
import type { Core } from './compose.ts'
import { consentsStep } from './compose-consents.ts'
import { composeDisputes } from './compose-disputes.ts'
import { acceptOwn, purgeStep } from './compose-purge.ts'
import { busValue, logReader } from './compose-vault.ts'

/** Reads cases out of exchanges by what their contracts say. */
export function foldSources(core: Pick<Core, 'contracts' | 'digests' | 'register' | 'vault' | 'log'>): FoldSources {
  const { contracts, digests, register } = core
  return {
    contract: (ref) => contracts.get(ref),
    ...logReader(core.vault, core.log),
    aliasesOf: (contract: Contract, data, sender) =>
      aliasesIn(contract.aliases, data, sender).map((alias) => ({ ...alias, key: digests.alias(alias) })),
    subjectKeysOf: (contract: Contract, data) => subjectKeysIn(digests, contract.opensCase?.subjects ?? [], data),
    utilityOf: register.utilityOf,
    platformOf: register.platformOf,
  }
}

const POLL_MS = 200
/** A step asks and writes as much for one commit as for a hundred. */
const GATHER_MS = 30

/** `isWoken`: someone waits for what it moves, so it looks whenever something was committed and not only at its polls. */
type Start = (name: string, pollMs: number, step: () => Promise<number>, isWoken?: boolean) => void

/**
 * The loops of the roles `cases` and `relay`. What a delivery waits for is woken by each commit and by each step that
 * moved something. What follows the clock, or tells others later, is not: it would ask the database a dozen times a commit.
 */
export function startLoops(core: Core, databaseUrl: string): { stop(): Promise<void> } {
  const { config, db, fault, life, log, metrics } = core
  const loops: Loop[] = []
  const woken: Loop[] = []
  const wakeAll = (): void => {
    for (const loop of woken) loop.wake()
  }
  const start: Start = (name, pollMs, step, isWoken = true) => {
    const run = async (): Promise<number> => {
      const moved = await step()
      if (moved > 0) {
        metrics.loopMoved(name, moved)
        wakeAll()
      }
      return moved
    }
    metrics.loopStarted(name)
    const onError = (error: unknown): void => {
      metrics.loopFailed(name)
      log({ level: 'error', message: `${name} loop`, error })
    }
    const loop = startLoop(run, { pollMs, gatherMs: GATHER_MS, onError })
    life.watch(name, loop)
    loops.push(loop)
    if (isWoken) woken.push(loop)
  }
  if (config.roles.includes('cases')) {
    const sources = foldSources(core)
    start('cases', POLL_MS, () => foldStep(db, sources, fault))
    start('consents', POLL_MS, () => consentsStep(core))
    const routing = {
      casesPosition: (tx: Db) => cursorPosition(tx, CASES_CURSOR),
      aliasesIntroduced,
      divisionsByAlias,
      utilityOf: core.register.utilityOf,
    }
    start('routing', POLL_MS, () => routeStep(db, routing, fault))
  }
  const leases = config.roles.includes('relay') ? startRelay(core, start, wakeAll) : undefined
  core.onCommit(wakeAll)
  const onError = (error: Error): void => log({ level: 'warn', message: 'log watch', error })
  const watch = loops.length === 0 ? undefined : watchLog(databaseUrl, { onNews: wakeAll, onError })
  return {
    async stop() {
      await watch?.close()
      await Promise.all(loops.map((loop) => loop.stop()))
      await leases?.stop()
    },
  }
}

const SWEEPER = 'sweeper'
const STATEMENTS_POLL_MS = 600_000
const NONCES_POLL_MS = 60_000
const USAGE_POLL_MS = 60_000
/** Caps are per day; a query that was asked before midnight may be recorded after it. */
const USAGE_MS = 86_400_000
const USAGE_ROWS = 10_000
/** Keys become due when a day ends; looking more often only brings that nearer. */
const PURGE_POLL_MS = 600_000

function startRelay(core: Core, start: Start, wakeAll: () => void): { stop(): Promise<void> } {
  const { config, db, fault, log, metrics } = core
  const leases = holdLeases(db, [...RELAY_LANES, SWEEPER], {
    ms: config.relayLeaseMs,
    onTaken: wakeAll,
    onError: (error) => log({ level: 'warn', message: 'leases', error }),
  })
  const relay = createRelay({
    db,
    bus: core.bus,
    hubId: config.hubId,
    recipients: () => core.register.parties().map((party) => party.id),
    held: leases.held,
    lose: leases.lose,
    valueOf: busValue(core),
    outboundKey: core.digests.outboundKey,
    fault,
    onFree: wakeAll,
    onError: (error) => {
      metrics.loopFailed('relay')
      log({ level: 'error', message: 'relay', error })
    },
  })
  start('relay', POLL_MS, relay.step)
  start('outcomes', POLL_MS, () => outcomeStep(db, logReader(core.vault, log), fault))
  // One process at a time; what it began before it lost the lease repeats nothing when another begins it anew.
  const startTimed = (name: string, pollMs: number, step: () => Promise<number>): void =>
    start(name, pollMs, async () => (leases.held(SWEEPER) === undefined ? 0 : step()), false)
  startTimed('disputes', POLL_MS, composeDisputes(core))
  startTimed('document-status', POLL_MS, () => feed(core))
  startTimed('sweeper', config.sweepEveryMs, () => sweep(core))
  startTimed('files', config.sweepEveryMs, () => purgeFiles(db))
  startTimed('nonces', NONCES_POLL_MS, () => pruneNonces(db, KEEP_NONCES_SECONDS))
  startTimed('usage', USAGE_POLL_MS, () => pruneUsage(db, shanghaiDay(core.clock() - USAGE_MS), USAGE_ROWS))
  startTimed('statements', STATEMENTS_POLL_MS, () => state(core))
  startTimed('purge', PURGE_POLL_MS, () => purgeStep(core))
  return {
    async stop() {
      await relay.idle()
      await leases.stop()
    },
  }
}

async function sweep(core: Core): Promise<number> {
  const { reopened, announced } = await sweepStep({
    db: core.db,
    clock: core.clock,
    hubId: core.config.hubId,
    signer: core.keyRing.signer,
    republishAfterMs: core.config.republishAfterMs,
    fault: core.fault,
    isNotice: (ref) => core.contracts.get(ref)?.kind === 'notice',
    acceptOwn: (token) => acceptOwn(core, token),
  })
  return reopened + announced
}

const state = (core: Core): Promise<number> =>
  statementStep({
    ...core,
    hubId: core.config.hubId,
    signer: core.keyRing.signer,
    acceptOwn: (token) => acceptOwn(core, token),
  })

const feed = (core: Core): Promise<number> =>
  statusFeedStep({
    ...core,
    hubId: core.config.hubId,
    signer: core.keyRing.signer,
    ...logReader(core.vault, core.log),
    acceptOwn: (token) => acceptOwn(core, token),
    onUnusual: ({ id, contract, old_status: from, status: to }) =>
      core.log({ level: 'warn', message: 'unusual change of a document', fields: { change: id, contract, from, to } }),
  })
