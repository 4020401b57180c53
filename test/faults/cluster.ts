import { chmodSync, mkdtempSync, rmSync } from 'node:fs'
import { mkdir } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { prepare } from '#cli/boot.ts'
import { readConfig } from '#config.ts'
import { type MarketingPeer, startMarketingPeer } from '#sandbox/marketing-peer.ts'
import type { PartyClient } from '#sandbox/party-client.ts'
import { QUICK } from '../support/hub-process.ts'
import { startTcpProxy, type TcpProxy } from '../support/tcp-proxy.ts'
import { type FaultBroker, openFaultBroker } from './fault-broker.ts'
import { type FaultDatabase, openFaultDatabase } from './fault-database.ts'
import { openRole, type RoleProcess } from './role.ts'

/** Two processes for each role: one of them may be down, cut off or wrong without an end of service. */
const ROLES_BY_PROCESS: Readonly<Record<string, string>> = {
  'gateway-1': 'gateway',
  'gateway-2': 'gateway',
  'relay-1': 'relay,cases',
  'relay-2': 'relay,cases',
  'connect-1': 'connect',
  'connect-2': 'connect',
}
export const PROCESSES = Object.keys(ROLES_BY_PROCESS)
export const GATEWAYS = PROCESSES.filter((name) => name.startsWith('gateway'))
const CONNECTS = PROCESSES.filter((name) => name.startsWith('connect'))
const UTILITIES = ['state-grid-east', 'inner-mongolia-power'] as const

/** Every line that a fault can disturb, as `from->to`. */
export const LINES: readonly string[] = [
  ...PROCESSES.map((name) => `${name}->database`),
  ...CONNECTS.flatMap((name) => UTILITIES.map((utility) => `${name}->${utility}`)),
  ...GATEWAYS.map((name) => `client->${name}`),
]

const TIMES = { KAFKA_SESSION_TIMEOUT_MS: '2000', KAFKA_PAUSE_MAX_MS: '1000' }
const READY_WITHIN_MS = 40_000

/** A hub in six processes, with its own PostgreSQL, broker and peers, and a proxy on every line between them. */
export interface Cluster {
  readonly dir: string
  readonly keysDir: string
  readonly database: FaultDatabase
  readonly broker: FaultBroker
  readonly peers: ReadonlyMap<string, MarketingPeer>
  readonly role: (name: string) => RoleProcess
  readonly line: (name: string) => TcpProxy
  /** Where clients reach a gateway, and where the checker does. */
  readonly clientUrl: (gateway: string) => string
  readonly directUrl: (gateway: string) => string
  /** Through a line that heals with the others. */
  readonly databaseUrl: string
  /** Clients that were opened once, by party and address. */
  readonly clients: Map<string, Promise<PartyClient>>
  /** Heals every line, clock, disk, broker and process, starts what is dead; resolves with the names that are not ready. */
  readonly recover: () => Promise<readonly string[]>
  readonly close: (keep: boolean) => Promise<void>
}

export interface ClusterOptions {
  /** The folder whose build runs; default this one. */
  readonly root?: string
  readonly env?: Readonly<Record<string, string>>
  /** Which of the processes run; default all. */
  readonly processes?: readonly string[]
}

export async function openCluster(options: ClusterOptions = {}): Promise<Cluster> {
  const dir = mkdtempSync(join(tmpdir(), 'dianqiao-f-'))
  // PostgreSQL runs as an unprivileged user when we are root, and must be able to enter.
  chmodSync(dir, 0o711)
  const stops: (() => Promise<void>)[] = [async () => rmSync(dir, { recursive: true, force: true })]
  const close = async (keep: boolean): Promise<void> => {
    for (const stop of stops.splice(keep ? 1 : 0).reverse()) await stop()
  }
  try {
    return { ...(await build(dir, options, stops)), close }
  } catch (error) {
    await close(false)
    throw error
  }
}

async function build(
  dir: string,
  options: ClusterOptions,
  stops: (() => Promise<void>)[],
): Promise<Omit<Cluster, 'close'>> {
  const [database, broker] = await Promise.all([
    openFaultDatabase(dir),
    openFaultBroker(dir, [...UTILITIES, 'platform-nmg']),
  ])
  stops.push(database.close, broker.close)
  const peers = new Map<string, MarketingPeer>()
  for (const utility of UTILITIES) {
    const peer = await startMarketingPeer({
      dialect: utility,
      dedupe: true,
      historyFile: join(dir, `${utility}.jsonl`),
    })
    stops.push(peer.stop)
    peers.set(utility, peer)
  }
  const lines = new Map<string, TcpProxy>()
  const roles = new Map<string, RoleProcess>()
  for (const name of LINES) {
    const target = name.slice(name.indexOf('>') + 1)
    const proxy = await startTcpProxy(() => {
      if (target === 'database') return database.target()
      return { port: Number(new URL(peers.get(target)?.url ?? `http://x:${roles.get(target)?.port}`).port) }
    })
    stops.push(proxy.close)
    lines.set(name, proxy)
  }
  const line = found('line', lines)
  const role = found('process', roles)
  const keys = {
    HUB_KEYS_FILE: join(dir, 'hub.json'),
    PARTY_KEYS_DIR: join(dir, 'parties'),
    DATA_DIR: join(dir, 'hub'),
  }
  await mkdir(keys.DATA_DIR)
  const urlOf = (name: string): string => `postgresql://dianqiao@127.0.0.1:${line(`${name}->database`).port}/dianqiao`
  const config = readConfig({ ...keys, DATABASE_URL: urlOf('gateway-1') }, process.getuid?.() === 0)
  await prepare(config, urlOf('gateway-1'))
  for (const name of options.processes ?? PROCESSES) {
    const endpoints = UTILITIES.map((utility) => [
      `ENDPOINT_${utility.toUpperCase().replaceAll('-', '_')}_MARKETING`,
      name.startsWith('connect') ? `http://127.0.0.1:${line(`${name}->${utility}`).port}` : 'http://127.0.0.1:9',
    ])
    const env = {
      ...QUICK,
      ...TIMES,
      ...keys,
      ...Object.fromEntries(endpoints),
      DATABASE_URL: urlOf(name),
      KAFKA_BROKERS: broker.brokers.join(','),
      ...options.env,
    }
    const opened = await openRole({
      name,
      roles: ROLES_BY_PROCESS[name] ?? '',
      dir,
      env,
      ...(options.root === undefined ? {} : { root: options.root }),
    })
    stops.push(opened.close)
    roles.set(name, opened)
  }
  const cluster = {
    dir,
    keysDir: keys.PARTY_KEYS_DIR,
    database,
    broker,
    peers,
    role,
    line,
    clientUrl: (gateway: string) => `http://127.0.0.1:${line(`client->${gateway}`).port}`,
    directUrl: (gateway: string) => `http://127.0.0.1:${role(gateway).port}`,
    databaseUrl: urlOf('gateway-1'),
    clients: new Map<string, Promise<PartyClient>>(),
    recover: () => recover({ database, broker, peers, lines, roles }),
  }
  await cluster.recover()
  return cluster
}

interface Parts extends Pick<Cluster, 'database' | 'broker' | 'peers'> {
  readonly lines: ReadonlyMap<string, TcpProxy>
  readonly roles: ReadonlyMap<string, RoleProcess>
}

async function recover({ database, broker, peers, lines, roles }: Parts): Promise<readonly string[]> {
  for (const proxy of lines.values()) await proxy.heal()
  for (const peer of peers.values()) peer.faults.clear()
  broker.thaw()
  await database.freeDisk()
  await Promise.all([database.ensure(), broker.ensure()])
  for (const role of roles.values()) {
    role.shiftClock(0)
    role.signal('SIGCONT')
  }
  return untilReady([...roles.values()])
}

/** Like a supervisor of processes: what has ended is started again, until all are ready. */
async function untilReady(roles: readonly RoleProcess[]): Promise<readonly string[]> {
  const until = performance.now() + READY_WITHIN_MS
  let waiting = roles
  while (waiting.length > 0 && performance.now() < until) {
    for (const role of roles) role.start()
    const ready = await Promise.all(waiting.map((role) => role.isReady()))
    waiting = waiting.filter((role, n) => ready[n] !== true || !role.isAlive())
    if (waiting.length > 0) await sleep(50)
  }
  return waiting.map(({ name }) => name)
}

const found =
  <T>(what: string, all: ReadonlyMap<string, T>) =>
  (name: string): T => {
    const one = all.get(name)
    if (one === undefined) throw new Error(`no ${what} ${name}`)
    return one
  }
