import { createRoute, type OpenAPIHono, z } from '@hono/zod-openapi'
import type { Context } from 'hono'
import { PLAIN_HEADERS, type PlainHeader } from '#exchange/prove-plain.ts'
import { violated } from '#kernel/errors.ts'
import { answerRefusal, requireMediaType, sourceOf } from '../answers.ts'
import { incomingOf } from '../body-limit.ts'
import type { GatewayDeps } from '../deps.ts'
import { problems } from '../schemas.ts'
import { receiptJson } from './exchanges.ts'

const header = (name: string, description: string, pattern: string) => ({
  in: 'header' as const,
  name,
  required: true,
  description,
  schema: { type: 'string' as const, pattern },
})

/** Nothing else gets into the text under the MAC, nor into a record. */
const CONTRACT = /^[a-z][a-z0-9-]{0,62}@[1-9][0-9]{0,3}$/

const ID = '^[A-Za-z0-9._~-]{8,64}$'

const content = { 'application/json': { schema: receiptJson } }

const route = createRoute({
  method: 'post',
  path: '/v1/plain/{contract}',
  operationId: 'pushPlain',
  summary: '以 AppKey 提交普通 JSON / Push plain JSON, authenticated by an AppKey and a MAC',
  description:
    'X-Sign = hex(HMAC(secret, sign method \\n POST \\n path \\n AppKey \\n timestamp \\n nonce \\n request id \\n hex(digest of the body)))',
  security: [{ appKey: [] }],
  parameters: [
    header('X-App-Key', 'Issued by the hub', '^ak-[0-9a-f]{24}$'),
    header('X-Timestamp', 'Unix milliseconds, at most 5 minutes off', '^[0-9]{13}$'),
    header('X-Nonce', 'New for every attempt, retries included', ID),
    header('X-Request-Id', 'The same for every attempt of one message: it becomes the jti', ID),
    header('X-Sign-Method', 'The one that the AppKey was given', '^HMAC-(SHA256|SM3)$'),
    header('X-Sign', 'Lower-case hex', '^[0-9a-f]{64}$'),
  ],
  request: {
    params: z.object({ contract: z.string().regex(CONTRACT).openapi({ example: 'approval-result@1' }) }),
    body: { required: true, content: { 'application/json': { schema: z.object({}) } } },
  },
  responses: {
    202: { description: 'Durably accepted, origin mac-attested: the signed receipt', content },
    200: {
      description: 'Seen before with the same content: the original receipt (Idempotency-Replayed: true)',
      content,
    },
    ...problems(400, 401, 403, 409, 413, 415, 422, 429, 503),
  },
})

/** Described apart from its handler: the library would read the body before its MAC is proven. */
export function pushPlain(app: OpenAPIHono, deps: GatewayDeps): void {
  app.openAPIRegistry.registerPath(route)
  app.post(route.getRoutingPath(), async (c) => {
    requireMediaType(c, 'application/json')
    const url = new URL(c.req.url)
    if (url.search !== '') throw violated('http.bad_request', '', 'query', '不接受查询参数', 'takes no query')
    const contract = c.req.param('contract') ?? ''
    if (!CONTRACT.test(contract)) {
      throw violated('http.bad_request', '/contract', 'contract', '合同须为 名称@主版本', 'a contract is name@major')
    }
    const result = await deps.acceptPlain({
      path: `${new URL(deps.publicUrl()).pathname.replace(/\/$/, '')}/v1/plain/${contract}`,
      contract,
      headers: headersOf(c),
      body: Buffer.from(await c.req.arrayBuffer()),
      source: sourceOf(deps, c),
    })
    if (result.kind === 'refused') return answerRefusal(deps, c, result)
    const { exchange, receipt, refusal, replayed } = result
    return c.json({ exchange, receipt, refusal }, replayed ? 200 : 202, {
      ...(refusal === undefined ? {} : { 'rows-refused': 'true' }),
      ...(replayed ? { 'idempotency-replayed': 'true' } : {}),
    })
  })
}

/** Straight from Node where there is one, where a repeated header is one value with a comma. */
function headersOf(c: Context): Record<PlainHeader, string | undefined> {
  const raw = incomingOf(c)?.headers
  const textOf = (name: PlainHeader): string | undefined => {
    const value = raw === undefined ? c.req.header(name) : raw[name]
    return typeof value === 'string' ? value : undefined
  }
  return Object.fromEntries(PLAIN_HEADERS.map((name) => [name, textOf(name)])) as Record<
    PlainHeader,
    string | undefined
  >
}
