import { createRoute, type OpenAPIHono, z } from '@hono/zod-openapi'
import type { Context } from 'hono'
import { FILE_DIGEST } from '#contracts/formats.ts'
import type { Fetchable } from '#documents/fetch-file.ts'
import { EXTENSIONS } from '#documents/file-content.ts'
import type { UploadState } from '#documents/upload.ts'
import type { Proven } from '#exchange/prove.ts'
import { asHubError } from '#kernel/errors.ts'
import { answerError, provenBearer } from '../answers.ts'
import { incomingOf } from '../body-limit.ts'
import { askedRange, uploadPart } from '../byte-ranges.ts'
import type { GatewayDeps } from '../deps.ts'
import { refuseInvalidOfParties } from '../parameters.ts'
import { traceOf } from '../request-log.ts'
import { bearer, problems } from '../schemas.ts'

/** What is inside a file is its sender's word (PROTOCOL, Files). */
const SEAL = 'not verified by the hub'

const params = z.object({
  digest: z.string().regex(FILE_DIGEST).openapi({ example: 'sha-256:47DEQpj8HBSa-_TImW-5JCeuQeRkm5NMpJWZG3hSuFU' }),
})

const stateSchema = z
  .object({
    digest: z.string(),
    bytes: z.number().int(),
    mediaType: z.string(),
    offset: z.number().int().openapi({ description: 'Bytes that are durable: the next request goes on here' }),
    complete: z.boolean(),
    seal: z.literal(SEAL),
  })
  .openapi('UploadState')

const uploaded = (description: string) => ({
  description: `${description}; Upload-Offset, Upload-Length and Upload-Complete say the same`,
  content: { 'application/json': { schema: stateSchema } },
})

/** OpenAPI 3.1 has no schema for bytes. */
const bytes = z.unknown()
const fileBody = (description: string) => ({
  description: `${description}, as an attachment. Dianqiao-Seal says that seals inside were not verified by the hub`,
  content: Object.fromEntries(Object.keys(EXTENSIONS).map((type) => [type, { schema: bytes }])),
})

const UPLOADING = `
The body is the file, with its media type and Content-Length, or a part of it with \`Content-Range: bytes
first-last/size\` (RFC 9110 §14.5). What arrives is durable in steps of 256 KiB, also when the connection breaks: HEAD
tells with \`Upload-Offset\` where the next part begins, \`Upload-Length\` and \`Upload-Complete: ?0\` or \`?1\`. A request
from byte 0 begins anew. The last part is answered when the digest over all bytes and their beginning (for an OFD its
directory) were checked; what does not fit is discarded. An upload that no exchange names is purged after 7 days.`

const FETCHING = `
For sender and recipients of an exchange that names the file, and for whoever an answered query gave the field that
names it, until the copy expires. \`Range\` with one range resumes (206), \`If-Range\` takes the ETag. HEAD answers the
same headers without a body, and to its uploader how far an upload is.`

const putRoute = createRoute({
  method: 'put',
  path: '/v1/files/{digest}',
  operationId: 'putFile',
  summary: '上传文件 / Upload a file, whole or in parts',
  description: UPLOADING,
  security: bearer,
  request: { params },
  responses: {
    200: uploaded('It was complete before'),
    201: uploaded('Complete'),
    202: uploaded('The part is stored'),
    ...problems(400, 401, 403, 409, 413, 415, 422, 429, 503, 507),
  },
})

const getRoute = createRoute({
  method: 'get',
  path: '/v1/files/{digest}',
  operationId: 'getFile',
  summary: '下载文件 / Fetch a file that an exchange named to the caller',
  description: FETCHING,
  security: bearer,
  request: { params },
  responses: {
    200: fileBody('The file'),
    206: fileBody('The range of the file'),
    ...problems(400, 401, 403, 404, 410, 413, 416, 422, 429, 503),
  },
})

export function putFile(app: OpenAPIHono, deps: GatewayDeps): void {
  app.openapi(
    putRoute,
    async (c) => {
      const asker = provenBearer(deps, c)
      const part = uploadPart((name) => c.req.header(name))
      const body = c.req.raw.body ?? new Blob([]).stream()
      const state = await deps.files.upload(asker, c.req.valid('param').digest, part, body)
      const status = state.created ? 201 : state.complete ? 200 : 202
      const { created: _created, ...told } = state
      return c.json({ ...told, seal: SEAL }, status, uploadHeaders(state)) as never
    },
    refuseInvalidOfParties(deps),
  )
}

const uploadHeaders = ({ bytes, offset, complete }: UploadState): Record<string, string> => ({
  'upload-offset': String(offset),
  'upload-length': String(bytes),
  // RFC 8941: a boolean of structured fields.
  'upload-complete': complete ? '?1' : '?0',
  'cache-control': 'no-store',
})

export function getFile(app: OpenAPIHono, deps: GatewayDeps): void {
  app.openapi(
    getRoute,
    async (c) => {
      const asker = provenBearer(deps, c)
      const { digest } = c.req.valid('param')
      if (c.req.method === 'HEAD') return (await answerHead(deps, asker, digest)) as never
      return (await answerFile(deps, c, asker, await deps.files.fetchable(asker, digest))) as never
    },
    refuseInvalidOfParties(deps),
  )
}

/** How far the caller's own upload is, and what a GET would say. */
async function answerHead(deps: GatewayDeps, asker: Proven, digest: string): Promise<Response> {
  const state = await deps.files.uploadState(asker, digest)
  const upload = state === undefined ? {} : uploadHeaders(state)
  try {
    const file = await deps.files.fetchable(asker, digest)
    return new Response(null, { headers: { ...fileHeaders(file), 'content-length': String(file.bytes), ...upload } })
  } catch (thrown) {
    if (state === undefined || asHubError(thrown).code === 'hub.store_unavailable') throw thrown
    return new Response(null, { headers: upload })
  }
}

async function answerFile(deps: GatewayDeps, c: Context, asker: Proven, file: Fetchable): Promise<Response> {
  const headers = fileHeaders(file)
  const condition = c.req.header('if-range')
  const wanted = condition === undefined || condition === headers['etag'] ? c.req.header('range') : undefined
  let range: ReturnType<typeof askedRange>
  try {
    range = askedRange(wanted, file.bytes)
  } catch (thrown) {
    const response = answerError(deps, thrown, undefined, c)
    response.headers.set('content-range', `bytes */${file.bytes}`)
    return response
  }
  const { first, last } = range ?? { first: 0, last: file.bytes - 1 }
  const body = await deps.files.open(asker, file, { first, last })
  headers['content-length'] = String(last - first + 1)
  if (range !== undefined) headers['content-range'] = `bytes ${first}-${last}/${file.bytes}`
  return new Response(ReadableStream.from(orBreak(deps, c, body)), { status: range === undefined ? 200 : 206, headers })
}

/** A body that fails half way can say so no more: the log says why, and the connection breaks with it. */
async function* orBreak(deps: GatewayDeps, c: Context, body: ReadableStream<Uint8Array>): AsyncGenerator<Uint8Array> {
  try {
    yield* body
  } catch (error) {
    const socket = incomingOf(c)?.socket
    if (socket === undefined) throw error
    deps.log({ level: 'warn', message: 'a download broke off', error, ...traceOf(c) })
    socket.destroy()
  }
}

function fileHeaders({ digest, mediaType, copyExpiresAt }: Fetchable): Record<string, string> {
  const [algorithm = '', value = ''] = digest.split(':')
  const name = `${algorithm}-${value}.${EXTENSIONS[mediaType]}`
  return {
    'content-type': mediaType,
    'content-disposition': `attachment; filename="${name}"`,
    'x-content-type-options': 'nosniff',
    'cache-control': 'no-store',
    'accept-ranges': 'bytes',
    etag: `"${digest}"`,
    // RFC 9530; its registry has no SM3, whose digest stands in the path and the ETag.
    ...(algorithm === 'sha-256'
      ? { 'repr-digest': `sha-256=:${Buffer.from(value, 'base64url').toString('base64')}:` }
      : {}),
    'dianqiao-seal': SEAL,
    'dianqiao-copy-expires-at': copyExpiresAt.toISOString(),
  }
}
