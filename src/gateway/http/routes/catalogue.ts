import { createRoute, type OpenAPIHono, z } from '@hono/zod-openapi'
import type { Contract } from '#contracts/contract.ts'
import { contractView } from '#contracts/contract-view.ts'
import { HubError } from '#kernel/errors.ts'
import type { JsonObject } from '#kernel/json.ts'
import { asyncApiDocument } from '../../async-api.ts'
import type { GatewayDeps } from '../deps.ts'
import { bilingual, problems } from '../schemas.ts'

const json = (schema: z.ZodType) => ({ 'application/json': { schema } })
const schemaContent = { 'application/schema+json': { schema: z.object({}) } }
const name = z.string().max(80)

const summarySchema = z.object({
  ref: z.string(),
  version: z.string(),
  kind: z.string(),
  title: bilingual,
  schema: z.string(),
})

const summaryOf = ({ ref, version, kind, title, schema }: Contract) => ({ ref, version, kind, title, schema })

const listRoute = createRoute({
  method: 'get',
  path: '/v1/contracts',
  operationId: 'listContracts',
  summary: '合同目录 / The catalogue of contracts, with the digest of the set in force',
  responses: {
    200: {
      description: 'Contracts',
      content: json(z.object({ digest: z.string(), contracts: z.array(summarySchema) })),
    },
  },
})

const versionsRoute = createRoute({
  method: 'get',
  path: '/v1/contracts/{name}',
  operationId: 'listContractVersions',
  summary: '一个合同的各主版本 / The major versions of a contract',
  request: { params: z.object({ name }) },
  responses: {
    200: {
      description: 'The newest last',
      content: json(z.object({ name: z.string(), contracts: z.array(summarySchema) })),
    },
    ...problems(400, 404),
  },
})

const schemaOfRoute = createRoute({
  method: 'get',
  path: '/v1/contracts/{ref}/schema',
  operationId: 'getSchema',
  summary: '合同的 JSON Schema / The JSON Schema of a contract, named name@major',
  request: { params: z.object({ ref: name }) },
  responses: { 200: { description: 'JSON Schema 2020-12', content: schemaContent }, ...problems(400, 404) },
})

const contractRoute = createRoute({
  method: 'get',
  path: '/v1/contracts/{name}/{version}',
  operationId: 'getContract',
  summary: '一个合同 / A contract by its name and its major or full version',
  request: { params: z.object({ name, version: z.string().max(20) }) },
  responses: {
    200: {
      description: 'Everything the contract says; its schema is at /v1/schemas',
      content: json(summarySchema.loose()),
    },
    ...problems(400, 404),
  },
})

const schemaRoute = createRoute({
  method: 'get',
  path: '/v1/schemas/{name}/{file}',
  operationId: 'getSchemaFile',
  summary: '任一版本的 JSON Schema / Any version of a schema, such as approval-result/1.0.0.json',
  request: { params: z.object({ name, file: z.string().max(24) }) },
  responses: { 200: { description: 'JSON Schema 2020-12', content: schemaContent }, ...problems(400, 404) },
})

/** The catalogue: contracts and schemas as they are in force, for anybody to read. */
export function catalogueRoutes(app: OpenAPIHono, { contracts, hubId }: GatewayDeps): void {
  const asSchema = (schema: JsonObject | undefined): Response => {
    if (schema === undefined) throw new HubError('http.not_found')
    return new Response(JSON.stringify(schema), { headers: { 'content-type': 'application/schema+json' } })
  }
  app.openapi(listRoute, (c) => c.json({ digest: contracts.digest, contracts: contracts.list().map(summaryOf) }, 200))
  app.openapi(versionsRoute, (c) => {
    const { name: wanted } = c.req.valid('param')
    const found = contracts.list().filter((contract) => contract.name === wanted)
    if (found.length === 0) throw new HubError('http.not_found')
    const ordered = found.toSorted((a, b) => a.major - b.major)
    return c.json({ name: wanted, contracts: ordered.map(summaryOf) }, 200)
  })
  app.openapi(schemaOfRoute, (c) => asSchema(contracts.get(c.req.valid('param').ref)?.schemaDocument) as never)
  app.openapi(contractRoute, (c) => {
    const { name: wanted, version } = c.req.valid('param')
    const found = contracts
      .list()
      .find((one) => one.name === wanted && (one.version === version || String(one.major) === version))
    if (found === undefined) throw new HubError('http.not_found')
    return c.json(contractView(found), 200) as never
  })
  app.openapi(schemaRoute, (c) => {
    const { name: folder, file } = c.req.valid('param')
    return asSchema(contracts.schema(`${folder}/${file}`)) as never
  })
  // Made once for a set of contracts: it holds all their schemas, and anybody may ask.
  let asyncApi: { readonly digest: string; readonly text: string } | undefined
  app.get('/asyncapi.json', (c) => {
    if (asyncApi?.digest !== contracts.digest) {
      asyncApi = { digest: contracts.digest, text: JSON.stringify(asyncApiDocument(contracts.list(), hubId)) }
    }
    return c.body(asyncApi.text, 200, { 'content-type': 'application/json' })
  })
}
