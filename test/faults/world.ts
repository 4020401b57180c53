import { chmodSync, existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import type { TestContext } from 'vitest'
import type { JsonObject } from '#kernel/json.ts'
import { readPartySigner } from '#parties/key-files.ts'
import type { Effect } from '#sandbox/effects.ts'
import { type MarketingPeer, startMarketingPeer } from '#sandbox/marketing-peer.ts'
import { openPartyClient, type PartyClient } from '#sandbox/party-client.ts'
import { createDatabase } from '../support/database.ts'
import { type HubProcess, openHubProcess } from '../support/hub-process.ts'
import { check, type Violations } from './check.ts'
import type { Answer, ExchangeStatus, History, PeerEffect, Push } from './history.ts'
import { CHIFENG, contentOf, HOHHOT, type Message } from './messages.ts'

const UTILITIES = ['state-grid-east', 'inner-mongolia-power'] as const
const RETRY_MS = 100
const QUIET_WITHIN_MS = 30_000
/** Long enough for a second effect or a second delivery to show, had something gone wrong. */
const AFTERMATH_MS = 300

/** Hub processes that share one database, with everything outside them that survives their deaths. */
export interface World {
  readonly hub: HubProcess
  /** Another process on the same database, for tests with two. */
  readonly secondHub: () => Promise<HubProcess>
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

/** `embedded`: the hub runs on a PostgreSQL of its own instead of a clone of the migrated template. */
export async function openWorld(
  { onTestFinished }: Pick<TestContext, 'onTestFinished'>,
  database: 'cloned' | 'embedded' = 'cloned',
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
  return { hub, secondHub: openHub, peers, ...(await openOutside(hub, peers, dir)) }
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

type Outside = Pick<World, 'client' | 'push' | 'pushUntilAnswered' | 'pushes' | 'judge'>

async function openOutside(home: HubProcess, peers: ReadonlyMap<string, MarketingPeer>, dir: string): Promise<Outside> {
  const messages = new Map<string, Message>()
  const tokens = new Map<string, string>()
  const pushes: Push[] = []
  const clients = new Map<string, Promise<PartyClient>>()
  let tick = 0

  const client = (party: string, hub = home): Promise<PartyClient> => {
    const key = `${party} ${hub.url}`
    const opened = clients.get(key) ?? openClient(hub, party)
    clients.set(key, opened)
    return opened
  }

  const push = async (message: Message, hub = home): Promise<Answer | undefined> => {
    const sender = await client(message.sender, hub)
    messages.set(message.id, message)
    const token = tokens.get(message.id) ?? sender.exchangeToken(message.input)
    tokens.set(message.id, token)
    const begun = ++tick
    const answer = await sender.pushToken(token).catch(() => undefined)
    const known = answer === undefined || answer.status === 503 ? undefined : answer
    if (known !== undefined && known.status !== 202 && known.status !== 200) {
      throw new Error(`${message.id} was refused: ${known.status} ${known.code}`)
    }
    const entry = known && {
      status: known.status,
      receipt: String(known.token),
      exchange: String(known.claims?.['exchange']),
      verified: known.verified === true,
    }
    pushes.push({ message: message.id, begun, ended: ++tick, answer: entry })
    return entry
  }

  const pushUntilAnswered = async (message: Message): Promise<Answer> => {
    for (;;) {
      const answer = await push(message)
      if (answer !== undefined) return answer
      await sleep(RETRY_MS)
    }
  }

  const judge = async (): Promise<Violations> => {
    const exchanges = exchangesOf(pushes)
    const ask = async (message: string, exchange: string): Promise<ExchangeStatus> =>
      statusOf(await client(message.slice(0, message.indexOf(' '))), message, exchange)
    await untilQuiet(exchanges, ask)
    // The original receipt, once more, however long ago it was given.
    for (const message of messages.values()) await push(message)
    await sleep(AFTERMATH_MS)
    const statuses = await inTurns([...exchanges], ([message, exchange]) => ask(message, exchange))
    const effects = [...peers.keys()].flatMap((utility) => effectsOf(utility, peers, dir))
    const history: History = { messages: [...messages.values()], pushes: [...pushes], effects, statuses }
    return check({ ...history, pushes: history.pushes.toSorted((a, b) => a.begun - b.begun) })
  }

  return { client, push, pushUntilAnswered, pushes, judge }
}

function openClient(hub: HubProcess, party: string): Promise<PartyClient> {
  const signer = readPartySigner(hub.keysDir, party)
  if (signer === undefined) throw new Error(`no seeded key of ${party}`)
  return openPartyClient(hub.url, 'dianqiao', party, signer)
}

const exchangesOf = (pushes: readonly Push[]): Map<string, string> =>
  new Map(pushes.flatMap(({ message, answer }) => (answer === undefined ? [] : [[message, answer.exchange]])))

type Ask = (message: string, exchange: string) => Promise<ExchangeStatus>

async function untilQuiet(exchanges: ReadonlyMap<string, string>, ask: Ask): Promise<void> {
  const until = performance.now() + QUIET_WITHIN_MS
  let open = [...exchanges]
  while (open.length > 0 && performance.now() < until) {
    const asked = await inTurns(open, async (one) => ({ one, status: await ask(...one) }))
    open = asked
      .filter(({ status }) => status.deliveries.some(({ state }) => state !== 'acknowledged'))
      .map(({ one }) => one)
    if (open.length > 0) await sleep(50)
  }
}

async function statusOf(client: PartyClient, message: string, exchange: string): Promise<ExchangeStatus> {
  const { status, body } = await client.get(`/v1/exchanges/${exchange}`)
  if (status !== 200) throw new Error(`${message}: status of ${exchange} answers ${status}`)
  const deliveries = body['deliveries'] as unknown as { delivery: string; recipient: string | null; state: string }[]
  return {
    exchange,
    message,
    pos: Number(body['pos']),
    receipt: String(body['receipt']),
    deliveries: deliveries.map(({ delivery, recipient, state }) => ({ id: delivery, recipient, state })),
  }
}

/** The peer's file says what it did; the bodies of its requests say what was in it. */
function effectsOf(utility: string, peers: ReadonlyMap<string, MarketingPeer>, dir: string): PeerEffect[] {
  const file = join(dir, `${utility}.jsonl`)
  const lines = existsSync(file) ? readFileSync(file, 'utf8').split('\n') : []
  const bodies = new Map(
    peers
      .get(utility)
      ?.requests()
      .map(({ effectKey, body }) => [effectKey, body]),
  )
  return lines
    .filter((line) => line !== '')
    .map((line) => {
      const { effectKey, reference } = JSON.parse(line) as Effect
      const body = (bodies.get(effectKey) ?? {}) as { remark?: string; BODY?: JsonObject }
      const remark = utility === CHIFENG.utility ? body.remark : body.BODY?.['BZ']
      return { peer: utility, effectKey, content: contentOf(reference, String(remark)) }
    })
}

/** A few at a time: the hub answers, it is not besieged. */
async function inTurns<T, R>(items: readonly T[], ask: (item: T) => Promise<R>): Promise<R[]> {
  const results: R[] = []
  for (let at = 0; at < items.length; at += 16) results.push(...(await Promise.all(items.slice(at, at + 16).map(ask))))
  return results
}

/** Opens the clients of both platforms: their keys and the hub's are read while it is up. */
export async function openPlatforms(world: World): Promise<void> {
  for (const { sender } of [CHIFENG, HOHHOT]) await world.client(sender)
}
