import { HubError } from '#kernel/errors.ts'
import { isMacOf, SIGN_METHODS, type SignedParts } from '#trust/mac.ts'
import { PLAIN_HEADERS, type PlainRequest } from './prove-plain.ts'

/**
 * The request as it arrived, in the form of message/http (RFC 9112 §10.1), with the address that it came from: with the
 * secret of its AppKey its MAC can be made again.
 */
export function writeEvidence({ path, headers, source, body }: PlainRequest): Buffer {
  const lines = [
    `POST ${path} HTTP/1.1`,
    ...PLAIN_HEADERS.map((name) => `${name}: ${headers[name]}`),
    `x-source: ${source}`,
    `content-length: ${body.length}`,
  ]
  return Buffer.concat([Buffer.from(`${lines.join('\r\n')}\r\n\r\n`, 'latin1'), body])
}

/** Whether the MAC of kept evidence is that of its bytes under this secret. Throws `hub.internal` for what is none. */
export function isEvidenceSound(evidence: Buffer, secret: string): boolean {
  const end = evidence.indexOf('\r\n\r\n')
  const [request = '', ...lines] = evidence.subarray(0, Math.max(end, 0)).toString('latin1').split('\r\n')
  const path = /^POST (\S+) HTTP\/1\.1$/.exec(request)?.[1]
  const headers = new Map(lines.map((line) => [line.slice(0, line.indexOf(':')), line.slice(line.indexOf(':') + 2)]))
  const method = SIGN_METHODS.find((one) => one === headers.get('x-sign-method'))
  if (path === undefined || method === undefined) throw new HubError('hub.internal')
  const signed: SignedParts = {
    method,
    path,
    appKey: headers.get('x-app-key') ?? '',
    timestamp: headers.get('x-timestamp') ?? '',
    nonce: headers.get('x-nonce') ?? '',
    requestId: headers.get('x-request-id') ?? '',
    body: evidence.subarray(end + 4),
  }
  return isMacOf(headers.get('x-sign') ?? '', secret, signed)
}
