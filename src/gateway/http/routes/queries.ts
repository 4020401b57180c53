import { createRoute, type OpenAPIHono } from '@hono/zod-openapi'
import { answerRefusal, requireMediaType, sourceOf, tokenText } from '../answers.ts'
import type { GatewayDeps } from '../deps.ts'
import { problems, tokenSchema } from '../schemas.ts'

const route = createRoute({
  method: 'post',
  path: '/v1/queries',
  operationId: 'askQuery',
  summary: '签名查询 / Ask for documents under a grant, for one case and one purpose',
  request: { body: { required: true, content: { 'application/jwt': { schema: tokenSchema } } } },
  responses: {
    200: { description: 'answer+jwt, bound to the query', content: { 'application/jwt': { schema: tokenSchema } } },
    ...problems(401, 403, 409, 413, 415, 422, 429, 503),
  },
})

export function askQuery(app: OpenAPIHono, deps: GatewayDeps): void {
  app.openapi(route, async (c) => {
    requireMediaType(c, 'application/jwt')
    const result = await deps.query(await tokenText(c), sourceOf(deps, c))
    if (result.kind === 'refused') return answerRefusal(deps, c, result) as never
    const headers = { 'content-type': 'application/jwt', 'cache-control': 'no-store' }
    return new Response(result.answer, { status: 200, headers }) as never
  })
}
