import type { DisputeCount } from '#store/dispute-queries.ts'
import type { FileLoad } from '#store/file-queries.ts'
import type { Backlog } from '#store/operations-queries.ts'
import { answered, fill, type MakeGauge } from './gauge.ts'

/** A pair of topic and group that this process reads. */
export interface BusReader {
  readonly topic: string
  readonly group: string
}

/** What is asked at each scrape. A question that fails leaves its gauges out and is counted. */
export interface GaugeSources {
  readonly backlog: () => Promise<Backlog>
  readonly files: () => Promise<readonly FileLoad[]>
  readonly disputes: () => Promise<readonly DisputeCount[]>
  readonly queue: () => { readonly rows: number; readonly bytes: number }
  readonly queueLimits: { readonly rows: number; readonly bytes: number }
  readonly notReady: () => Promise<readonly string[]>
  /** How far this node's clock is ahead of the database's. */
  readonly clockOffsetMs: () => Promise<number>
  /** For how long the data keys in memory suffice to seal. */
  readonly vaultSeconds: () => number
  readonly busReaders: () => readonly BusReader[]
  readonly busLag: (topic: string, group: string) => Promise<number>
}

const AT_MOST_EVERY_MS = 250

/** Defines the gauges that are read when somebody looks, and gives the function that reads them. */
export function createGauges(sources: GaugeSources, make: MakeGauge): () => Promise<void> {
  const refreshers = [
    processGauges(make),
    queueGauges(sources, make),
    readiness(sources, make),
    clockGauge(sources, make),
    vaultGauge(sources, make),
    busGauge(sources, make),
    backlogGauges(sources, make),
    fileGauges(sources, make),
    disputeGauge(sources, make),
  ]
  let readAt = Number.NEGATIVE_INFINITY
  let underWay: Promise<void> | undefined
  // Several readers, or one in a loop, cost the database no more than one.
  return () => {
    if (underWay === undefined && performance.now() - readAt < AT_MOST_EVERY_MS) return Promise.resolve()
    underWay ??= Promise.all(refreshers.map((refresh) => refresh())).then(() => {
      readAt = performance.now()
      underWay = undefined
    })
    return underWay
  }
}

type Refresh = () => Promise<void>

function vaultGauge({ vaultSeconds }: GaugeSources, make: MakeGauge): Refresh {
  const gauge = make({
    name: 'dianqiao_vault_seconds',
    help: 'For how long the data keys in memory suffice; below a day no new ones could be made',
    labels: [],
  })
  return async () => gauge.set({}, vaultSeconds())
}

function processGauges(make: MakeGauge): Refresh {
  const memory = make({ name: 'process_resident_memory_bytes', help: 'Resident memory of the process', labels: [] })
  const started = make({ name: 'process_start_time_seconds', help: 'Start of the process, Unix time', labels: [] })
  const busy = make({
    name: 'dianqiao_event_loop_utilization',
    help: 'Share of the time since the last scrape in which the event loop was busy, 0 to 1',
    labels: [],
  })
  let before = performance.eventLoopUtilization()
  return async () => {
    memory.set({}, process.memoryUsage.rss())
    started.set({}, performance.timeOrigin / 1_000)
    const now = performance.eventLoopUtilization()
    busy.set({}, performance.eventLoopUtilization(now, before).utilization)
    before = now
  }
}

function queueGauges({ queue, queueLimits }: GaugeSources, make: MakeGauge): Refresh {
  const rows = make({ name: 'dianqiao_queue_rows', help: 'Exchanges that wait for their commit', labels: [] })
  const bytes = make({ name: 'dianqiao_queue_bytes', help: 'Bytes of those exchanges', labels: [] })
  const fullness = make({
    name: 'dianqiao_queue_fullness',
    help: 'The fuller of both against its bound; at 1 the hub answers hub.busy',
    labels: [],
  })
  return async () => {
    const load = queue()
    rows.set({}, load.rows)
    bytes.set({}, load.bytes)
    fullness.set({}, Math.max(load.rows / queueLimits.rows, load.bytes / queueLimits.bytes))
  }
}

function readiness({ notReady }: GaugeSources, make: MakeGauge): Refresh {
  const ready = make({ name: 'dianqiao_ready', help: '1 when /health/ready says so, else 0', labels: [] })
  return async () => {
    ready.set({}, (await answered(notReady))?.length === 0 ? 1 : 0)
  }
}

function clockGauge({ clockOffsetMs }: GaugeSources, make: MakeGauge): Refresh {
  const offset = make({
    name: 'dianqiao_clock_offset_seconds',
    help: 'How far the clock of this node is ahead of the database; beyond 2 s it is not ready',
    labels: [],
  })
  return async () => {
    const ms = await answered(clockOffsetMs)
    offset.reset()
    if (ms !== undefined) offset.set({}, ms / 1_000)
  }
}

function busGauge({ busReaders, busLag }: GaugeSources, make: MakeGauge): Refresh {
  const lag = fill<BusReader & { readonly messages: number }>(
    make,
    ['dianqiao_bus_lag_messages', 'Messages that a group has not finished'],
    ['topic', 'group'],
    (row) => row.messages,
  )
  const up = make({ name: 'dianqiao_bus_up', help: '1 when the bus told how far the readers are', labels: [] })
  return async () => {
    const read = await Promise.all(
      busReaders().map(async (reader) => ({
        ...reader,
        messages: await answered(() => busLag(reader.topic, reader.group)),
      })),
    )
    lag(read.flatMap(({ messages, ...reader }) => (messages === undefined ? [] : [{ ...reader, messages }])))
    up.set({}, read.every(({ messages }) => messages !== undefined) ? 1 : 0)
  }
}

function fileGauges({ files }: GaugeSources, make: MakeGauge): Refresh {
  const count = fill<FileLoad>(
    make,
    ['dianqiao_files', 'Files at the hub, uploading or complete'],
    ['state'],
    (row) => row.count,
  )
  const bytes = fill<FileLoad>(make, ['dianqiao_file_bytes', 'Bytes stored of them'], ['state'], (row) => row.bytes)
  return async () => {
    const read = (await answered(files)) ?? []
    count(read)
    bytes(read)
  }
}

function disputeGauge({ disputes }: GaugeSources, make: MakeGauge): Refresh {
  const count = fill<DisputeCount>(
    make,
    [
      'dianqiao_disputes',
      'Disputes that their provider has not answered, within their time (open) or past it (overdue)',
    ],
    ['provider', 'state'],
    (row) => row.count,
  )
  return async () => count((await answered(disputes)) ?? [])
}

const NOTHING: Backlog = {
  open: [],
  failed: [],
  readers: [],
  inbox: [],
  blockedKeys: [],
  deadLetters: [],
  ackOutbox: [],
  breakers: [],
}

/** The same in every process on one database: take their maximum, never their sum. */
function backlogGauges({ backlog }: GaugeSources, make: MakeGauge): Refresh {
  const up = make({ name: 'dianqiao_store_up', help: '1 when the database told its backlog', labels: [] })
  const sets = [deliveryGauges(make), readerGauges(make), hostGauges(make)]
  return async () => {
    const read = await answered(backlog)
    up.set({}, read === undefined ? 0 : 1)
    for (const set of sets) set(read ?? NOTHING)
  }
}

type SetGauges = (backlog: Backlog) => void

function deliveryGauges(make: MakeGauge): SetGauges {
  const labels = ['contract', 'recipient', 'state'] as const
  type Open = Backlog['open'][number]
  const open = fill<Open>(make, ['dianqiao_deliveries', 'Deliveries without an outcome'], labels, (row) => row.count)
  const oldest = fill<Open>(
    make,
    ['dianqiao_delivery_oldest_seconds', 'Age of the oldest of them'],
    labels,
    (row) => row.oldestSeconds,
  )
  const failed = fill<Backlog['failed'][number]>(
    make,
    ['dianqiao_deliveries_failed', 'Deliveries that died or expired within 24 hours'],
    labels,
    (row) => row.count,
  )
  return (backlog) => {
    open(backlog.open)
    oldest(backlog.open)
    failed(backlog.failed)
  }
}

function readerGauges(make: MakeGauge): SetGauges {
  type Reader = Backlog['readers'][number]
  const positions = fill<Reader>(
    make,
    ['dianqiao_reader_lag_positions', 'Log positions that a reader has not passed'],
    ['reader'],
    (row) => row.positions,
  )
  const seconds = fill<Reader>(
    make,
    ['dianqiao_reader_lag_seconds', 'Age of the first of them'],
    ['reader'],
    (row) => row.seconds,
  )
  return (backlog) => {
    positions(backlog.readers)
    seconds(backlog.readers)
  }
}

type Consumed = { readonly consumer: string; readonly count: number }
type Aged = { readonly consumer: string; readonly oldestSeconds: number }

function hostGauges(make: MakeGauge): SetGauges {
  const count = <R extends Consumed>(name: string, help: string, ...labels: (keyof R & string)[]) =>
    fill<R>(make, [name, help], ['consumer', ...labels], (row) => row.count)
  const age = <R extends Aged>(name: string, help: string, ...labels: (keyof R & string)[]) =>
    fill<R>(make, [name, help], ['consumer', ...labels], (row) => row.oldestSeconds)
  type Inbox = Backlog['inbox'][number]
  type Letter = Backlog['deadLetters'][number]
  type Ack = Backlog['ackOutbox'][number]
  const inbox = count<Inbox>('dianqiao_inbox', 'Deliveries that a connector has not finished', 'state')
  const inboxAge = age<Inbox>('dianqiao_inbox_oldest_seconds', 'Age of the oldest of them', 'state')
  const blocked = count('dianqiao_inbox_blocked_keys', 'Order keys behind a dead or parked delivery')
  const letters = count<Letter>('dianqiao_dead_letters', 'Dead letters that nobody has decided about', 'stage')
  const letterAge = age<Letter>('dianqiao_dead_letter_oldest_seconds', 'Age of the oldest of them', 'stage')
  const acks = count<Ack>('dianqiao_ack_outbox', 'Acknowledgements without a receipt')
  const ackAge = age<Ack>('dianqiao_ack_outbox_oldest_seconds', 'Age of the oldest of them')
  const breaker = fill<Backlog['breakers'][number]>(
    make,
    ['dianqiao_breaker_state', '1 for the state that the breaker of an endpoint is in: closed, open or disabled'],
    ['consumer', 'state'],
    () => 1,
  )
  return (backlog) => {
    inbox(backlog.inbox)
    inboxAge(backlog.inbox)
    blocked(backlog.blockedKeys)
    letters(backlog.deadLetters)
    letterAge(backlog.deadLetters)
    acks(backlog.ackOutbox)
    ackAge(backlog.ackOutbox)
    breaker(backlog.breakers)
  }
}
