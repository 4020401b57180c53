import type { Clock } from '#kernel/clock.ts'
import { violated } from '#kernel/errors.ts'
import { checkAudience, checkFreshness, readClaims } from '#trust/claims.ts'
import type { Party, PartyRegister } from './party-register.ts'
import { proveParty } from './prove.ts'

export interface AuthenticateDeps {
  readonly hubId: string
  readonly clock: Clock
  readonly register: PartyRegister
}

const MAX_REQUEST_TOKEN_BYTES = 4_096

/**
 * The party behind a `request+jwt` Bearer token (PROTOCOL): bound to method and URL (RFC 9449 §4.2, without query),
 * repeatable until exp. Throws HubError `token.*`, `party.suspended`.
 */
export function authenticate(
  deps: AuthenticateDeps,
  token: string,
  request: { readonly method: string; readonly url: string; readonly maxAgeSeconds: number },
): Party {
  const { token: parsed, party } = proveParty(
    deps.register,
    token,
    { typ: 'request+jwt', maxBytes: MAX_REQUEST_TOKEN_BYTES },
    {},
  )
  const claims = readClaims('request+jwt', parsed.claims)
  checkAudience(claims, deps.hubId)
  checkFreshness(claims, { nowMs: deps.clock(), maxAgeSeconds: request.maxAgeSeconds })
  if (claims.htm !== request.method) {
    throw violated('token.claims_invalid', '/htm', 'htm', 'htm 与请求方法不符', 'htm is not the method of this request')
  }
  if (claims.htu !== request.url) {
    throw violated('token.claims_invalid', '/htu', 'htu', `htu 应为 ${request.url}`, `htu must be ${request.url}`)
  }
  return party
}
