import path from 'node:path'
import { inTopic, outTopic } from '#bus/topic-names.ts'
import { type Core, type Log, openCore, PROJECT_ROOT } from '#compose.ts'
import { reloadContracts } from '#compose-contracts.ts'
import { composeGateway, composeOperations } from '#compose-gateway.ts'
import { CONNECTORS } from '#compose-lookups.ts'
import { startLoops } from '#compose-loops.ts'
import { prepareVault } from '#compose-vault.ts'
import { type Config, endpointVariable } from '#config.ts'
import { connectorFolders } from '#connect/folders.ts'
import { type ConnectorHost, type HostTuning, startConnectorHost } from '#connect/host.ts'
import { loadManifest } from '#connect/manifest.ts'
import { loadContracts } from '#contracts/load.ts'
import { type DeliveryVerifier, verifyDelivery } from '#exchange/verify-delivery.ts'
import { type RunningServer, startServer } from '#gateway/http/server.ts'
import { DOOR_GROUP, type DoorDeps, openKafkaDoor } from '#gateway/kafka/door.ts'
import type { BusReader } from '#gateway/metric-gauges.ts'
import { HubError } from '#kernel/errors.ts'
import { openPartyEncryption, readPartySigner } from '#parties/key-files.ts'
import { applySeeds } from '#parties/seed.ts'
import type { DialectName } from '#sandbox/dialects.ts'
import type { LookUpPeer } from '#sandbox/lookup-peer.ts'
import { type MarketingPeer, startMarketingPeer } from '#sandbox/marketing-peer.ts'
import type { Db } from '#store/db.ts'
import { migrate } from '#store/migrate.ts'
import { openGenerations } from '#store/topic-queries.ts'
import { openDecryptionKeys } from '#trust/encryption-keys.ts'
import { decryptWith } from '#trust/jwe.ts'
import { openKeyRing } from '#trust/key-ring.ts'
import { startLookUps } from './boot-lookups.ts'
import { openStore } from './with-store.ts'

/** Schema, hub keys, keystore, old rows sealed, and seeds: what a first start needs and a later one finds in place. */
export async function prepare(config: Config, databaseUrl: string): Promise<void> {
  await migrate(databaseUrl)
  openKeyRing(config.hubKeysFile, true)
  openDecryptionKeys(config.hubEncryptionKeysFile, true)
  await prepareVault(config, databaseUrl, () => loadContracts(PROJECT_ROOT))
  await applySeeds(databaseUrl, {
    seedsDir: path.join(PROJECT_ROOT, 'seeds'),
    keysDir: config.partyKeysDir,
    hubId: config.hubId,
    hubKeys: openKeyRing(config.hubKeysFile, false).publicKeys,
  })
}

export interface RunningHub {
  readonly core: Core
  /** Where the gateway listens, undefined without that role. */
  readonly url: string | undefined
  /** Where health and metrics have a port of their own, undefined without one. */
  readonly operationsUrl: string | undefined
  /** Sandbox peers by the party they stand for. */
  readonly peers: ReadonlyMap<string, MarketingPeer>
  /** Sandbox peers of look-ups by the name of their endpoint. */
  readonly lookUpPeers: ReadonlyMap<string, LookUpPeer>
  /** Not ready from now on: balancers go elsewhere, long polls end, and what still comes is served. */
  drain(): void
  /** Reads contracts and schemas again; false, and the former ones in force, when they are faulty. */
  reloadContracts(): boolean
  /** Ends everything, the last started first. What fails is logged and does not keep the rest; false then. */
  stop(): Promise<boolean>
  /** What `stop` waits for now. */
  stopping(): string | undefined
}

export interface BootOptions {
  readonly tuning?: HostTuning
  /** Append-only files in this folder tell an outside checker what the sandbox peers did. */
  readonly historyDir?: string
}

const GRACE_MS = 10_000

/** Starts the configured roles in this process: store → core → loops → connectors → gateway. */
export async function boot(config: Config, log: Log, options: BootOptions = {}): Promise<RunningHub> {
  const ends = createEnds(log)
  try {
    const store = await openStore(config, log)
    ends.add('database', store.stop)
    if (config.databaseUrl === undefined) await prepare(config, store.url)
    const core = await openCore(config, store.url, log)
    ends.add('core', core.close)
    const operations = await startOperations(core)
    if (operations !== undefined) ends.add('operations port', () => operations.stop(GRACE_MS))
    const loops = startLoops(core, store.url)
    ends.add('loops', loops.stop)
    const peers = config.roles.includes('connect') ? await startConnectors(core, options, ends) : new Map()
    const lookUpPeers = new Map<string, LookUpPeer>()
    const server = config.roles.includes('gateway') ? await startGateway(core, lookUpPeers, ends) : undefined
    if (server !== undefined) {
      ends.add('gateway', () => server.stop(GRACE_MS))
      const parties = senders(core)
      const door = await openKafkaDoor(doorDeps(core), parties)
      core.busReaders.push(...parties.map((party) => ({ topic: inTopic(party), group: DOOR_GROUP })))
      ends.add('Kafka door', door.close)
    }
    core.life.begin()
    const drain = (): void => {
      core.life.drain()
      server?.drain()
    }
    const { stop, stopping } = ends
    const reload = (): boolean => reloadContracts(core.contracts, core.metrics, core.log)
    const urls = { url: server?.url, operationsUrl: operations?.url }
    return { core, ...urls, peers, lookUpPeers, drain, reloadContracts: reload, stop, stopping }
  } catch (error) {
    await ends.stop()
    throw error
  }
}

interface Ends extends Pick<RunningHub, 'stop' | 'stopping'> {
  add(name: string, end: () => Promise<unknown>): void
}

function createEnds(log: Log): Ends {
  const ends: { readonly name: string; readonly end: () => Promise<unknown> }[] = []
  let current: string | undefined
  return {
    add: (name, end) => void ends.push({ name, end }),
    stopping: () => current,
    async stop() {
      let clean = true
      for (const { name, end } of ends.splice(0).reverse()) {
        current = name
        try {
          await end()
        } catch (error) {
          clean = false
          log({ level: 'error', message: `stopping: ${name}`, error })
        }
      }
      current = undefined
      return clean
    },
  }
}

/** The sandbox peers that were started for them, by party. */
async function startConnectors(core: Core, options: BootOptions, ends: Ends): Promise<Map<string, MarketingPeer>> {
  const peers = new Map<string, MarketingPeer>()
  ends.add('sandbox peers', async () => {
    for (const peer of peers.values()) await peer.stop()
  })
  for (const directory of (await connectorFolders(CONNECTORS)).sinks) {
    const host = await startConnector(core, directory, peers, options)
    ends.add(`connector ${host.manifest.id}`, () => host.stop(GRACE_MS))
  }
  return peers
}

const doorDeps = (core: Core): DoorDeps => ({
  bus: core.bus,
  hubId: core.config.hubId,
  decrypt: (value) => decryptWith(core.decryption, value),
  accept: core.accept,
  onError: (error) => core.log({ level: 'error', message: 'bus door', error }),
})

/** Whose `dx.in` topics are read; a party that is given this door later is read after a restart. */
const senders = (core: Core): string[] =>
  core.register
    .parties()
    .filter((party) => party.busDoor)
    .map((party) => party.id)

async function startGateway(core: Core, peers: Map<string, LookUpPeer>, ends: Ends): Promise<RunningServer> {
  let url = core.config.publicUrl
  ends.add('look-up peers', async () => {
    for (const peer of peers.values()) await peer.stop()
  })
  const lookUps = await startLookUps(core, peers)
  ends.add('look-ups', async () => lookUps.stop())
  const app = composeGateway(core, () => url ?? '', lookUps.looking)
  const server = await startServer(app, core.config)
  url ??= server.url
  return server
}

async function startOperations(core: Core): Promise<RunningServer | undefined> {
  const { host, operationsPort: port } = core.config
  return port === undefined ? undefined : startServer(composeOperations(core), { host, port })
}

async function startConnector(
  core: Core,
  directory: string,
  peers: Map<string, MarketingPeer>,
  options: BootOptions,
): Promise<ConnectorHost> {
  const { config, db, bus, fault, log } = core
  const manifest = await loadManifest(directory)
  const signer = readPartySigner(config.partyKeysDir, manifest.party)
  if (signer === undefined) {
    throw new HubError('config.invalid', {
      detail: {
        zh: `${config.partyKeysDir} 中没有 ${manifest.party} 的密钥`,
        en: `no key of ${manifest.party} in ${config.partyKeysDir}`,
      },
    })
  }
  const decryption = openPartyEncryption(config.partyKeysDir, manifest.recipient, false)
  return startConnectorHost({
    db,
    bus,
    directory,
    topics: async () => {
      const topics = await outTopics(db, manifest.recipient)
      replaceReaders(core.busReaders, manifest.id, topics)
      return topics
    },
    endpoint: { url: await endpointOf(config, manifest.endpoint.name, manifest.recipient, peers, options) },
    hub: config.hubId,
    vault: core.vault,
    decrypt: (value) => decryptWith(decryption, value),
    verifyDelivery: (delivery) => verifyDelivery(verifierOf(core), delivery),
    signExchange: (claims) => signer.sign('exchange+jwt', claims),
    sendExchange: async (token) => {
      const result = await core.accept(token)
      if (result.kind === 'refused') throw result.error
      return { receipt: result.receipt }
    },
    faults: fault,
    onAlert: (alert) => log({ level: 'warn', message: `connector ${manifest.id}: ${JSON.stringify(alert)}` }),
    onError: (error) => log({ level: 'error', message: `connector ${manifest.id}`, error }),
    tuning: { ...config.connectorTuning, ...options.tuning },
  })
}

/** Every topic that may hold deliveries of this recipient. */
const outTopics = async (db: Db, recipient: string): Promise<readonly string[]> =>
  (await openGenerations(db, recipient)).map((generation) => outTopic(recipient, generation))

function replaceReaders(readers: BusReader[], group: string, topics: readonly string[]): void {
  const others = readers.filter((reader) => reader.group !== group)
  readers.splice(0, readers.length, ...others, ...topics.map((topic) => ({ topic, group })))
}

async function endpointOf(
  config: Config,
  name: string,
  recipient: string,
  peers: Map<string, MarketingPeer>,
  options: BootOptions,
): Promise<string> {
  const configured = config.endpoints[name]
  if (configured !== undefined) return configured
  if (!config.sandbox) {
    const variable = endpointVariable(name)
    throw new HubError('config.invalid', {
      detail: { zh: `缺少变量 ${variable}`, en: `the variable ${variable} is missing` },
    })
  }
  const peer = await startMarketingPeer({
    dialect: recipient as DialectName,
    dedupe: true,
    ...(options.historyDir === undefined ? {} : { historyFile: path.join(options.historyDir, `${recipient}.jsonl`) }),
  })
  peers.set(recipient, peer)
  return peer.url
}

function verifierOf(core: Core): DeliveryVerifier {
  const hubKeys = new Map(core.keyRing.publicKeys.map((key) => [key.kid, key]))
  return {
    hubId: core.config.hubId,
    hubKey: (kid) => hubKeys.get(kid),
    issuerKey: (iss, kid) => {
      const key = core.register.key(kid)
      return key?.party === iss && key.state !== 'revoked' ? key.publicKey : undefined
    },
  }
}
