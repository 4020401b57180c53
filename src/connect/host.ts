import type { Bus, BusMessage } from '#bus/bus.ts'
import { followTopics } from '#bus/follow-topics.ts'
import { outTopic } from '#bus/topic-names.ts'
import { type SendExchange, startAckOutbox } from '#delivery/ack-outbox.ts'
import type { AckSigner } from '#delivery/acknowledgement.ts'
import { BREAKER_DEFAULTS, type BreakerSettings, createBreaker, type HostAlert } from '#delivery/breaker.ts'
import { createCompleter } from '#delivery/completions.ts'
import { type FaultPoints, land, type VerifyDelivery } from '#delivery/inbox.ts'
import type { PeerAnswer } from '#delivery/retry-classes.ts'
import { startScheduler } from '#delivery/scheduler.ts'
import type { Target } from '#delivery/target.ts'
import { createBatcher } from '#kernel/batcher.ts'
import { type Clock, systemClock } from '#kernel/clock.ts'
import { HubError } from '#kernel/errors.ts'
import type { JsonObject } from '#kernel/json.ts'
import { type Db, isStoreOutage } from '#store/db.ts'
import type { InboxRow } from '#store/inbox-queries.ts'
import type { Vault } from '#trust/vault.ts'
import { judgeAnswer, judgeLookUp } from './answers.ts'
import { createHttpTransport, type HttpTransport } from './http-transport.ts'
import { loadManifest, type Manifest } from './manifest.ts'
import { loadMappings, type Mappings } from './mapping.ts'
import { makeLookUp, makeRequest, openVerifiedToken } from './request.ts'
import type { MappingInput } from './sdk.ts'

export interface ConnectorHostOptions {
  readonly db: Db
  readonly bus: Bus
  /** The connector's folder. */
  readonly directory: string
  /** The address of the peer, and the secret when the manifest asks for authentication. */
  readonly endpoint: { readonly url: string; readonly secret?: string }
  /** The hub's id: `aud` of the acknowledgements. */
  readonly hub: string
  readonly verifyDelivery: VerifyDelivery
  /** Unwraps what the hub wrapped for the recipient. Throws `token.encryption_invalid`. */
  readonly decrypt: (value: string) => Promise<string>
  /** Seals what this host's own database keeps. */
  readonly vault: Vault
  /** Signs exchange claims with the connector's own key. */
  readonly signExchange: (claims: JsonObject) => Promise<string> | string
  readonly sendExchange: SendExchange
  /** What to read now, asked every few seconds; default the recipient's first topic. */
  readonly topics?: () => Promise<readonly string[]>
  readonly tuning?: HostTuning
  readonly clock?: Clock
  readonly random?: () => number
  readonly faults?: FaultPoints
  readonly onAlert?: (alert: HostAlert) => void
  readonly onError?: (error: unknown) => void
}

/** Deviations from the manifest and the defaults, for demo, tests and odd peers. All times in milliseconds. */
export interface HostTuning {
  readonly scheduleMs?: readonly number[]
  readonly timeoutMs?: number
  /** At least twice the time-out; default twice the time-out and five seconds. */
  readonly leaseMs?: number
  /** Between a request without an answer and the look-up that asks what became of it; default as the manifest says. */
  readonly settleMs?: number
  readonly pollMs?: number
  readonly breaker?: Partial<BreakerSettings>
}

export interface ConnectorHost {
  readonly manifest: Manifest
  /** Something was set free in the database (a replay): look now. */
  readonly wake: () => void
  /** Takes nothing more in, finishes what is in flight within `drainMs` (default 10 s). What is left is tried again. */
  readonly stop: (drainMs?: number) => Promise<void>
}

const TOPICS_EVERY_MS = 5_000
/** What several partitions bring at once goes in one transaction; what one of them cannot land yet holds up no other. */
const LANDINGS = { lanes: 2, maxItems: 16, isItemsFault: (error: unknown) => !isStoreOutage(error) }

/** Runs one connector: bus → inbox → scheduler → peer → acknowledgement. Throws `connector.invalid`, `config.invalid`. */
export async function startConnectorHost(options: ConnectorHostOptions): Promise<ConnectorHost> {
  const manifest = await loadManifest(options.directory)
  const mappings = await loadMappings(options.directory, manifest)
  const { db, bus, vault, tuning = {}, clock = systemClock, random = Math.random } = options
  const consumer = manifest.id
  const times = timesOf(manifest, tuning)
  const transport = createHttpTransport({
    url: options.endpoint.url,
    timeoutMs: times.timeoutMs,
    connections: manifest.concurrency,
    headers: authenticationHeaders(manifest, options.endpoint.secret),
  })
  const { party, recipient } = manifest
  const signer: AckSigner = { party, recipient, hub: options.hub, clock, signExchange: options.signExchange }
  const common = { db, consumer, signer, vault, clock, random, ...pick(options) }

  const outbox = startAckOutbox({ ...common, sendExchange: options.sendExchange, ...times })
  const scheduler = startScheduler({
    ...common,
    target: createTarget({ manifest, mappings, vault }, transport, times.settleMs),
    breaker: createBreaker({
      ...common,
      settings: { ...BREAKER_DEFAULTS, ...tuning.breaker },
      probeLeaseMs: times.leaseMs,
    }),
    completer: createCompleter({ ...common, leaseMs: times.leaseMs, onAck: outbox.wake }),
    scheduleMs: tuning.scheduleMs ?? manifest.retry.scheduleMs,
    onDead: manifest.onDead,
    concurrency: manifest.concurrency,
    leaseMs: times.leaseMs,
    pollMs: times.pollMs,
  })
  const inbox = { ...common, verifyDelivery: options.verifyDelivery, decrypt: options.decrypt }
  const landTogether = createBatcher(async (batches: readonly (readonly BusMessage[])[]) => {
    await land(inbox, batches.flat())
    return batches
  }, LANDINGS)
  const subscription = await followTopics(bus, {
    topics: options.topics ?? (async () => [outTopic(recipient)]),
    everyMs: TOPICS_EVERY_MS,
    group: consumer,
    onBatch: async (messages) => {
      await landTogether(messages)
      scheduler.wake()
      outbox.wake()
    },
    onError: (error) => options.onError?.(error),
  })

  return {
    manifest,
    wake: scheduler.wake,
    stop: async (drainMs = 10_000) => {
      await subscription.close()
      await scheduler.stop(drainMs)
      await outbox.stop(drainMs)
      transport.close()
    },
  }
}

function timesOf(
  manifest: Manifest,
  tuning: HostTuning,
): Required<Pick<HostTuning, 'timeoutMs' | 'leaseMs' | 'pollMs' | 'settleMs'>> {
  const timeoutMs = tuning.timeoutMs ?? manifest.endpoint.timeoutMs
  const leaseMs = tuning.leaseMs ?? 2 * timeoutMs + 5_000
  if (leaseMs < 2 * timeoutMs) {
    const detail = { zh: '租约须不短于请求时限的两倍', en: 'the lease is at least twice the request time-out' }
    throw new HubError('config.invalid', { detail })
  }
  const settleMs = tuning.settleMs ?? manifest.confirm?.settleMs ?? timeoutMs
  return { timeoutMs, leaseMs, pollMs: tuning.pollMs ?? 500, settleMs }
}

/** The header that the manifest asks for. Throws `config.invalid` without the secret for it. */
export function authenticationHeaders(
  manifest: Pick<Manifest, 'endpoint'>,
  secret: string | undefined,
): Record<string, string> {
  const { authentication } = manifest.endpoint
  if (authentication === undefined) return {}
  if (secret === undefined) {
    const detail = {
      zh: `端点 ${manifest.endpoint.name} 缺少密钥`,
      en: `endpoint ${manifest.endpoint.name} lacks its secret`,
    }
    throw new HubError('config.invalid', { detail })
  }
  const { header, scheme } = authentication
  return { [header]: scheme === undefined ? secret : `${scheme} ${secret}` }
}

interface Reading {
  readonly manifest: Manifest
  readonly mappings: Mappings
  readonly vault: Vault
}

function createTarget({ manifest, mappings, vault }: Reading, transport: HttpTransport, settleMs: number): Target {
  const inputOf = (row: InboxRow): MappingInput => ({
    ...openVerifiedToken(vault.open(row.token).toString('utf8')),
    delivery: { id: row.event_id, receivedAt: row.landed_at.toISOString() },
    receipt: row.receipt,
  })
  const confirm = {
    settleMs,
    // Asynchronous, so that a token that cannot be opened rejects like a mapping that fails.
    prepare: async (row: InboxRow) => makeLookUp(manifest, mappings, inputOf(row)),
    judge: (answer: PeerAnswer) => judgeLookUp(manifest, answer),
  }
  return {
    prepare: async (row) => makeRequest(manifest, mappings, row.contract, inputOf(row)),
    send: (request, sendByMs) => transport.send(request, sendByMs === undefined ? {} : { sendByMs }),
    judge: (contract, answer) => judgeAnswer(manifest, contract, answer),
    ...(manifest.confirm === undefined ? {} : { confirm }),
  }
}

/** The optional callbacks that were given, without the others: absent is not the same as undefined. */
function pick({
  faults,
  onAlert,
  onError,
}: ConnectorHostOptions): Pick<ConnectorHostOptions, 'faults' | 'onAlert' | 'onError'> {
  return {
    ...(faults === undefined ? {} : { faults }),
    ...(onAlert === undefined ? {} : { onAlert }),
    ...(onError === undefined ? {} : { onError }),
  }
}
