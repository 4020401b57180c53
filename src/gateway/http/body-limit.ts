import type { HttpBindings } from '@hono/node-server'
import type { Context, MiddlewareHandler } from 'hono'
import { bodyLimit } from 'hono/body-limit'

/** The Node request behind a context; undefined where the app is called in-process. */
export function incomingOf(c: Context): HttpBindings['incoming'] | undefined {
  return (c.env as Partial<HttpBindings> | undefined)?.incoming
}

/** A request header. Straight from Node where there is one: a `Headers` object for each request costs more. */
export function headerOf(
  c: Context,
  name: 'accept' | 'content-type' | 'traceparent' | 'x-forwarded-for',
): string | undefined {
  const incoming = incomingOf(c)
  if (incoming === undefined) return c.req.header(name)
  const value = incoming.headers[name]
  return typeof value === 'string' ? value : undefined
}

/**
 * Answers with `tooLarge` what is over `maxSize` bytes. A declared length is judged before the body, and Node's parser
 * hands on no more than was declared; only an undeclared one (chunked) is counted as it comes, which makes it a stream.
 */
export function limitBody(maxSize: number, tooLarge: () => Response): MiddlewareHandler {
  const counted = bodyLimit({ maxSize, onError: tooLarge })
  return async (c, next) => {
    const headers = incomingOf(c)?.headers
    if (headers?.['content-length'] === undefined || headers['transfer-encoding'] !== undefined) return counted(c, next)
    if (Number(headers['content-length']) > maxSize) return tooLarge()
    await next()
  }
}
