import { createRoute, type OpenAPIHono, z } from '@hono/zod-openapi'
import { answerRefusal, requireMediaType, tokenText } from '../answers.ts'
import { headerOf } from '../body-limit.ts'
import type { GatewayDeps } from '../deps.ts'
import { problems, tokenSchema } from '../schemas.ts'

export const receiptJson = z
  .object({
    exchange: z.string().uuid(),
    receipt: tokenSchema,
    refusal: tokenSchema.optional().openapi({ description: 'refusal+jwt: the rows of a load that were not accepted' }),
  })
  .openapi('Receipt', { description: 'receipt+jwt: durably accepted' })

const content = {
  'application/jwt': { schema: tokenSchema },
  'application/json': { schema: receiptJson },
}

const route = createRoute({
  method: 'post',
  path: '/v1/exchanges',
  operationId: 'pushExchange',
  summary: '提交一次签名交换 / Push one signed exchange',
  request: { body: { required: true, content: { 'application/jwt': { schema: tokenSchema } } } },
  responses: {
    202: { description: 'Durably accepted: the signed receipt', content },
    200: {
      description: 'Seen before with the same content: the original receipt (Idempotency-Replayed: true)',
      content,
    },
    ...problems(401, 403, 409, 413, 415, 422, 429, 503),
  },
})

export function pushExchange(app: OpenAPIHono, deps: GatewayDeps): void {
  app.openapi(route, async (c) => {
    requireMediaType(c, 'application/jwt')
    const result = await deps.accept(await tokenText(c))
    if (result.kind === 'refused') return answerRefusal(deps, c, result) as never
    const json = headerOf(c, 'accept')?.includes('application/json') === true
    const headers: Record<string, string> = { 'content-type': json ? 'application/json' : 'application/jwt' }
    if (result.refusal !== undefined) headers['rows-refused'] = 'true'
    if (result.replayed) headers['idempotency-replayed'] = 'true'
    const { exchange, receipt, refusal } = result
    const body = json ? JSON.stringify({ exchange, receipt, refusal }) : receipt
    return new Response(body, { status: result.replayed ? 200 : 202, headers }) as never
  })
}
