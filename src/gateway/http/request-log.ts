import type { OpenAPIHono } from '@hono/zod-openapi'
import type { Context } from 'hono'
import { routePath } from 'hono/route'
import { readTraceparent } from '#kernel/traceparent.ts'
import { headerOf } from './body-limit.ts'
import type { GatewayDeps } from './deps.ts'

/** The caller's trace (W3C Trace Context), for a log entry; nothing where there is none. */
export function traceOf(c: Context | undefined): { readonly traceparent?: string } {
  const traceparent = c === undefined ? undefined : readTraceparent(headerOf(c, 'traceparent'))
  return traceparent === undefined ? {} : { traceparent }
}

/** One line a request: the route and never the path, since a path holds the number of a case. */
export function logRequests(app: OpenAPIHono, deps: Pick<GatewayDeps, 'log'>): void {
  app.use('*', async (c, next) => {
    const began = performance.now()
    await next()
    const instance: unknown = c.get('instance' as never)
    deps.log({
      level: 'debug',
      message: 'request',
      ...(typeof instance === 'string' ? { instance } : {}),
      ...traceOf(c),
      fields: {
        method: c.req.method,
        route: routePath(c, -1),
        status: c.res.status,
        ms: Math.round((performance.now() - began) * 10) / 10,
      },
    })
  })
}
