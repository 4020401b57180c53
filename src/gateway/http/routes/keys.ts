import { createRoute, type OpenAPIHono, z } from '@hono/zod-openapi'
import { provenBearer } from '../answers.ts'
import type { GatewayDeps } from '../deps.ts'
import { bearer, problems } from '../schemas.ts'

const route = createRoute({
  method: 'post',
  path: '/v1/keys/proof',
  operationId: 'proveKey',
  summary: '证明持有新密钥 / Prove possession of a registered key that is pending: it becomes active',
  security: bearer,
  responses: {
    200: {
      description: 'The key is active',
      content: {
        'application/json': { schema: z.object({ party: z.string(), kid: z.string(), state: z.literal('active') }) },
      },
    },
    ...problems(401, 403, 413, 422, 429, 503),
  },
})

export function proveKey(app: OpenAPIHono, deps: GatewayDeps): void {
  app.openapi(route, async (c) => {
    const proven = provenBearer(deps, c, { keyState: 'pending' })
    await deps.activateKey(proven)
    return c.json({ party: proven.party.id, kid: proven.token.header.kid, state: 'active' }, 200) as never
  })
}
