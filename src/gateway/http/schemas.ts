import { z } from '@hono/zod-openapi'

/** What the routes share in the OpenAPI document; payloads themselves belong to JSON Schema. */
export const bilingual = z.object({ zh: z.string(), en: z.string() })

export const violationSchema = z.object({ pointer: z.string(), rule: z.string(), message: bilingual })

export const problemSchema = z
  .object({
    type: z.string().openapi({ example: 'urn:dianqiao:problem:token.expired' }),
    title: z.string(),
    status: z.number().int(),
    detail: z.string(),
    instance: z.string(),
    code: z.string().openapi({ example: 'token.expired' }),
    violations: z.array(violationSchema),
    refusal: z.string().optional().openapi({ description: 'refusal+jwt, once the token was read whole' }),
  })
  .openapi('Problem', { description: 'RFC 9457 problem details in zh and en' })

const PROBLEMS = {
  400: 'The request is malformed',
  401: 'The token proves nothing',
  403: 'A right is missing; violations name it',
  404: 'Not found, or not yours',
  409: 'The jti was used for other content, the query was answered before, or the upload stands elsewhere',
  410: 'The copy of the file has expired',
  413: 'Too large',
  415: 'Wrong media type',
  416: 'The range lies outside the file',
  422: 'The claims or the data break the contract',
  429: 'Above the allowance of the party, or of this source for what proves no party',
  503: 'It cannot be made durable now; retry with the same jti',
  507: 'Unfinished or unnamed uploads exceed the quota',
} as const

type ProblemStatus = keyof typeof PROBLEMS

/** The problem answers of a route, for its OpenAPI description. */
export function problems<S extends ProblemStatus>(...statuses: S[]) {
  const entries = statuses.map((status) => [
    status,
    { description: PROBLEMS[status], content: { 'application/problem+json': { schema: problemSchema } } },
  ])
  return Object.fromEntries(entries) as Record<
    S,
    { description: string; content: { 'application/problem+json': { schema: typeof problemSchema } } }
  >
}

export const tokenSchema = z.string().openapi({ description: 'A compact JWS (RFC 7515)', example: 'eyJ…' })

export const bearer = [{ request: [] }]
