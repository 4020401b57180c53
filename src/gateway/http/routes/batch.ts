import { setImmediate as nextTurn } from 'node:timers/promises'
import { createRoute, type OpenAPIHono, z } from '@hono/zod-openapi'
import type { Context } from 'hono'
import { asHubError, HubError, violated } from '#kernel/errors.ts'
import { isJsonObject, parseStrictJson } from '#kernel/json.ts'
import { problemOf } from '../../problem.ts'
import { limited, newInstance, requireMediaType } from '../answers.ts'
import type { GatewayDeps } from '../deps.ts'
import { problemSchema, problems, tokenSchema } from '../schemas.ts'

const MAX_LINES = 5_000
/** Lines under way at once, and how many are judged before other requests get a turn. */
const WINDOW = 256
const TURN = 16

const lineSchema = z.union([
  z.object({
    n: z.number().int(),
    exchange: z.string(),
    receipt: tokenSchema,
    refusal: tokenSchema.optional(),
    replayed: z.boolean(),
  }),
  z.object({ n: z.number().int(), problem: problemSchema }),
  z.object({ end: z.number().int() }),
])

const route = createRoute({
  method: 'post',
  path: '/v1/exchanges/batch',
  operationId: 'pushBatch',
  summary: '批量提交 / Push many: one {"token"} per line, at most 5,000 lines and 16 MiB',
  request: {
    body: { required: true, content: { 'application/x-ndjson': { schema: z.object({ token: tokenSchema }) } } },
  },
  responses: {
    200: {
      description: 'One line for each line in its order, then {end}; one bad line refuses only itself',
      content: { 'application/x-ndjson': { schema: lineSchema } },
    },
    ...problems(413, 415),
  },
})

export function pushBatch(app: OpenAPIHono, deps: GatewayDeps): void {
  app.openapi(route, async (c) => {
    requireMediaType(c, 'application/x-ndjson')
    const lines = linesOf(await c.req.text())
    const body = ReadableStream.from(answerLines(deps, c, lines)).pipeThrough(new TextEncoderStream())
    return new Response(body, { status: 200, headers: { 'content-type': 'application/x-ndjson' } }) as never
  })
}

/** Lines that hold something. Found one by one: sixteen million line ends must not become an array. */
function linesOf(text: string): string[] {
  const lines: string[] = []
  for (const [line] of text.matchAll(/\S[^\n]*/g)) {
    if (lines.push(line) > MAX_LINES) {
      throw violated('http.body_too_large', '', 'lines', `最多 ${MAX_LINES} 行`, `at most ${MAX_LINES} lines`)
    }
  }
  return lines
}

/**
 * Window by window: what one client sends is never all in memory as work, and its lines keep their order. After a line
 * that the hub could not take now, none is tried: it would be let in before the one that its sender sends again.
 */
async function* answerLines(deps: GatewayDeps, c: Context, lines: readonly string[]): AsyncGenerator<string> {
  let stop: HubError | undefined
  const answer = async (n: number, line: string): Promise<string> => {
    if (stop !== undefined) return problemLine(deps, n, stop)
    try {
      return await answerLine(deps, c, n, line)
    } catch (thrown) {
      const error = asHubError(thrown)
      if (error.retriable && error.code !== 'hub.internal') stop ??= error
      return problemLine(deps, n, error)
    }
  }
  for (let from = 0; from < lines.length; from += WINDOW) {
    const answers: Promise<string>[] = []
    for (const [index, line] of lines.slice(from, from + WINDOW).entries()) {
      if (index % TURN === TURN - 1) await nextTurn()
      answers.push(answer(from + index + 1, line))
    }
    yield (await Promise.all(answers)).join('')
  }
  yield lineOf({ end: lines.length })
}

const lineOf = (answer: object): string => `${JSON.stringify(answer)}\n`

function problemLine(deps: GatewayDeps, n: number, error: HubError): string {
  const instance = newInstance()
  if (error.code === 'hub.internal') deps.log({ level: 'error', message: error.code, error: error.cause, instance })
  return lineOf({ n, problem: problemOf(error, instance) })
}

async function answerLine(deps: GatewayDeps, c: Context, n: number, line: string): Promise<string> {
  const result = await deps.accept(tokenOf(line))
  if (result.kind === 'accepted') {
    const { exchange, receipt, refusal, replayed } = result
    return lineOf({ n, exchange, receipt, refusal, replayed })
  }
  const { error, refusal } = limited(deps, c, result)
  return lineOf({ n, problem: problemOf(error, newInstance(), refusal) })
}

function tokenOf(line: string): string {
  let parsed: unknown
  try {
    parsed = parseStrictJson(line)
  } catch (cause) {
    throw new HubError('http.bad_request', {
      cause,
      detail: { zh: '该行不是合法的 JSON', en: 'the line is not valid JSON' },
    })
  }
  const token = isJsonObject(parsed as never) ? (parsed as { token?: unknown }).token : undefined
  if (typeof token !== 'string') {
    throw violated(
      'http.bad_request',
      '/token',
      'required',
      '该行应为 {"token": "…"}',
      'the line must be {"token": "…"}',
    )
  }
  return token
}
