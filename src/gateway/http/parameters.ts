import type { Context } from 'hono'
import type { AuthenticatedRequest } from '#exchange/authenticate.ts'
import { HubError, type Violation } from '#kernel/errors.ts'
import { provenBearer } from './answers.ts'
import type { GatewayDeps } from './deps.ts'

interface ParameterResult {
  readonly success: boolean
  readonly error?: { readonly issues: readonly { readonly path: readonly PropertyKey[]; readonly code: string }[] }
}

/** Throws `http.bad_request` for what does not match the API document. */
export function refuseInvalidParameters(result: ParameterResult): void {
  if (result.success) return
  const violations: Violation[] = (result.error?.issues ?? []).map((issue) => ({
    pointer: `/${issue.path.map(String).join('/')}`,
    rule: issue.code,
    message: { zh: '参数不符合接口文档', en: 'the parameter does not match the API document' },
  }))
  throw new HubError('http.bad_request', { violations })
}

/** The same where a Bearer token is needed: whoever does not prove a party is told that first. */
export const refuseInvalidOfParties =
  (deps: GatewayDeps, request: Partial<Pick<AuthenticatedRequest, 'maxAgeSeconds'>> = {}) =>
  (result: ParameterResult, c: Context): undefined => {
    if (!result.success) provenBearer(deps, c, request)
    refuseInvalidParameters(result)
  }
