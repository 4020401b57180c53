import { canonicalJson } from '#kernel/canonical.ts'
import type { Clock } from '#kernel/clock.ts'
import type { HubErrorCode } from '#kernel/error-codes.ts'
import { asHubError, HubError } from '#kernel/errors.ts'
import type { JsonObject } from '#kernel/json.ts'
import { type Circuit, type CircuitSettings, type CircuitState, createCircuit } from './circuit.ts'
import { createSealedCache, type SealedCache } from './sealed-cache.ts'

/** What a foreign system is asked. Its data is personal: it goes into the body of the request and nowhere else. */
export interface LookUpQuestion {
  /** The query contract. */
  readonly contract: string
  readonly data: JsonObject
  /** Who asks, or for whom. */
  readonly party: string
  readonly purpose: string
  readonly legalBasis: string
  readonly item: string
  readonly operator: string
  /** Or the session, where there is no case yet. */
  readonly caseNo: string
  readonly askedAt: string
  readonly requestId: string
}

export interface LiveDocument {
  readonly data: JsonObject
  /** The issuer's own proof: a digest of what it sealed, and its seal over it. The hub passes it on unverified. */
  readonly seal?: { readonly digest: string; readonly value: string }
}

export interface LiveAnswer {
  readonly documents: readonly LiveDocument[]
  /** The last reply byte for byte, empty where the system said that there is nothing. */
  readonly body: string
}

/** One foreign system. */
export interface LookUpSource {
  readonly id: string
  readonly provider: string
  /** For the whole look-up, however many requests it takes. */
  readonly budgetMs: number
  readonly cacheSeconds: number
  readonly circuit: CircuitSettings
  /** Requests at once; eight times as many may wait. */
  readonly concurrency: number
  /** Throws `peer.*` or `mapping.failed`; gives up when the signal aborts. */
  readonly ask: (question: LookUpQuestion, signal: AbortSignal) => Promise<LiveAnswer>
}

/** A document that stood the judgement of its contract. */
export interface JudgedDocument extends LiveDocument {
  readonly originalDigest: string
  readonly identifier: string
  readonly version: string
  /** Meaning of the status, and since when (ISO 8601). */
  readonly status: string
  readonly statusAt: string
  readonly validTo: string | null
}

/** What became of one look-up. `circuit` is the state after it. */
export type LookedUp = { readonly circuit: CircuitState } & (
  | ({ readonly state: 'live' | 'cached'; readonly provider: string } & Known)
  | { readonly state: 'failed'; readonly error: HubError }
)

interface Known {
  readonly documents: readonly JudgedDocument[]
  readonly asOfMs: number
}

/** `shared`: answered by the flight of another query that asked the same. */
export type LookUpOutcome = 'live' | 'cached' | 'shared' | 'circuit_open' | 'busy' | HubErrorCode

export interface LookUpObserved {
  readonly endpoint: string
  readonly outcome: LookUpOutcome
  /** Of the foreign system's time; undefined where it was not asked. */
  readonly seconds?: number
}

export interface LookUpRequest {
  readonly connector: string
  readonly question: LookUpQuestion
  /** The case that it is asked for: an answer serves no other. */
  readonly caseId: string
  /** Whom it may be about, and what the hub knows now: an answer that was judged under something else is not used. */
  readonly known: string
  /** Judges an answer before anybody sees it, and says until when it may be kept. Throws `peer.answer_invalid`. */
  readonly judge: (answer: LiveAnswer) => {
    readonly documents: readonly JudgedDocument[]
    readonly keepUntilMs: number
  }
}

export interface LookUps {
  /** Never rejects for what the foreign system does. */
  readonly ask: (request: LookUpRequest) => Promise<LookedUp>
  readonly circuits: () => readonly { readonly endpoint: string; readonly state: CircuitState }[]
}

interface LookUpsOptions {
  readonly clock: Clock
  /** A keyed digest: no number of a person is a key in memory. */
  readonly digest: (text: string) => string
  readonly sources: readonly LookUpSource[]
  readonly observe?: (observed: LookUpObserved) => void
  /** Told of each failure with its code and detail, never with what was asked or answered. */
  readonly onFailure?: (endpoint: string, error: HubError) => void
}

interface Served {
  readonly source: LookUpSource
  readonly circuit: Circuit
  readonly flights: Map<string, Promise<LookedUp>>
}

const CACHE_LIMITS = { entries: 10_000, bytes: 32 * 1024 * 1024 }
/** DESIGN §5b, whatever a manifest says. */
const MAX_CACHE_MS = 300_000
const MAX_WAITING_FACTOR = 8

/**
 * Look-ups in foreign systems (DESIGN §5b): one flight for all who ask the same at the same time, within its budget;
 * answers kept sealed for some minutes, for the same party, purpose and case only; a circuit for each system.
 */
export function createLookUps(options: LookUpsOptions): LookUps {
  const { clock, observe, sources } = options
  const cache = createSealedCache<Known>(clock, CACHE_LIMITS)
  const served = new Map<string, Served>(
    sources.map((source) => [source.id, { source, circuit: createCircuit(clock, source.circuit), flights: new Map() }]),
  )
  const ask = async (request: LookUpRequest): Promise<LookedUp> => {
    const one = served.get(request.connector)
    if (one === undefined) return { state: 'failed', circuit: 'open', error: NOT_SET_UP }
    const { source, circuit, flights } = one
    const endpoint = source.id
    const key = options.digest(keyText(request))
    const kept = cache.get(key)
    if (kept !== undefined) {
      observe?.({ endpoint, outcome: 'cached' })
      return { ...kept, state: 'cached', provider: source.provider, circuit: circuit.state() }
    }
    const underWay = flights.get(key)
    if (underWay !== undefined) {
      observe?.({ endpoint, outcome: 'shared' })
      return underWay
    }
    if (flights.size >= MAX_WAITING_FACTOR * source.concurrency) {
      observe?.({ endpoint, outcome: 'busy' })
      return { state: 'failed', circuit: circuit.state(), error: BUSY }
    }
    const end = circuit.enter()
    if (end === undefined) {
      observe?.({ endpoint, outcome: 'circuit_open' })
      return { state: 'failed', circuit: circuit.state(), error: CIRCUIT_OPEN }
    }
    const flight = fly(options, cache, one, { ...request, key }, end).finally(() => flights.delete(key))
    flights.set(key, flight)
    return flight
  }
  return {
    ask,
    circuits: () =>
      [...served.values()].map(({ source, circuit }) => ({ endpoint: source.id, state: circuit.state() })),
  }
}

const keyText = ({ connector, question, caseId, known }: LookUpRequest): string => {
  const { contract, data, party, purpose, legalBasis } = question
  return canonicalJson([connector, contract, data, party, purpose, legalBasis, caseId, known])
}

/** One look-up, from leave to answer. Never rejects. */
async function fly(
  { clock, observe, onFailure }: LookUpsOptions,
  cache: SealedCache<Known>,
  { source, circuit }: Served,
  { key, question, judge }: LookUpRequest & { readonly key: string },
  end: NonNullable<ReturnType<Circuit['enter']>>,
): Promise<LookedUp> {
  const { id: endpoint, provider } = source
  const began = performance.now()
  // What was asked for at this moment is known as of this moment, however long the answer takes.
  const asOfMs = clock()
  const seconds = (): number => (performance.now() - began) / 1_000
  try {
    const { documents, keepUntilMs } = judge(await withinBudget(source, question))
    const expiresMs = Math.min(asOfMs + Math.min(source.cacheSeconds * 1_000, MAX_CACHE_MS), keepUntilMs)
    cache.put(key, { documents, asOfMs }, expiresMs)
    end('answered')
    observe?.({ endpoint, outcome: 'live', seconds: seconds() })
    return { state: 'live', documents, asOfMs, provider, circuit: circuit.state() }
  } catch (thrown) {
    const error = asHubError(thrown)
    end(ANSWERED.has(error.code) ? 'answered' : 'failed')
    observe?.({ endpoint, outcome: error.code, seconds: seconds() })
    onFailure?.(endpoint, error)
    return { state: 'failed', error, circuit: circuit.state() }
  }
}

/** The system works: it says no, or what it says of one document is not as agreed, or our own mapping fails. */
const ANSWERED: ReadonlySet<HubErrorCode> = new Set([
  'peer.cap_reached',
  'peer.throttled',
  'peer.answer_invalid',
  'mapping.failed',
])

/** The answer, or `peer.timeout` when the budget is used up, whether or not the source heeds the signal. */
async function withinBudget(source: LookUpSource, question: LookUpQuestion): Promise<LiveAnswer> {
  const abort = new AbortController()
  const late = Promise.withResolvers<never>()
  const timer = setTimeout(() => {
    abort.abort()
    late.reject(
      new HubError('peer.timeout', {
        detail: {
          zh: `查询未在 ${source.budgetMs} 毫秒内完成`,
          en: `the look-up did not end within ${source.budgetMs} ms`,
        },
      }),
    )
  }, source.budgetMs)
  try {
    return await Promise.race([source.ask(question, abort.signal), late.promise])
  } finally {
    clearTimeout(timer)
  }
}

const unavailable = (zh: string, en: string): HubError => new HubError('peer.unavailable', { detail: { zh, en } })
const NOT_SET_UP = unavailable('该查询对端未配置地址', 'no address is configured for the system of this look-up')
const CIRCUIT_OPEN = unavailable('查询对端熔断中', 'the circuit of this look-up is open')
const BUSY = unavailable('查询对端的等待队列已满', 'too many look-ups of this system are waiting')
