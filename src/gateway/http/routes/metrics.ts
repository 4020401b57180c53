import { timingSafeEqual } from 'node:crypto'
import { getConnInfo } from '@hono/node-server/conninfo'
import type { OpenAPIHono } from '@hono/zod-openapi'
import type { Context } from 'hono'
import { sha256Digest } from '#kernel/canonical.ts'
import type { Metrics } from '../../metrics.ts'

export interface MetricsAccess {
  /** Who shows it may read; without one only the same machine may. */
  readonly token: string | undefined
  readonly notFound: () => Response
}

/**
 * `GET /metrics` in Prometheus' text format. It is for operators, not for parties, and so stands in no API document:
 * whoever may not read it is told that there is no such resource.
 */
export function metricsRoute(app: OpenAPIHono, metrics: Metrics, access: MetricsAccess): void {
  app.get('/metrics', async (c) => {
    if (!mayRead(c, access.token)) return access.notFound()
    const headers = { 'content-type': metrics.contentType, 'cache-control': 'no-store' }
    return new Response(await metrics.render(), { headers })
  })
}

function mayRead(c: Context, token: string | undefined): boolean {
  if (token === undefined) return isSameMachine(c)
  const given = /^Bearer +([^ ]+)$/i.exec(c.req.header('authorization') ?? '')?.[1]
  // Digests have one length, so that comparing takes the same time for every token.
  return given !== undefined && timingSafeEqual(Buffer.from(sha256Digest(given)), Buffer.from(sha256Digest(token)))
}

/** Behind a proxy on the same machine everybody would come from the loopback address, so its headers close the door. */
function isSameMachine(c: Context): boolean {
  if (['forwarded', 'x-forwarded-for', 'x-real-ip', 'via'].some((name) => c.req.header(name) !== undefined))
    return false
  try {
    return /^(?:127\.\d+\.\d+\.\d+|::1|::ffff:127\.\d+\.\d+\.\d+)$/.test(getConnInfo(c).remote.address ?? '')
  } catch {
    return false
  }
}
