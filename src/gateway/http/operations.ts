import { OpenAPIHono } from '@hono/zod-openapi'
import { HubError } from '#kernel/errors.ts'
import type { Metrics } from '../metrics.ts'
import { answerError } from './answers.ts'
import type { GatewayDeps } from './deps.ts'
import { metricsRoute } from './routes/metrics.ts'

export interface OperationsDeps extends Pick<GatewayDeps, 'notReady' | 'log'> {
  readonly metrics: Metrics
  readonly metricsToken: string | undefined
}

/** Health and metrics alone, on a port of its own: for processes without the gateway, and away from the parties. */
export function createOperations(deps: OperationsDeps): OpenAPIHono {
  const app = new OpenAPIHono()
  const notFound = (): Response => answerError(deps, new HubError('http.not_found'))
  app.get('/health/live', (c) => c.json({ status: 'ok' }))
  app.get('/health/ready', async (c) => {
    const causes = await deps.notReady()
    return causes.length === 0 ? c.json({ status: 'ready', causes }) : c.json({ status: 'not-ready', causes }, 503)
  })
  metricsRoute(app, deps.metrics, { token: deps.metricsToken, notFound })
  app.notFound(notFound)
  app.onError((error) => answerError(deps, error))
  return app
}
