import { type Clock, numericDate } from '#kernel/clock.ts'
import type { HubErrorCode } from '#kernel/error-codes.ts'
import { HubError, type Violation } from '#kernel/errors.ts'
import { isPartyId, uuidv7 } from '#kernel/ids.ts'
import type { RefusalRow } from '#store/exchange-queries.ts'
import type { CompactToken } from '#trust/compact.ts'
import type { Signer } from '#trust/sign.ts'
import type { Progress } from './prove.ts'

export interface RefuseDeps {
  readonly hubId: string
  readonly clock: Clock
  readonly signer: Signer
  /** Status codes belong to the edge; a signed refusal quotes the one its sender will see. */
  readonly statusOf: (code: HubErrorCode) => number
  readonly record: (row: RefusalRow) => Promise<void>
}

export interface Refused {
  readonly kind: 'refused'
  readonly error: HubError
  /** Whether the signature proved a party: then it was recorded. */
  readonly proven: boolean
  /** The signed refusal, once the token was read whole. */
  readonly refusal: string | undefined
}

export type Refuse = (error: HubError, progress: Progress) => Promise<Refused>

/** A `refusal+jwt` about a token that passed the strict parse. */
export type SignRefusal = (error: HubError, token: Pick<CompactToken, 'digest' | 'claims'>, nowMs: number) => string

export const createSignRefusal =
  ({ hubId, signer, statusOf }: Pick<RefuseDeps, 'hubId' | 'signer' | 'statusOf'>): SignRefusal =>
  (error, token, nowMs) => {
    const { iss } = token.claims
    return signer.sign('refusal+jwt', {
      iss: hubId,
      aud: isPartyId(iss) ? iss : 'unknown',
      iat: numericDate(nowMs),
      jti: uuidv7(nowMs),
      of: { tokenDigest: token.digest },
      problem: { code: error.code, status: statusOf(error.code), violations: wellFormed(error.violations) },
    })
  }

/** A sender's own name that was cut inside a character would be no JSON for PostgreSQL, nor for a strict reader. */
const wellFormed = (violations: readonly Violation[]): readonly Violation[] =>
  violations.map((one) => ({ ...one, pointer: one.pointer.toWellFormed() }))

/**
 * Signs a refusal for what passed the strict parse and records it when the signature proved a party. A refusal that
 * cannot be recorded is `hub.store_unavailable`: evidence first.
 */
export function createRefuse(deps: RefuseDeps): Refuse {
  const signRefusal = createSignRefusal(deps)
  return async (error, { token, party }) => {
    if (token === undefined) return { kind: 'refused', error, proven: false, refusal: undefined }
    const nowMs = deps.clock()
    const { jti, contract } = token.claims
    const refusal = signRefusal(error, token, nowMs)
    if (party !== undefined) {
      const row: RefusalRow = {
        id: uuidv7(nowMs),
        iss: party.id,
        jti: text(jti),
        contract: text(contract),
        tokenDigest: token.digest,
        code: error.code,
        decidedBy: error.decidedBy,
        violations: wellFormed(error.violations).map(({ pointer, rule }) => ({ pointer, rule })),
        refusedAtMs: nowMs,
      }
      try {
        await deps.record(row)
      } catch (cause) {
        throw new HubError('hub.store_unavailable', { cause, retryAfterSeconds: 1 })
      }
    }
    return { kind: 'refused', error, proven: party !== undefined, refusal }
  }
}

/** A recorded jti or contract is the sender's own text: cut to a length that the claim sets allow. */
const text = (value: unknown): string | undefined => (typeof value === 'string' ? value.slice(0, 128) : undefined)
