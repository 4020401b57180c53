import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import type { JsonObject } from '#kernel/json.ts'
import { readPartySigner } from '#parties/key-files.ts'
import type { Effect } from '#sandbox/effects.ts'
import type { MarketingPeer } from '#sandbox/marketing-peer.ts'
import { type HubAnswer, openPartyClient, type PartyClient } from '#sandbox/party-client.ts'
import { check, type Violations } from './check.ts'
import type { Answer, ExchangeStatus, History, PeerEffect, Push, SentMessage } from './history.ts'
import { CHIFENG, contentOf, type Message } from './messages.ts'

const RETRY_MS = 100
const QUIET_WITHIN_MS = 30_000
const ASKED_WITHIN_MS = 10_000
/** Long enough for a second effect or a second delivery to show, had something gone wrong. */
const AFTERMATH_MS = 300

export interface OutsideOptions {
  readonly keysDir: string
  readonly peers: ReadonlyMap<string, MarketingPeer>
  /** Holds the peers' append-only files; what stood in them before does not belong to this history. */
  readonly historyDir: string
  /** A hub that answers for the state of an exchange. */
  readonly statusUrl: () => string
  /** Clients of earlier histories, by party and address. */
  readonly clients?: Map<string, Promise<PartyClient>>
  /** Whether a fault explains this refusal: then its outcome counts as unknown. */
  readonly excuses?: (code: string | undefined) => boolean
  /** After how long a client gives an attempt up; default never. */
  readonly patienceMs?: number
  readonly quietWithinMs?: number
}

/** What parties and peers see of a hub, and the judgement of it. */
export interface Outside {
  /** A party in front of the hub at this address, which must be up. */
  readonly client: (party: string, url: string) => Promise<PartyClient>
  /** One attempt; undefined when its outcome is unknown. Throws when the hub refuses, because nothing here is wrong. */
  readonly push: (message: Message, url: string) => Promise<Answer | undefined>
  /** The same token until it is answered, at the address that is named for each attempt, or until it may give up. */
  readonly pushUntilAnswered: (message: Message, url: (attempt: number) => string | undefined) => Promise<Answer>
  readonly pushes: readonly Push[]
  /** Waits until nothing moves any more, then judges what an outsider saw. */
  readonly judge: () => Promise<Violations>
}

export function openOutside(options: OutsideOptions): Outside {
  const { peers, historyDir } = options
  const messages = new Map<string, Message>()
  const tokens = new Map<string, string>()
  const pushes: Push[] = []
  const clients = options.clients ?? new Map<string, Promise<PartyClient>>()
  const earlier = new Map([...peers.keys()].map((utility) => [utility, linesOf(historyDir, utility).length]))
  let tick = 0

  const client = (party: string, url: string): Promise<PartyClient> => {
    const key = `${party} ${url}`
    const opened = clients.get(key) ?? openClient(options.keysDir, url, party)
    clients.set(key, opened)
    opened.catch(() => clients.delete(key))
    return opened
  }

  const push = async (message: Message, url: string): Promise<Answer | undefined> => {
    const sender = await client(message.sender, url)
    messages.set(message.id, message)
    const token = tokens.get(message.id) ?? sender.exchangeToken(message.input)
    tokens.set(message.id, token)
    const begun = ++tick
    const answer = await patiently(
      options.patienceMs,
      sender.pushToken(token).catch(() => undefined),
    )
    const isUnknown = answer === undefined || answer.status === 503 || isExcused(options, answer)
    const known = isUnknown ? undefined : answer
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

  const pushUntilAnswered = async (message: Message, urlOf: (attempt: number) => string | undefined) => {
    for (let attempt = 0; ; attempt++) {
      const url = urlOf(attempt)
      if (url === undefined) throw new Error(`${message.id} was never answered`)
      const answer = await push(message, url)
      if (answer !== undefined) return answer
      await sleep(RETRY_MS)
    }
  }

  const judge = async (): Promise<Violations> => {
    const exchanges = exchangesOf(pushes)
    const ask: Ask = async (message, exchange) =>
      statusOf(await client(message.slice(0, message.indexOf(' ')), options.statusUrl()), message, exchange)
    await untilQuiet(exchanges, ask, options.quietWithinMs ?? QUIET_WITHIN_MS)
    // The original receipt, once more, however long ago it was given.
    for (const message of messages.values()) await push(message, options.statusUrl())
    await sleep(AFTERMATH_MS)
    const asked = await inTurns([...exchanges], ([message, exchange]) => ask(message, exchange))
    const statuses = asked.filter((status) => status !== undefined)
    const effects = [...peers].flatMap(([utility, peer]) =>
      effectsOf(utility, peer, linesOf(historyDir, utility).slice(earlier.get(utility))),
    )
    const history: History = { messages: [...messages.values()], pushes: [...pushes], effects, statuses }
    return check({ ...history, pushes: history.pushes.toSorted((a, b) => a.begun - b.begun) })
  }

  return { client, push, pushUntilAnswered, pushes, judge }
}

const isExcused = ({ excuses }: OutsideOptions, { status, code }: HubAnswer): boolean =>
  status >= 300 && excuses?.(code) === true

async function patiently<T>(ms: number | undefined, work: Promise<T>): Promise<T | undefined> {
  if (ms === undefined) return work
  const limit = new AbortController()
  const over = sleep(ms, undefined, { signal: limit.signal }).catch(() => undefined)
  try {
    return await Promise.race([work, over])
  } finally {
    limit.abort()
  }
}

function openClient(keysDir: string, url: string, party: string): Promise<PartyClient> {
  const signer = readPartySigner(keysDir, party)
  if (signer === undefined) throw new Error(`no seeded key of ${party}`)
  return openPartyClient(url, 'dianqiao', party, signer)
}

const exchangesOf = (pushes: readonly Push[]): Map<SentMessage['id'], string> =>
  new Map(pushes.flatMap(({ message, answer }) => (answer === undefined ? [] : [[message, answer.exchange]])))

/** Undefined where the hub does not know the exchange. */
type Ask = (message: string, exchange: string) => Promise<ExchangeStatus | undefined>

async function untilQuiet(exchanges: ReadonlyMap<string, string>, ask: Ask, withinMs: number): Promise<void> {
  const until = performance.now() + withinMs
  let open = [...exchanges]
  while (open.length > 0 && performance.now() < until) {
    const asked = await inTurns(open, async (one) => ({ one, status: await ask(...one) }))
    open = asked
      .filter(({ status }) => status?.deliveries.some(({ state }) => state !== 'acknowledged'))
      .map(({ one }) => one)
    if (open.length > 0) await sleep(50)
  }
}

/** A hub that has just been healed may still say "not now" (503); anything else than a status or 404 is wrong. */
async function statusOf(client: PartyClient, message: string, exchange: string): Promise<ExchangeStatus | undefined> {
  const until = performance.now() + ASKED_WITHIN_MS
  let answer = await client.get(`/v1/exchanges/${exchange}`)
  while (answer.status === 503 && performance.now() < until) {
    await sleep(RETRY_MS)
    answer = await client.get(`/v1/exchanges/${exchange}`)
  }
  const { status, body } = answer
  if (status === 404) return undefined
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

function linesOf(historyDir: string, utility: string): readonly string[] {
  const file = join(historyDir, `${utility}.jsonl`)
  return existsSync(file)
    ? readFileSync(file, 'utf8')
        .split('\n')
        .filter((line) => line !== '')
    : []
}

/** The peer's file says what it did; the bodies of its requests say what was in it. */
function effectsOf(utility: string, peer: MarketingPeer, lines: readonly string[]): PeerEffect[] {
  const bodies = new Map(peer.requests().map(({ effectKey, body }) => [effectKey, body]))
  return lines.map((line) => {
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
