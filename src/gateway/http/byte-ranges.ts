import type { UploadPart } from '#documents/upload.ts'
import { type HubError, violated } from '#kernel/errors.ts'

const CONTENT_RANGE = /^bytes (\d{1,15})-(\d{1,15})\/(\d{1,15})$/

/**
 * Which bytes an upload request brings (RFC 9110 §14.4 and §14.5): those of `Content-Range`, else the whole file from
 * its beginning. Throws `http.bad_request` where the length is missing, zero, or not that of the range.
 */
export function uploadPart(header: (name: string) => string | undefined): UploadPart {
  const mediaType = (header('content-type') ?? '').split(';', 1)[0]?.trim().toLowerCase() ?? ''
  const length = readLength(header('content-length'))
  const range = header('content-range')
  if (range === undefined) {
    if (length === undefined || length === 0) throw badLength()
    return { mediaType, from: 0, to: length, total: length }
  }
  const [, first = '', last = '', size = ''] = CONTENT_RANGE.exec(range) ?? []
  const [from, to, total] = [Number(first), Number(last) + 1, Number(size)]
  const isOrdered = first !== '' && from < to && to <= total
  if (!isOrdered || (length !== undefined && length !== to - from)) {
    throw violated(
      'http.bad_request',
      '',
      'content-range',
      'Content-Range 应为 bytes 首-末/总长，且与 Content-Length 一致',
      'Content-Range must be bytes first-last/size and agree with Content-Length',
    )
  }
  return { mediaType, from, to, total }
}

const readLength = (text: string | undefined): number | undefined =>
  text !== undefined && /^\d{1,15}$/.test(text) ? Number(text) : undefined

const badLength = (): HubError =>
  violated(
    'http.bad_request',
    '',
    'content-length',
    '需要 Content-Length（大于 0），或带总长的 Content-Range',
    'Content-Length above 0 is required, or Content-Range with the size',
  )

/** First and last byte that a download asks for. */
interface AskedRange {
  readonly first: number
  readonly last: number
}

/**
 * The one range that `Range` asks for (RFC 9110 §14.2), undefined for the whole: where there is none, several, or
 * another unit. Throws `http.range_not_satisfiable`.
 */
export function askedRange(range: string | undefined, size: number): AskedRange | undefined {
  const [, first = '', last = ''] = /^bytes=(\d{0,15})-(\d{0,15})$/.exec(range ?? '') ?? []
  if (first === '' && last === '') return undefined
  const from = first === '' ? Math.max(0, size - Number(last)) : Number(first)
  const to = first === '' || last === '' ? size - 1 : Math.min(Number(last), size - 1)
  // RFC 9110 §14.1.1: a range whose last byte is before its first is no range at all.
  if (first !== '' && last !== '' && Number(last) < Number(first)) return undefined
  if (from >= size) {
    throw violated('http.range_not_satisfiable', '', 'range', `共 ${size} 字节`, `there are ${size} bytes`)
  }
  return { first: from, last: to }
}
