import { createRoute, type OpenAPIHono, z } from '@hono/zod-openapi'
import { COMPATIBILITY_MODES } from '#contracts/compat/verdict.ts'
import { HubError } from '#kernel/errors.ts'
import type { JsonObject } from '#kernel/json.ts'
import { provenBearer, requireMediaType } from '../answers.ts'
import type { GatewayDeps } from '../deps.ts'
import { bearer, bilingual, problems } from '../schemas.ts'

const schemaDocument = z.record(z.string(), z.unknown()).openapi({ description: 'JSON Schema 2020-12' })

const requestSchema = z.strictObject({
  contract: z
    .string()
    .max(80)
    .optional()
    .openapi({ description: 'name@major: compared with its schema as it is in force' }),
  earlier: z
    .array(schemaDocument)
    .min(1)
    .max(20)
    .optional()
    .openapi({ description: 'Earlier schemas, the latest last' }),
  next: schemaDocument,
  mode: z.enum(COMPATIBILITY_MODES).default('backward'),
  strict: z.boolean().default(false).openapi({ description: 'Undeclared members of open objects may have any value' }),
})

const changeSchema = z.object({
  pointer: z.string(),
  rule: z.string(),
  direction: z.enum(['backward', 'forward']),
  verdict: z.enum(['incompatible', 'unproven']),
  why: bilingual,
  fix: bilingual,
  counterexample: z.unknown().optional(),
  version: z.number().int().optional(),
  breaks: z.enum(['senders', 'recipients']),
})

const route = createRoute({
  method: 'post',
  path: '/v1/contracts/compatibility',
  operationId: 'compareSchemas',
  summary: '模式兼容性 / Whether a schema may follow others, and what breaks where it may not',
  security: bearer,
  request: { body: { required: true, content: { 'application/json': { schema: requestSchema } } } },
  responses: {
    200: {
      description: 'The verdict with its reasons',
      content: {
        'application/json': {
          schema: z.object({
            verdict: z.enum(['compatible', 'incompatible', 'unproven']),
            changes: z.array(changeSchema),
            parties: z.object({ senders: z.array(z.string()), recipients: z.array(z.string()) }).optional(),
          }),
        },
      },
    },
    ...problems(400, 401, 403, 404, 413, 415, 422, 429, 503),
  },
})

export function compareSchemas(app: OpenAPIHono, deps: GatewayDeps): void {
  app.use(route.path, async (c, next) => {
    requireMediaType(c, 'application/json')
    provenBearer(deps, c)
    await next()
  })
  app.openapi(route, async (c) => {
    const { contract: ref, earlier, next, mode, strict } = c.req.valid('json')
    const contract = ref === undefined ? undefined : deps.contracts.get(ref)
    if (ref !== undefined && contract === undefined) throw new HubError('http.not_found')
    const before = (earlier as JsonObject[] | undefined) ?? (contract === undefined ? [] : [contract.schemaDocument])
    if (before.length === 0) throw new HubError('http.bad_request')
    const found = await deps.compareSchemas({ earlier: before, next: next as JsonObject, mode, strict })
    const parties = contract && deps.contractParties(contract)
    return c.json({ ...found, ...(parties === undefined ? {} : { parties }) }, 200) as never
  })
}
