import { randomUUID } from 'node:crypto'
import type { Context } from 'hono'
import type { AuthenticatedRequest } from '#exchange/authenticate.ts'
import type { Progress, Proven } from '#exchange/prove.ts'
import type { Refused } from '#exchange/refuse.ts'
import { asHubError, HubError, violated } from '#kernel/errors.ts'
import { type Problem, problemOf, statusOf } from '../problem.ts'
import { headerOf, incomingOf } from './body-limit.ts'
import type { GatewayDeps } from './deps.ts'
import { traceOf } from './request-log.ts'

export const newInstance = (): string => `urn:uuid:${randomUUID()}`

/** Any thrown value as an answer; what is not ours leaves as one fixed sentence and an instance to quote. */
export function answerError(deps: Pick<GatewayDeps, 'log'>, thrown: unknown, refusal?: string, c?: Context): Response {
  const error = asHubError(thrown)
  const instance = newInstance()
  c?.set('instance', instance)
  if (error.code === 'hub.internal' || error.code === 'hub.store_unavailable') {
    deps.log({ level: 'error', message: error.code, error: error.cause ?? error, instance, ...traceOf(c) })
  }
  return problemResponse(problemOf(error, instance, refusal), error.retryAfterSeconds)
}

/** A refusal as it is told; what proves no party is limited by its source. */
export function limited(deps: GatewayDeps, c: Context, refused: Refused): Pick<Refused, 'error' | 'refusal'> {
  if (refused.proven || deps.unproven.take(sourceOf(deps, c) ?? 'in-process')) return refused
  return { error: new HubError('limit.exceeded', { retryAfterSeconds: 1 }), refusal: undefined }
}

export function answerRefusal(deps: GatewayDeps, c: Context, refused: Refused): Response {
  const { error, refusal } = limited(deps, c, refused)
  return answerError(deps, error, refusal, c)
}

const BEARER = 'bearer'

/**
 * An error that ended a request. Where its Bearer token had proved a party, the refusal is evidence like that of any
 * other token: signed and recorded.
 */
export async function answerThrown(deps: GatewayDeps, thrown: unknown, c: Context): Promise<Response> {
  const error = asHubError(thrown)
  const progress: Progress | undefined = c.get(BEARER)
  if (progress?.party === undefined || error.retriable || statusOf(error.code) >= 500) {
    return answerError(deps, thrown, undefined, c)
  }
  try {
    const refused = await deps.refuse(error, progress)
    return answerError(deps, refused.error, refused.refusal, c)
  } catch (unrecorded) {
    return answerError(deps, unrecorded, undefined, c)
  }
}

/** The body byte for byte: `text()` would drop a byte order mark before the strict parse could see it. */
export const tokenText = async (c: Context): Promise<string> =>
  Buffer.from(await c.req.arrayBuffer()).toString('latin1')

/** Whether the client left before its request was whole: nobody reads the answer, and the log needs no error. */
export function isCutOff(c: Context): boolean {
  const incoming = incomingOf(c)
  return incoming?.destroyed === true && !incoming.complete
}

function problemResponse(problem: Problem, retryAfterSeconds: number | undefined): Response {
  const headers: Record<string, string> = { 'content-type': 'application/problem+json', 'cache-control': 'no-store' }
  if (problem.status === 401) headers['www-authenticate'] = 'Bearer realm="dianqiao"'
  if (retryAfterSeconds !== undefined) headers['retry-after'] = String(retryAfterSeconds)
  else if (problem.status === 503) headers['retry-after'] = '1'
  return new Response(JSON.stringify(problem), { status: problem.status, headers })
}

/** The IP address that a request came from, undefined where it came through no socket. */
export function sourceOf(deps: Pick<GatewayDeps, 'sourceAddress'>, c: Context): string | undefined {
  const remote = incomingOf(c)?.socket.remoteAddress
  return remote === undefined ? undefined : deps.sourceAddress(remote, headerOf(c, 'x-forwarded-for'))
}

/** Media type of the request without parameters, lower case. */
export function requireMediaType(c: Context, expected: string): void {
  const given = (headerOf(c, 'content-type') ?? '').split(';', 1)[0]?.trim().toLowerCase()
  if (given !== expected) {
    throw violated(
      'http.unsupported_media_type',
      '',
      'content-type',
      `Content-Type 应为 ${expected}`,
      `Content-Type must be ${expected}`,
    )
  }
}

/** Who is behind the Bearer `request+jwt` of this request, 60 s old at most; who fails to prove one is limited by source. */
export function provenBearer(
  deps: GatewayDeps,
  c: Context,
  request: Partial<Pick<AuthenticatedRequest, 'maxAgeSeconds' | 'keyState'>> = {},
): Proven {
  try {
    return readBearer(deps, c, request)
  } catch (thrown) {
    const error = asHubError(thrown)
    if (error.retriable) throw error
    throw limited(deps, c, { kind: 'refused', error, proven: statusOf(error.code) !== 401, refusal: undefined }).error
  }
}

export const bearerParty = (deps: GatewayDeps, c: Context): string => provenBearer(deps, c).party.id

function readBearer(deps: GatewayDeps, c: Context, request: Partial<AuthenticatedRequest>): Proven {
  const header = c.req.header('authorization') ?? ''
  const token = /^Bearer +([^ ]+)$/i.exec(header)?.[1]
  if (token === undefined) {
    throw violated(
      'token.malformed',
      '',
      'authorization',
      '需要 Authorization: Bearer <request+jwt>',
      'Authorization: Bearer <request+jwt> is required',
    )
  }
  const url = `${deps.publicUrl()}${new URL(c.req.url).pathname}`
  const progress: Progress = {}
  c.set(BEARER, progress)
  return deps.authenticate(token, { method: c.req.method, url, maxAgeSeconds: 60, ...request }, progress)
}
