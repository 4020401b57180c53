import { createRoute, type OpenAPIHono, z } from '@hono/zod-openapi'
import { DELIVERY_STATES } from '#delivery/states.ts'
import { bearerParty } from '../answers.ts'
import type { GatewayDeps } from '../deps.ts'
import { refuseInvalidOfParties } from '../parameters.ts'
import { bearer, problems, tokenSchema } from '../schemas.ts'

const nullableText = z.string().nullable()

const statusSchema = z
  .object({
    exchange: z.string(),
    pos: z.number().int(),
    contract: z.string(),
    origin: z.string(),
    acceptedAt: z.string(),
    receipt: tokenSchema,
    refusal: tokenSchema.nullable(),
    deliveries: z.array(
      z.object({
        delivery: z.string(),
        recipient: nullableText,
        state: z.enum(Object.keys(DELIVERY_STATES)),
        stateText: z.object({ zh: z.string(), en: z.string() }),
        cause: nullableText,
        outcome: nullableText,
        recipientRef: nullableText,
        acceptedAt: z.string(),
        routedAt: nullableText,
        publishedAt: nullableText,
        settledAt: nullableText,
        deliverBy: z.string(),
      }),
    ),
  })
  .openapi('ExchangeStatus')

const exchangeRoute = createRoute({
  method: 'get',
  path: '/v1/exchanges/{id}',
  operationId: 'getExchange',
  summary: '本方交换的状态 / Status of an own exchange and of each of its deliveries',
  security: bearer,
  request: { params: z.object({ id: z.string().max(64) }) },
  responses: {
    200: { description: 'The status', content: { 'application/json': { schema: statusSchema } } },
    ...problems(400, 401, 403, 404, 413, 422, 429, 503),
  },
})

const caseSchema = z
  .object({
    caseNo: z.string(),
    state: z.string(),
    division: z.string(),
    utility: nullableText,
    openedAt: z.string(),
    aliases: z.array(z.object({ scheme: z.string(), issuer: z.string(), number: z.string() })),
    events: z.array(z.object({ pos: z.number().int(), exchange: z.string(), contract: z.string(), at: z.string() })),
  })
  .openapi('CaseProgress')

const caseRoute = createRoute({
  method: 'get',
  path: '/v1/cases/{number}',
  operationId: 'getCase',
  summary: '办件进展 / Progress of a case by any of its numbers, for a party of the case',
  security: bearer,
  // PostgreSQL takes no U+0000, and no number has a control character.
  request: {
    params: z.object({
      number: z
        .string()
        .max(64)
        .regex(/^\P{Cc}*$/u)
        .openapi({ pattern: '^[^\\u0000-\\u001f\\u007f-\\u009f]*$' }),
    }),
  },
  responses: {
    200: {
      description: 'The cases that this number names',
      content: { 'application/json': { schema: z.array(caseSchema) } },
    },
    ...problems(400, 401, 403, 404, 413, 422, 429, 503),
  },
})

export function getExchange(app: OpenAPIHono, deps: GatewayDeps): void {
  app.openapi(
    exchangeRoute,
    async (c) => {
      const party = bearerParty(deps, c)
      return c.json(await deps.status(c.req.valid('param').id, party), 200) as never
    },
    refuseInvalidOfParties(deps),
  )
}

export function getCase(app: OpenAPIHono, deps: GatewayDeps): void {
  app.openapi(
    caseRoute,
    async (c) => {
      const party = bearerParty(deps, c)
      return c.json(await deps.caseProgress(c.req.valid('param').number, party), 200) as never
    },
    refuseInvalidOfParties(deps),
  )
}
