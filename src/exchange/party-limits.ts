import type { Clock } from '#kernel/clock.ts'
import { HubError } from '#kernel/errors.ts'
import { createTokenBuckets } from '#kernel/token-buckets.ts'
import type { Party, PartyLimit } from './party-register.ts'

/** What one party may take of this gateway, so that its flood leaves the others their share. */
export interface PartyLimits {
  /**
   * Before any cryptography: throws `limit.exceeded` while the party whose key a token names has used up its allowance.
   * Only proven tokens spend it, so nobody can use up another's.
   */
  requireAllowance(party: string): void
  /** Takes a proven request of so many bytes from the allowance. Throws `limit.exceeded`. */
  spend(party: Party, bytes: number): void
  /** Counts a request in; call what it returns when it is answered. Throws `limit.exceeded`. */
  enter(party: Party): () => void
}

/**
 * An allowance unused for so long is full. What was saved up passes at the pace of the hub, so for about so long a party
 * can take the others' share, and their latency is then that of a hub that is full.
 */
const BURST_SECONDS = 2
/** Refusals come in stretches, so that what follows in one batch is not let in before what was refused. */
const STRETCH_MS = 100

export function createPartyLimits(clock: Clock, defaults: PartyLimit): PartyLimits {
  const requests = createTokenBuckets(clock)
  const bytes = createTokenBuckets(clock)
  const closedUntil = new Map<string, number>()
  const underWay = new Map<string, number>()

  const limitOf = (party: Party, name: keyof PartyLimit): number => party.limits[name] ?? defaults[name]
  const sizeOf = (perSecond: number) => ({ perSecond, burst: perSecond * BURST_SECONDS })

  return {
    requireAllowance(party) {
      const until = closedUntil.get(party)
      if (until === undefined) return
      const waitMs = until - clock()
      if (waitMs > 0) throw exceeded(waitMs)
      closedUntil.delete(party)
    },
    spend(party, count) {
      const requestSize = sizeOf(limitOf(party, 'perSecond'))
      const byteSize = sizeOf(limitOf(party, 'bytesPerSecond'))
      const waitMs = Math.max(requests.waitMs(party.id, requestSize), bytes.waitMs(party.id, byteSize))
      if (waitMs > 0) {
        const closedMs = Math.max(waitMs, STRETCH_MS)
        closedUntil.set(party.id, clock() + closedMs)
        throw exceeded(closedMs)
      }
      requests.take(party.id, requestSize)
      bytes.take(party.id, byteSize, count)
    },
    enter(party) {
      const count = underWay.get(party.id) ?? 0
      if (count >= limitOf(party, 'inFlight')) throw exceeded(STRETCH_MS)
      underWay.set(party.id, count + 1)
      return () => {
        const left = (underWay.get(party.id) ?? 1) - 1
        if (left > 0) underWay.set(party.id, left)
        else underWay.delete(party.id)
      }
    },
  }
}

const exceeded = (waitMs: number): HubError =>
  new HubError('limit.exceeded', { retryAfterSeconds: Math.ceil(waitMs / 1_000) })
