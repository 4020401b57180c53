import { createRoute, type OpenAPIHono, z } from '@hono/zod-openapi'
import { checkRules } from '#contracts/rules.ts'
import { validateData } from '#contracts/validate.ts'
import { HubError } from '#kernel/errors.ts'
import type { Json } from '#kernel/json.ts'
import { provenBearer, requireMediaType } from '../answers.ts'
import type { GatewayDeps } from '../deps.ts'
import { bearer, problems, violationSchema } from '../schemas.ts'

const route = createRoute({
  method: 'post',
  path: '/v1/contracts/validate',
  operationId: 'validateData',
  summary: '按合同校验数据 / Judge data against a contract: schema, then rules; nothing is kept',
  security: bearer,
  request: {
    body: {
      required: true,
      content: { 'application/json': { schema: z.strictObject({ contract: z.string().max(80), data: z.unknown() }) } },
    },
  },
  responses: {
    200: {
      description: 'What is wrong: nothing when an exchange with this data would pass',
      content: {
        'application/json': {
          schema: z.object({ violations: z.array(violationSchema), warnings: z.array(violationSchema) }),
        },
      },
    },
    ...problems(400, 401, 403, 404, 413, 415, 422, 429, 503),
  },
})

export function validateContractData(app: OpenAPIHono, deps: GatewayDeps): void {
  app.use(route.path, async (c, next) => {
    requireMediaType(c, 'application/json')
    provenBearer(deps, c)
    await next()
  })
  app.openapi(route, (c) => {
    const { contract: ref, data } = c.req.valid('json') as { contract: string; data: Json }
    const contract = deps.contracts.get(ref)
    if (contract === undefined) throw new HubError('http.not_found')
    const violations = validateData(contract, data)
    if (violations.length > 0) return c.json({ violations, warnings: [] }, 200) as never
    const { errors, warnings } = checkRules(contract, { data, claims: {}, nowMs: deps.clock() })
    return c.json({ violations: errors, warnings }, 200) as never
  })
}
