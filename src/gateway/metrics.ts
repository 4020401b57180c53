import { Counter, Gauge, Histogram, Registry } from 'prom-client'
import type { CircuitState } from '#documents/circuit.ts'
import type { LookUpObserved } from '#documents/lookup.ts'
import type { Judged, Observe } from '#exchange/judged.ts'
import { createGauges, type GaugeSources } from './metric-gauges.ts'

/** One metric as it is exposed. */
export interface MetricDescription {
  readonly name: string
  readonly type: 'counter' | 'gauge' | 'histogram'
  readonly labels: readonly string[]
  readonly help: string
}

/** What the process counts by itself, and the page that Prometheus reads. */
export interface Metrics {
  readonly exchangeJudged: Observe
  readonly queryJudged: Observe
  readonly batchCommitted: (rows: number, seconds: number) => void
  readonly loopStarted: (loop: string) => void
  /** A background loop made a step that moved so many positions or rows. */
  readonly loopMoved: (loop: string, moved: number) => void
  readonly loopFailed: (loop: string) => void
  readonly lookedUp: (observed: LookUpObserved) => void
  /** What tells the state of each circuit when the metrics are read. */
  readonly watchCircuits: (circuits: Circuits) => void
  readonly logged: (level: string) => void
  readonly contractsReloaded: (outcome: 'changed' | 'unchanged' | 'failed') => void
  readonly contentType: string
  /** The page in Prometheus' text format; gauges are read anew, at most four times a second. */
  readonly render: () => Promise<string>
  readonly describe: () => readonly MetricDescription[]
}

type Circuits = () => readonly { readonly endpoint: string; readonly state: CircuitState }[]

export interface MetricSources extends GaugeSources {
  /** Contracts that exist: any other name would be a label of its sender's making. */
  readonly isContract: (ref: string) => boolean
}

type Definition = Omit<MetricDescription, 'type'>
type Values = Readonly<Record<string, string>>

const SECONDS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10]
const ROWS = [1, 2, 4, 8, 16, 32, 64, 128, 256]

/**
 * The metrics of one process; the only place that imports prom-client. Labels are party ids, contracts that exist,
 * and words from closed sets: nothing that a sender can make up, nothing personal.
 */
export function createMetrics(sources: MetricSources): Metrics {
  const registry = new Registry()
  const described: MetricDescription[] = []
  const describe = (type: MetricDescription['type'], definition: Definition) => {
    described.push({ type, ...definition })
    return { name: definition.name, help: definition.help, labelNames: [...definition.labels], registers: [registry] }
  }
  const counter = (definition: Definition): ((labels: Values, by: number) => void) => {
    const made = new Counter(describe('counter', definition))
    return (labels, by) => made.inc(labels, by)
  }
  const histogram = (definition: Definition, buckets: number[]): ((labels: Values, value: number) => void) => {
    const made = new Histogram({ ...describe('histogram', definition), buckets })
    return (labels, value) => made.observe(labels, value)
  }
  const refreshGauges = createGauges(sources, (definition) => {
    const made = new Gauge(describe('gauge', definition))
    // Resetting a gauge without labels would say 0 where nothing is known.
    const reset = (): void => (definition.labels.length === 0 ? made.remove() : made.reset())
    return { reset, set: (labels, value) => made.set(labels, value) }
  })
  let circuits: Circuits = () => []
  const circuitStates: Gauge = new Gauge({
    ...describe('gauge', LOOKUP_CIRCUIT),
    collect() {
      circuitStates.reset()
      for (const { endpoint, state } of circuits()) circuitStates.set({ endpoint, state }, 1)
    },
  })
  const lookUps = {
    count: counter(LOOKUPS),
    seconds: histogram(metric('dianqiao_lookup_seconds', 'Time of a look-up in its system', 'endpoint'), SECONDS),
  }
  const cpu: Counter = new Counter({ ...describe('counter', CPU), collect: () => countUpTo(cpu, cpuSeconds()) })
  const batches = {
    rows: histogram(metric('dianqiao_batch_rows', 'Rows of a commit batch'), ROWS),
    seconds: histogram(metric('dianqiao_batch_seconds', 'Time of a commit batch in the database'), SECONDS),
  }
  const loops = { moved: counter(LOOP_MOVED), errors: counter(LOOP_ERRORS) }
  const failed = new Gauge(describe('gauge', RELOAD_FAILED))
  const reloads = { count: counter(RELOADS), failed: (value: number) => failed.set(value) }
  reloads.failed(0)
  const logs = counter(metric('dianqiao_log_entries_total', 'Log entries by level, written or not', 'level'))
  // A series that begins at 1 shows no increase: the first error would raise no alert.
  for (const level of ['warn', 'error']) logs({ level }, 0)
  return {
    ...judgements(sources.isContract, counter, histogram),
    batchCommitted(rows, seconds) {
      batches.rows({}, rows)
      batches.seconds({}, seconds)
    },
    loopStarted(loop) {
      loops.moved({ loop }, 0)
      loops.errors({ loop }, 0)
    },
    loopMoved: (loop, moved) => loops.moved({ loop }, moved),
    loopFailed: (loop) => loops.errors({ loop }, 1),
    lookedUp({ endpoint, outcome, seconds }) {
      lookUps.count({ endpoint, outcome }, 1)
      if (seconds !== undefined) lookUps.seconds({ endpoint }, seconds)
    },
    watchCircuits(read) {
      circuits = read
    },
    logged: (level) => logs({ level }, 1),
    contractsReloaded(kind) {
      reloads.count({ outcome: kind }, 1)
      reloads.failed(kind === 'failed' ? 1 : 0)
    },
    contentType: registry.contentType,
    async render() {
      await refreshGauges()
      return registry.metrics()
    },
    describe: () => described,
  }
}

const metric = (name: string, help: string, ...labels: string[]): Definition => ({ name, help, labels })

const LOOKUPS = metric(
  'dianqiao_lookups_total',
  'Look-ups by outcome: live, cached, shared, circuit_open, busy or an error code',
  'endpoint',
  'outcome',
)
const LOOKUP_CIRCUIT = metric(
  'dianqiao_lookup_circuit_state',
  '1 for the state that the circuit of this gateway to a system is in: closed, open or half-open',
  'endpoint',
  'state',
)
const RELOADS = metric(
  'dianqiao_contract_reloads_total',
  'Reloads of contracts and schemas: changed, unchanged or failed',
  'outcome',
)
const RELOAD_FAILED = metric(
  'dianqiao_contract_reload_failed',
  '1 when the last reload of contracts and schemas failed and the former ones are in force, else 0',
)
const LOOP_MOVED = metric('dianqiao_loop_moved_total', 'Log positions or rows that a background loop moved', 'loop')
const LOOP_ERRORS = metric('dianqiao_loop_errors_total', 'Steps of a background loop that failed', 'loop')
const CPU = metric('process_cpu_seconds_total', 'CPU time of the process, user and system')

const cpuSeconds = (): number => {
  const { user, system } = process.cpuUsage()
  return (user + system) / 1e6
}

function countUpTo(counter: Counter, value: number): void {
  counter.reset()
  counter.inc(value)
}

/**
 * Contract and code are not labels of the same counter: their product over all parties would not be bounded by what
 * parties do, and a single sender could fill it.
 */
function judgements(
  isContract: MetricSources['isContract'],
  counter: (definition: Definition) => (labels: Values, by: number) => void,
  histogram: (definition: Definition, buckets: number[]) => (labels: Values, value: number) => void,
): Pick<Metrics, 'exchangeJudged' | 'queryJudged'> {
  const labels = ['contract', 'party', 'outcome']
  const exchanges = counter(metric('dianqiao_exchanges_total', 'Exchanges judged, by outcome', ...labels))
  const queries = counter(metric('dianqiao_queries_total', 'Queries judged, by outcome', ...labels))
  const codes = counter(metric('dianqiao_refusals_total', 'Refusals and failures, by error code', 'party', 'code'))
  const accept = histogram(metric('dianqiao_accept_seconds', 'From a token in hand to its answer', 'door'), SECONDS)
  const ask = histogram(metric('dianqiao_query_seconds', 'From a query in hand to its answer'), SECONDS)

  const count = (by: typeof exchanges, judged: Judged): void => {
    const party = judged.party ?? 'unproven'
    const known = judged.party !== undefined && judged.contract !== undefined && isContract(judged.contract)
    const outcome = outcomeOf(judged.outcome)
    by({ contract: known ? (judged.contract ?? '') : 'unknown', party, outcome }, 1)
    if (outcome === 'refused' || outcome === 'failed') codes({ party, code: judged.outcome }, 1)
  }
  return {
    exchangeJudged(judged) {
      count(exchanges, judged)
      accept({ door: judged.door }, judged.seconds)
    },
    queryJudged(judged) {
      count(queries, judged)
      ask({}, judged.seconds)
    },
  }
}

type Outcome = 'accepted' | 'replayed' | 'answered' | 'refused' | 'failed'

/** A refusal is the sender's to mend, a failure is ours or that of a system that we asked. */
function outcomeOf(outcome: Judged['outcome']): Outcome {
  if (outcome === 'accepted' || outcome === 'replayed' || outcome === 'answered') return outcome
  return /^(?:hub|peer|vault)\./.test(outcome) ? 'failed' : 'refused'
}
