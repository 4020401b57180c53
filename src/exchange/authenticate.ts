import type { Clock } from '#kernel/clock.ts'
import { violated } from '#kernel/errors.ts'
import { checkAudience, checkFreshness, readClaims } from '#trust/claims.ts'
import type { PartyLimits } from './party-limits.ts'
import type { PartyRegister } from './party-register.ts'
import { type Progress, type Proven, proveParty } from './prove.ts'

export interface AuthenticateDeps {
  readonly hubId: string
  readonly clock: Clock
  readonly register: PartyRegister
  readonly limits: PartyLimits
}

export interface AuthenticatedRequest {
  readonly method: string
  readonly url: string
  readonly maxAgeSeconds: number
  /** `pending` when the request is the proof that its sender holds a key; default active. */
  readonly keyState?: 'active' | 'pending'
}

const MAX_REQUEST_TOKEN_BYTES = 4_096

/**
 * Who is behind a `request+jwt` Bearer token (PROTOCOL): bound to method and URL (RFC 9449 §4.2, without query),
 * repeatable until exp. Throws HubError `token.*`, `party.suspended`.
 */
export function authenticate(
  deps: AuthenticateDeps,
  token: string,
  request: AuthenticatedRequest,
  progress: Progress = {},
): Proven {
  const { keyState = 'active' } = request
  const proven = proveParty(deps, token, { typ: 'request+jwt', maxBytes: MAX_REQUEST_TOKEN_BYTES, keyState }, progress)
  const claims = readClaims('request+jwt', proven.token.claims)
  checkAudience(claims, deps.hubId)
  checkFreshness(claims, { nowMs: deps.clock(), maxAgeSeconds: request.maxAgeSeconds })
  if (claims.htm !== request.method) {
    throw violated('token.claims_invalid', '/htm', 'htm', 'htm 与请求方法不符', 'htm is not the method of this request')
  }
  if (claims.htu !== request.url) {
    throw violated('token.claims_invalid', '/htu', 'htu', `htu 应为 ${request.url}`, `htu must be ${request.url}`)
  }
  return proven
}
