import { createRoute, type OpenAPIHono, z } from '@hono/zod-openapi'
import { isoTime } from '#kernel/clock.ts'
import type { GatewayDeps } from '../deps.ts'

const json = (schema: z.ZodType) => ({ 'application/json': { schema } })

const timeRoute = createRoute({
  method: 'get',
  path: '/v1/time',
  operationId: 'getTime',
  summary: '枢纽时间 / The time that freshness is judged by',
  responses: { 200: { description: 'Now', content: json(z.object({ time: z.string(), epochMs: z.number().int() })) } },
})

const jwksRoute = createRoute({
  method: 'get',
  path: '/.well-known/jwks.json',
  operationId: 'getJwks',
  summary: '枢纽公钥 / Public keys that receipts, refusals and answers verify with (RFC 7517)',
  responses: { 200: { description: 'JWK Set', content: json(z.object({ keys: z.array(z.object({})) })) } },
})

const liveRoute = createRoute({
  method: 'get',
  path: '/health/live',
  operationId: 'getLive',
  summary: '进程存活 / The process runs',
  responses: { 200: { description: 'Alive', content: json(z.object({ status: z.literal('ok') })) } },
})

const readySchema = z.object({ status: z.enum(['ready', 'not-ready']), causes: z.array(z.string()) })

const readyRoute = createRoute({
  method: 'get',
  path: '/health/ready',
  operationId: 'getReady',
  summary: '可以受理 / It can accept and make durable',
  responses: {
    200: { description: 'Ready', content: json(readySchema) },
    503: { description: 'Not ready; causes say why', content: json(readySchema) },
  },
})

/** What anybody may read: nothing here depends on who asks. */
export function publicRoutes(app: OpenAPIHono, deps: GatewayDeps): void {
  app.openapi(timeRoute, (c) => {
    const epochMs = deps.clock()
    return c.json({ time: isoTime(epochMs), epochMs }, 200, { 'cache-control': 'no-store' })
  })
  app.openapi(jwksRoute, (c) => c.json(deps.jwks(), 200, { 'cache-control': 'public, max-age=300' }) as never)
  app.openapi(liveRoute, (c) => c.json({ status: 'ok' as const }, 200))
  app.openapi(readyRoute, async (c) => {
    const causes = [...(await deps.notReady())]
    return causes.length === 0 ? c.json({ status: 'ready', causes }, 200) : c.json({ status: 'not-ready', causes }, 503)
  })
}
