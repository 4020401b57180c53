import { chmodSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { TestContext } from 'vitest'
import { type MarketingPeer, startMarketingPeer } from '#sandbox/marketing-peer.ts'
import type { PartyClient } from '#sandbox/party-client.ts'
import { createDatabase } from '../support/database.ts'
import { type HubProcess, openHubProcess } from '../support/hub-process.ts'
import type { Violations } from './check.ts'
import type { Answer, Push } from './history.ts'
import { CHIFENG, HOHHOT, type Message } from './messages.ts'
import { openOutside } from './outside.ts'

const UTILITIES = ['state-grid-east', 'inner-mongolia-power'] as const

/** Hub processes that share one database, with everything outside them that survives their deaths. */
export interface World {
  readonly hub: HubProcess
  /** Another process on the same database, for tests with two. */
  readonly secondHub: () => Promise<HubProcess>
  /** Of the clone; undefined where the hub has a PostgreSQL of its own. */
  readonly databaseUrl: string | undefined
  readonly peers: ReadonlyMap<string, MarketingPeer>
  /** A party in front of a running hub. */
  readonly client: (party: string, hub?: HubProcess) => Promise<PartyClient>
  /** One attempt; undefined when its outcome is unknown. Throws when the hub refuses, because nothing here is wrong. */
  readonly push: (message: Message, hub?: HubProcess) => Promise<Answer | undefined>
  /** The same token until it is answered, whatever happens to the hub meanwhile. */
  readonly pushUntilAnswered: (message: Message) => Promise<Answer>
  readonly pushes: readonly Push[]
  /** Waits until nothing moves any more, then judges what an outsider saw. */
  readonly judge: () => Promise<Violations>
}

export interface WorldOptions {
  /** The folder whose build runs; default this one. */
  readonly root?: string
  /** How long the judge waits for what does not come to rest. */
  readonly quietWithinMs?: number
}

/** `embedded`: the hub runs on a PostgreSQL of its own instead of a clone of the migrated template. */
export async function openWorld(
  { onTestFinished }: Pick<TestContext, 'onTestFinished'>,
  database: 'cloned' | 'embedded' = 'cloned',
  { root, quietWithinMs }: WorldOptions = {},
): Promise<World> {
  const dir = mkdtempSync(join(tmpdir(), 'dianqiao-faults-'))
  // The embedded PostgreSQL runs as an unprivileged user when we are root, and must be able to enter.
  chmodSync(dir, 0o711)
  const cloned = database === 'cloned' ? await createDatabase() : undefined
  const peers = new Map<string, MarketingPeer>()
  for (const utility of UTILITIES) {
    const historyFile = join(dir, `${utility}.jsonl`)
    peers.set(utility, await startMarketingPeer({ dialect: utility, dedupe: true, historyFile }))
  }
  const hubs: HubProcess[] = []
  const keys = takeKeys()
  const openHub = async (): Promise<HubProcess> => {
    const opened = await openHubProcess({
      dataDir: join(dir, 'hub'),
      env: keys,
      endpoints: Object.fromEntries(
        UTILITIES.map((utility) => [`${utility}-marketing`, peers.get(utility)?.url ?? '']),
      ),
      ...(cloned === undefined ? {} : { databaseUrl: cloned.url }),
      ...(root === undefined ? {} : { root }),
    })
    hubs.push(opened)
    return opened
  }
  onTestFinished(async () => {
    for (const one of hubs) await one.close()
    for (const peer of peers.values()) await peer.stop()
    await cloned?.drop()
    rmSync(dir, { recursive: true, force: true })
    releaseKeys()
  })
  const hub = await openHub()
  return { hub, secondHub: openHub, databaseUrl: cloned?.url, peers, ...openOutsideOf(hub, peers, dir, quietWithinMs) }
}

/** The open worlds of one test file share their keys: making RSA keys takes as long as starting a hub. */
let shared: { readonly dir: string; users: number } | undefined

function takeKeys(): { readonly HUB_KEYS_FILE: string; readonly PARTY_KEYS_DIR: string } {
  shared ??= { dir: mkdtempSync(join(tmpdir(), 'dianqiao-fault-keys-')), users: 0 }
  shared.users++
  return { HUB_KEYS_FILE: join(shared.dir, 'hub.json'), PARTY_KEYS_DIR: join(shared.dir, 'parties') }
}

function releaseKeys(): void {
  if (shared === undefined || --shared.users > 0) return
  rmSync(shared.dir, { recursive: true, force: true })
  shared = undefined
}

/** The outside of one hub that is always at one address. */
function openOutsideOf(
  home: HubProcess,
  peers: ReadonlyMap<string, MarketingPeer>,
  dir: string,
  quietWithinMs: number | undefined,
): Pick<World, 'client' | 'push' | 'pushUntilAnswered' | 'pushes' | 'judge'> {
  const outside = openOutside({
    keysDir: home.keysDir,
    peers,
    historyDir: dir,
    statusUrl: () => home.url,
    ...(quietWithinMs === undefined ? {} : { quietWithinMs }),
  })
  return {
    client: (party, hub = home) => outside.client(party, hub.url),
    push: (message, hub = home) => outside.push(message, hub.url),
    pushUntilAnswered: (message) => outside.pushUntilAnswered(message, () => home.url),
    pushes: outside.pushes,
    judge: outside.judge,
  }
}

/** Opens the clients of both platforms: their keys and the hub's are read while it is up. */
export async function openPlatforms(world: World): Promise<void> {
  for (const { sender } of [CHIFENG, HOHHOT]) await world.client(sender)
}
