import { OpenAPIHono } from '@hono/zod-openapi'
import { MAX_TOKEN_BYTES } from '#exchange/accept.ts'
import { HubError } from '#kernel/errors.ts'
import { answerError, answerThrown, isCutOff } from './answers.ts'
import { limitBody } from './body-limit.ts'
import type { GatewayDeps } from './deps.ts'
import { refuseInvalidParameters } from './parameters.ts'
import { logRequests } from './request-log.ts'
import { pushBatch } from './routes/batch.ts'
import { catalogueRoutes } from './routes/catalogue.ts'
import { clientRoutes } from './routes/clients.ts'
import { compareSchemas } from './routes/compatibility.ts'
import { contractDocRoutes } from './routes/contract-docs.ts'
import { pushExchange } from './routes/exchanges.ts'
import { getFile, putFile } from './routes/files.ts'
import { pullInbox } from './routes/inbox.ts'
import { proveKey } from './routes/keys.ts'
import { listLedgerTasks } from './routes/ledger-tasks.ts'
import { pushPlain } from './routes/plain.ts'
import { publicRoutes } from './routes/public.ts'
import { askQuery } from './routes/queries.ts'
import { getCase, getExchange } from './routes/status.ts'
import { validateContractData } from './routes/validation.ts'

const BATCH_BYTES = 16 * 1024 * 1024

/** The Hono app for parties. It opens no port: tests call `app.request()`, `server.ts` serves it. */
export function createGateway(deps: GatewayDeps): OpenAPIHono {
  const app = new OpenAPIHono({ defaultHook: refuseInvalidParameters })
  if (deps.logsRequests === true) logRequests(app, deps)
  const tooLarge = (): Response => answerError(deps, new HubError('http.body_too_large'))
  app.use('/v1/exchanges', limitBody(MAX_TOKEN_BYTES, tooLarge))
  app.use('/v1/plain/*', limitBody(MAX_TOKEN_BYTES, tooLarge))
  app.use('/v1/queries', limitBody(MAX_TOKEN_BYTES, tooLarge))
  app.use('/v1/contracts/*', limitBody(MAX_TOKEN_BYTES, tooLarge))
  app.use('/v1/exchanges/batch', limitBody(BATCH_BYTES, tooLarge))
  pushBatch(app, deps)
  pushExchange(app, deps)
  pushPlain(app, deps)
  askQuery(app, deps)
  getExchange(app, deps)
  getCase(app, deps)
  pullInbox(app, deps)
  proveKey(app, deps)
  putFile(app, deps)
  getFile(app, deps)
  compareSchemas(app, deps)
  validateContractData(app, deps)
  publicRoutes(app, deps)
  catalogueRoutes(app, deps)
  contractDocRoutes(app, deps)
  clientRoutes(app)
  listLedgerTasks(app, deps)
  app.openAPIRegistry.registerComponent('securitySchemes', 'request', {
    type: 'http',
    scheme: 'bearer',
    bearerFormat: 'request+jwt',
    description: 'Signed by the party, bound to method and URL, at most 60 s (inbox polling 10 min)',
  })
  app.openAPIRegistry.registerComponent('securitySchemes', 'appKey', {
    type: 'apiKey',
    in: 'header',
    name: 'X-Sign',
    description: 'A MAC over method, path, AppKey, timestamp, nonce, request id and the digest of the body',
  })
  app.get('/openapi.json', (c) => c.json(openApiDocument(app, deps)))
  app.notFound((c) => {
    const allowed = methodsOf(app, c.req.path)
    if (allowed.length === 0) return answerError(deps, new HubError('http.not_found'))
    const response = answerError(deps, new HubError('http.method_not_allowed'))
    response.headers.set('allow', allowed.join(', '))
    return response
  })
  app.onError((error, c) =>
    isCutOff(c)
      ? answerError(deps, new HubError('http.bad_request', { cause: error }), undefined, c)
      : answerThrown(deps, error, c),
  )
  return app
}

function openApiDocument(app: OpenAPIHono, deps: GatewayDeps): object {
  return app.getOpenAPI31Document({
    openapi: '3.1.0',
    info: {
      title: '电桥 Dianqiao',
      version: '1',
      description: 'Signed exchanges between government service platforms and power utilities',
    },
    servers: [{ url: deps.publicUrl() }],
  })
}

/** Methods that the resource behind a path does take; a path that is spelt out hides those with a parameter. */
function methodsOf(app: OpenAPIHono, path: string): string[] {
  const routes = app.routes.filter((route) => route.method !== 'ALL' && matches(route.path, path))
  const spelt = routes.filter((route) => route.path === path)
  return [...new Set((spelt.length > 0 ? spelt : routes).map((route) => route.method))]
}

function matches(pattern: string, path: string): boolean {
  const wanted = pattern.split('/')
  const given = path.split('/')
  return wanted.length === given.length && wanted.every((part, index) => part.startsWith(':') || part === given[index])
}
