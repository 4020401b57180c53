import { createWaker } from '#bus/waker.ts'
import { retryDelayMs } from '#kernel/backoff.ts'
import { asHubError } from '#kernel/errors.ts'
import type { JsonObject } from '#kernel/json.ts'
import { claimAcks, type DueAck, postponeAck, renewAckToken, storeAckReceipt } from '#store/ack-outbox-queries.ts'
import type { Db } from '#store/db.ts'
import type { Vault } from '#trust/vault.ts'
import { ACK_MAX_AGE_S, type AckSigner, signAckData } from './acknowledgement.ts'
import type { HostAlert } from './breaker.ts'
import type { FaultPoints } from './inbox.ts'

/** Hands an exchange to the hub; resolves with its receipt, throws a HubError for a refusal or a hub that is down. */
export type SendExchange = (token: string) => Promise<{ readonly receipt: string }>

interface AckOutboxOptions {
  readonly db: Db
  readonly consumer: string
  readonly signer: AckSigner
  readonly vault: Vault
  readonly sendExchange: SendExchange
  readonly random: () => number
  readonly pollMs: number
  /** For so long an acknowledgement that is being sent stays with the process that sends it. */
  readonly leaseMs: number
  readonly onAlert?: (alert: HostAlert) => void
  readonly onError?: (error: unknown) => void
  readonly faults?: FaultPoints
}

export interface AckOutbox {
  readonly wake: () => void
  /** Ends after the acknowledgements in hand, at most `drainMs`. */
  readonly stop: (drainMs: number) => Promise<void>
}

const RETRY_MS = Object.freeze([200, 500, 1_000, 2_000, 5_000, 10_000, 30_000, 60_000])
/** A refusal will be the same in a second: it waits for somebody to correct the register or the contract. */
const REFUSED_RETRY_MS = 600_000
const AT_ONCE = 16
const EXPIRY_MARGIN_MS = 60_000

/**
 * Sends every acknowledgement until its receipt is stored. A token that has expired, or that a clock which has been set
 * right since dates ahead, is signed again: same jti and content.
 */
export function startAckOutbox(options: AckOutboxOptions): AckOutbox {
  const { db, consumer, pollMs, leaseMs } = options
  const news = createWaker()
  let stopping = false

  const run = async (): Promise<void> => {
    while (!stopping) {
      try {
        const due = await claimAcks(db, consumer, leaseMs, AT_ONCE)
        const delays = await Promise.all(due.map((ack) => sendAck(options, ack)))
        const soonest = Math.min(pollMs, ...delays)
        if (due.length < AT_ONCE) await news.wait(soonest)
      } catch (error) {
        options.onError?.(error)
        await news.wait(pollMs)
      }
    }
  }

  const running = run()
  return {
    wake: news.wake,
    stop: async (drainMs) => {
      stopping = true
      news.wake()
      const limit = AbortSignal.timeout(drainMs)
      await Promise.race([running, new Promise<void>((resolve) => limit.addEventListener('abort', () => resolve()))])
    },
  }
}

/** Sends one; returns in how many milliseconds it is due again (Infinity when its receipt is stored). */
async function sendAck(options: AckOutboxOptions, ack: DueAck): Promise<number> {
  const { db, consumer, faults } = options
  try {
    const token = await freshToken(options, ack)
    await faults?.('host.before-ack-sent')
    const { receipt } = await options.sendExchange(token)
    await faults?.('host.after-ack-sent')
    await storeAckReceipt(db, consumer, ack.jti, receipt)
    return Number.POSITIVE_INFINITY
  } catch (error) {
    const failure = asHubError(error)
    // A clock of ours that is ahead is set right some day, and the next signature is judged by it.
    const refused = !failure.retriable && failure.code !== 'token.not_yet_valid'
    if (refused) options.onAlert?.({ consumer, kind: 'acknowledgement-refused', cause: failure.code })
    const step = Math.min(ack.attempt, RETRY_MS.length)
    const asked = failure.retryAfterSeconds === undefined ? undefined : failure.retryAfterSeconds * 1_000
    const delay = refused ? REFUSED_RETRY_MS : (retryDelayMs(RETRY_MS, step, options.random, asked) ?? REFUSED_RETRY_MS)
    await postponeAck(db, consumer, ack.jti, delay, failure.code)
    return delay
  }
}

async function freshToken({ db, consumer, signer, vault }: AckOutboxOptions, ack: DueAck): Promise<string> {
  const expiresInMs = ack.expires_at.getTime() - signer.clock()
  const isTimely = expiresInMs > EXPIRY_MARGIN_MS && expiresInMs <= ACK_MAX_AGE_S * 1_000
  if (isTimely) return vault.open(ack.token).toString('utf8')
  const data = JSON.parse(vault.open(ack.data).toString('utf8')) as JsonObject
  const { token, expiresAtMs } = await signAckData(signer, ack.jti, data)
  await renewAckToken(db, consumer, ack.jti, vault.seal('delivered', token), expiresAtMs)
  return token
}
