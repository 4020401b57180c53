import { readFileSync } from 'node:fs'
import path from 'node:path'
import { createRoute, type OpenAPIHono, z } from '@hono/zod-openapi'
import { HubError } from '#kernel/errors.ts'
import { problems } from '../schemas.ts'

const FOLDER = path.join(import.meta.dirname, '../../clients')

/** What is served, and nothing else. */
const CLIENTS = {
  'DianqiaoClient.java': 'Java ≥ 8',
  'dianqiao_client.py': 'Python ≥ 3.7',
  'dianqiao.go': 'Go ≥ 1.21',
  'dianqiao-client.ts': 'TypeScript, Node ≥ 22.18',
} as const

const indexRoute = createRoute({
  method: 'get',
  path: '/docs/clients',
  operationId: 'listClients',
  summary: '单文件客户端 / One-file clients without dependencies',
  responses: { 200: { description: 'An index', content: { 'text/html': { schema: z.string() } } } },
})

const fileRoute = createRoute({
  method: 'get',
  path: '/docs/clients/{file}',
  operationId: 'getClient',
  summary: '一个客户端的源文件 / The source of one client',
  request: { params: z.object({ file: z.string() }) },
  responses: {
    200: { description: 'Source in UTF-8', content: { 'text/plain; charset=utf-8': { schema: z.string() } } },
    ...problems(404),
  },
})

const list = Object.entries(CLIENTS)
  .map(([file, what]) => `<li><a href="clients/${file}">${file}</a> – ${what}</li>`)
  .join('')

const INDEX = `<!doctype html><html lang="zh"><head><meta charset="utf-8"><title>电桥客户端 / Clients of Dianqiao</title></head>
<body><h1>电桥客户端 / Clients of Dianqiao</h1>
<p>每个语言一个文件，无依赖：签名、推送、验证回执、重试。/ One file a language, no dependencies: sign, push, verify the receipt, retry.</p>
<ul>${list}</ul></body></html>
`

/** Clients that a party can read before it runs them. */
export function clientRoutes(app: OpenAPIHono): void {
  const sources = new Map(Object.keys(CLIENTS).map((file) => [file, readFileSync(path.join(FOLDER, file), 'utf8')]))
  const headers = { 'cache-control': 'public, max-age=300', 'x-content-type-options': 'nosniff' }
  app.openapi(indexRoute, (c) => c.body(INDEX, 200, { ...headers, 'content-type': 'text/html' }) as never)
  app.openapi(fileRoute, (c) => {
    const source = sources.get(c.req.valid('param').file)
    if (source === undefined) throw new HubError('http.not_found')
    return c.body(source, 200, { ...headers, 'content-type': 'text/plain; charset=utf-8' }) as never
  })
}
