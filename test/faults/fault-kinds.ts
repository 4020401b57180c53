import type { FaultInput } from '#sandbox/fault-script.ts'
import { type Cluster, LINES, PROCESSES } from './cluster.ts'
import { CHIFENG, HOHHOT } from './messages.ts'
import type { Random } from './random.ts'

/** One fault of a schedule; what the fields mean is its kind's affair. */
export interface Fault {
  readonly kind: FaultKindName
  readonly where: string
  /** Milliseconds after the schedule began, and how long it lasts. */
  readonly atMs: number
  readonly forMs: number
  readonly point?: string
  readonly clockMs?: number
  readonly script?: readonly FaultInput[]
}

type Particulars = Omit<Fault, 'kind' | 'atMs'>

interface FaultKind {
  readonly plan: (random: Random) => Particulars
  readonly start: (cluster: Cluster, fault: Fault) => Promise<void> | void
  readonly heal: (cluster: Cluster, fault: Fault) => Promise<void> | void
}

/** Between two steps that a kill at a moment would seldom hit. */
const POINTS: readonly (readonly [string, readonly string[]])[] = [
  ['gateway', ['accept.before-commit', 'accept.after-commit']],
  ['relay', ['relay.before-publish', 'relay.after-publish', 'outcome.before-apply']],
  ['relay', ['cases.before-commit', 'cases.after-commit', 'routing.before-commit']],
  ['connect', ['host.before-land', 'host.after-land', 'host.before-effect', 'host.after-effect']],
  ['connect', ['host.before-final', 'host.after-final', 'host.before-ack-sent', 'host.after-ack-sent']],
]

const PEER_SCRIPTS: readonly (readonly FaultInput[])[] = [
  [{ kind: 'status', status: 500 }],
  // Twelve failures in a row open the breaker.
  [{ kind: 'status', status: 500, times: 12 }],
  [{ kind: 'status', status: 503, retryAfterSeconds: 1 }],
  [{ kind: 'timeout' }],
  [{ kind: 'timeout-after' }],
  [{ kind: 'reset' }],
  [{ kind: 'reset-after', times: 2 }],
  [{ kind: 'slow', ms: 300, times: 3 }],
  [{ kind: 'slow-after', ms: 400, times: 3 }],
  [{ kind: 'reset-after' }, { kind: 'unclear', on: 'look-up' }],
]

const MINUTE_MS = 60_000
/** Longer than the relay's and the connectors' leases and the Kafka session of the cluster, so that others take over. */
const BEYOND_LEASES = [2_600, 3_800] as const

const somewhere = (random: Random): string => random.pick(PROCESSES)
const at = (where: string, forMs: number): Particulars => ({ where, forMs })
const nothing = (): void => {}

const startAgain = (cluster: Cluster, { where }: Fault): void => cluster.role(where).start()
const healLine = (cluster: Cluster, { where }: Fault): Promise<void> => cluster.line(where).heal()

const processFaults = {
  kill: {
    plan: (random) => at(somewhere(random), random.between(50, 1_500)),
    start: (cluster, { where }) => cluster.role(where).kill(),
    heal: startAgain,
  },
  'kill-at-point': {
    plan: (random) => {
      const [role, points] = random.pick(POINTS)
      const where = random.pick(PROCESSES.filter((name) => name.startsWith(role)))
      return { ...at(where, 3_500), point: `${random.pick(points)}:${random.between(1, 4)}` }
    },
    start: async (cluster, { where, point = '' }) => {
      await cluster.role(where).kill()
      cluster.role(where).start({ FAULT_POINT: point })
    },
    // Whether it came to its point or not, what runs from now on has none.
    heal: async (cluster, { where }) => {
      await cluster.role(where).kill()
      cluster.role(where).start()
    },
  },
  stop: {
    plan: (random) => at(somewhere(random), random.between(...BEYOND_LEASES)),
    start: (cluster, { where }) => cluster.role(where).signal('SIGSTOP'),
    heal: (cluster, { where }) => cluster.role(where).signal('SIGCONT'),
  },
  'clock-jump': {
    plan: (random) => {
      const clockMs = (random() < 0.5 ? -1 : 1) * random.between(1, 12) * MINUTE_MS
      return { ...at(somewhere(random), random.between(500, 3_000)), clockMs }
    },
    start: (cluster, { where, clockMs = 0 }) => cluster.role(where).shiftClock(clockMs),
    heal: (cluster, { where }) => cluster.role(where).shiftClock(0),
  },
} satisfies Record<string, FaultKind>

const brokerFaults = {
  'broker-kill': {
    plan: (random) => at('broker', random.between(100, 1_500)),
    start: (cluster) => cluster.broker.stop('SIGKILL'),
    heal: (cluster) => cluster.broker.ensure(),
  },
  'broker-restart': {
    plan: () => at('broker', 100),
    start: (cluster) => cluster.broker.stop('SIGTERM'),
    heal: (cluster) => cluster.broker.ensure(),
  },
  'broker-stop': {
    plan: (random) => at('broker', random.between(1_000, 3_500)),
    start: (cluster) => cluster.broker.freeze(),
    heal: (cluster) => cluster.broker.thaw(),
  },
} satisfies Record<string, FaultKind>

const databaseFaults = {
  'database-kill': {
    plan: (random) => at('database', random.between(100, 1_500)),
    start: (cluster) => cluster.database.stop('kill'),
    heal: (cluster) => cluster.database.ensure(),
  },
  'database-restart': {
    plan: (random) => at('database', random.between(50, 1_000)),
    start: (cluster) => cluster.database.stop('fast'),
    heal: (cluster) => cluster.database.ensure(),
  },
  'full-disk': {
    plan: (random) => at('database', random.between(500, 2_500)),
    start: (cluster) => cluster.database.fillDisk(),
    heal: async (cluster) => {
      await cluster.database.freeDisk()
      await cluster.database.ensure()
    },
  },
} satisfies Record<string, FaultKind>

const lineFaults = {
  'line-refused': {
    plan: (random) => at(random.pick(LINES), random.between(300, 2_500)),
    // Without a break of what is open, a pool would never notice.
    start: async (cluster, { where }) => {
      await cluster.line(where).refuse()
      cluster.line(where).reset()
    },
    heal: healLine,
  },
  'line-reset': {
    plan: (random) => at(random.pick(LINES), 0),
    start: (cluster, { where }) => cluster.line(where).reset(),
    heal: nothing,
  },
  'line-black-hole': {
    plan: (random) => at(random.pick(LINES), random.between(500, 3_500)),
    start: (cluster, { where }) => cluster.line(where).swallow(),
    heal: healLine,
  },
  'peer-fault': {
    plan: (random) => ({
      ...at(random.pick([CHIFENG.utility, HOHHOT.utility]), 2_500),
      script: random.pick(PEER_SCRIPTS),
    }),
    start: (cluster, { where, script = [] }) => cluster.peers.get(where)?.faults.next(script),
    heal: (cluster, { where }) => cluster.peers.get(where)?.faults.clear(),
  },
} satisfies Record<string, FaultKind>

/** Every kind of fault: how it is drawn, how it begins and how it ends. */
export const FAULT_KINDS = { ...processFaults, ...brokerFaults, ...databaseFaults, ...lineFaults }
export type FaultKindName = keyof typeof FAULT_KINDS
export const FAULT_KIND_NAMES = Object.keys(FAULT_KINDS) as FaultKindName[]

export const kindOf = (fault: Fault): FaultKind => FAULT_KINDS[fault.kind]
