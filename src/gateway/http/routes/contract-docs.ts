import { createRoute, type OpenAPIHono, z } from '@hono/zod-openapi'
import { contractIndex, contractPage, PAGE_LANGUAGES, schemaPage } from '#contracts/contract-page.ts'
import { FORMAT_SCHEMA } from '#contracts/schema-files.ts'
import { HubError } from '#kernel/errors.ts'
import type { GatewayDeps } from '../deps.ts'
import { problems } from '../schemas.ts'

const MARKDOWN = 'text/markdown; charset=utf-8'
const query = z.object({ lang: z.enum(PAGE_LANGUAGES).default('zh') })
const page = { 200: { description: 'Markdown', content: { [MARKDOWN]: { schema: z.string() } } } }

const indexRoute = createRoute({
  method: 'get',
  path: '/docs/contracts',
  operationId: 'listContractPages',
  summary: '合同文档目录 / The list of contract pages',
  request: { query },
  responses: { ...page, ...problems(400) },
})

const pageRoute = createRoute({
  method: 'get',
  path: '/docs/contracts/{ref}',
  operationId: 'getContractPage',
  summary: '合同文档 / Fields, rules, recipients, limits and examples of a contract, named name@major',
  request: { params: z.object({ ref: z.string().max(80) }), query },
  responses: { ...page, ...problems(400, 404) },
})

const formatRoute = createRoute({
  method: 'get',
  path: '/docs/contract-format',
  operationId: 'getContractFormatPage',
  summary: '合同格式文档 / How contract files are written, from the schema that judges them',
  request: { query },
  responses: { ...page, ...problems(400) },
})

/** Pages of the docs, made from the contracts in force. */
export function contractDocRoutes(app: OpenAPIHono, { contracts, examplesOf }: GatewayDeps): void {
  const headers = { 'content-type': MARKDOWN, 'x-content-type-options': 'nosniff' }
  app.openapi(
    indexRoute,
    (c) => c.body(contractIndex(contracts.list(), c.req.valid('query').lang), 200, headers) as never,
  )
  app.openapi(pageRoute, (c) => {
    const contract = contracts.get(c.req.valid('param').ref)
    if (contract === undefined) throw new HubError('http.not_found')
    return c.body(contractPage(contract, examplesOf(contract.schema), c.req.valid('query').lang), 200, headers) as never
  })
  app.openapi(formatRoute, (c) => {
    const format = contracts.schema(FORMAT_SCHEMA)
    if (format === undefined) throw new HubError('http.not_found')
    return c.body(schemaPage(format, c.req.valid('query').lang), 200, headers) as never
  })
}
