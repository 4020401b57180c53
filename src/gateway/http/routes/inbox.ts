import { createRoute, type OpenAPIHono, z } from '@hono/zod-openapi'
import { provenBearer } from '../answers.ts'
import type { GatewayDeps } from '../deps.ts'
import { refuseInvalidOfParties } from '../parameters.ts'
import { bearer, problems, tokenSchema } from '../schemas.ts'

/** Polling may use one request token for ten minutes (PROTOCOL, request+jwt). */
const MAX_AGE_SECONDS = 600

const whole = (max: number, fallback: number) =>
  z.coerce.number().int().min(0).max(max).default(fallback).openapi({ type: 'integer', minimum: 0, maximum: max })

const route = createRoute({
  method: 'get',
  path: '/v1/inbox',
  operationId: 'pullInbox',
  summary: '领取投递 / Lease the next deliveries; acknowledge each with delivery-ack@1 through POST /v1/exchanges',
  security: bearer,
  request: { query: z.object({ limit: whole(100, 10), wait: whole(20, 0) }) },
  responses: {
    200: {
      description: 'Leased for 60 s: the head of each key',
      content: {
        'application/json': {
          schema: z.object({
            deliveries: z.array(
              z.object({
                delivery: z.string(),
                exchange: z.string(),
                recipient: z.string(),
                contract: z.string(),
                token: tokenSchema,
                receipt: tokenSchema,
                deliverBy: z.string(),
              }),
            ),
          }),
        },
      },
    },
    ...problems(400, 401, 403, 413, 422, 429, 503),
  },
})

export function pullInbox(app: OpenAPIHono, deps: GatewayDeps): void {
  app.openapi(
    route,
    async (c) => {
      const asker = provenBearer(deps, c, { maxAgeSeconds: MAX_AGE_SECONDS })
      const { limit, wait } = c.req.valid('query')
      const deliveries = await deps.pull(asker, Math.max(1, limit), wait, c.req.raw.signal)
      return c.json({ deliveries }, 200, { 'cache-control': 'no-store' }) as never
    },
    refuseInvalidOfParties(deps, { maxAgeSeconds: MAX_AGE_SECONDS }),
  )
}
