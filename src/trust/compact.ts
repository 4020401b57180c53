import { isUtf8 } from 'node:buffer'
import { sha256Digest } from '#kernel/canonical.ts'
import { HubError, violated } from '#kernel/errors.ts'
import { isJsonObject, type Json, type JsonObject, parseStrictJson } from '#kernel/json.ts'

/** A compact JWS (RFC 7515 §7.1) that passed the strict parse. Nothing in it is proved yet. */
export interface CompactToken {
  readonly text: string
  readonly header: { readonly alg: string; readonly kid: string; readonly typ: string }
  readonly claims: JsonObject
  /** `header.payload` as it arrived: the bytes that the signature covers. */
  readonly signingInput: string
  readonly signature: Buffer
  /** `sha-256:…` over the token text. */
  readonly digest: string
}

const COMPACT = /^[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+$/
const BASE64URL = /^[A-Za-z0-9_-]+$/
const REQUIRED_HEADER = ['alg', 'kid', 'typ'] as const
const ALLOWED_HEADER: ReadonlySet<string> = new Set([...REQUIRED_HEADER, 'cty'])
/** Longest header value: a kid is 43 characters, so this only keeps megabytes away from maps and logs. */
const MAX_HEADER_VALUE = 128

/** Last characters whose unused low bits are zero (RFC 4648 §3.5), by the length of the part modulo 4. */
const CANONICAL_AFTER_2 = 'AQgw'
const CANONICAL_AFTER_3 = 'AEIMQUYcgkosw048'

/**
 * The strict parse of PROTOCOL, before any cryptography. `maxBytes` caps the text, which is ASCII when it is valid.
 * `admit` sees the header before the payload, which costs far more, is read. Throws token.too_large, token.malformed,
 * token.header_forbidden or what `admit` throws.
 */
export function parseCompact(
  text: string,
  maxBytes: number,
  admit?: (header: CompactToken['header']) => void,
): CompactToken {
  if (text.length > maxBytes) {
    throw violated(
      'token.too_large',
      '',
      'token.size',
      `令牌超过 ${maxBytes} 字节`,
      `the token is over ${maxBytes} bytes`,
    )
  }
  if (!COMPACT.test(text)) {
    throw malformed('token.form', '令牌须为三段 base64url，以点分隔', 'a token is three base64url parts joined by dots')
  }
  const firstDot = text.indexOf('.')
  const lastDot = text.lastIndexOf('.')
  const header = readHeader(parseStrictJson(decodeUtf8(text.slice(0, firstDot))))
  admit?.(header)
  const claims = parseStrictJson(decodeUtf8(text.slice(firstDot + 1, lastDot)))
  if (!isJsonObject(claims)) {
    throw malformed('token.payload', '载荷须为 JSON 对象', 'the payload is not a JSON object')
  }
  const signature = decodeCanonical(text.slice(lastDot + 1))
  return { text, header, claims, signingInput: text.slice(0, lastDot), signature, digest: sha256Digest(text) }
}

/** The bytes of canonical base64url (RFC 4648 §5, no padding), or token.malformed. */
export function decodeBase64Url(part: string): Buffer {
  if (!BASE64URL.test(part)) throw malformed('base64url.alphabet', '不是 base64url', 'not base64url')
  return decodeCanonical(part)
}

/** For a part whose alphabet is known to be right: only its length and its last character can still be wrong. */
function decodeCanonical(part: string): Buffer {
  const rest = part.length % 4
  const last = part.charAt(part.length - 1)
  const canonical =
    rest === 0 || (rest === 2 && CANONICAL_AFTER_2.includes(last)) || (rest === 3 && CANONICAL_AFTER_3.includes(last))
  if (!canonical) {
    throw malformed('base64url.canonical', 'base64url 末字符不规范', 'the last base64url character is not canonical')
  }
  return Buffer.from(part, 'base64url')
}

function decodeUtf8(part: string): string {
  const bytes = decodeCanonical(part)
  if (!isUtf8(bytes)) throw malformed('token.utf8', '不是合法的 UTF-8', 'not valid UTF-8')
  // Unlike TextDecoder, toString keeps a byte order mark, which JSON then refuses.
  return bytes.toString('utf8')
}

function readHeader(header: Json): CompactToken['header'] {
  if (!isJsonObject(header)) throw malformed('header.object', '令牌头须为 JSON 对象', 'the header is not a JSON object')
  const forbidden = Object.keys(header).filter((name) => !ALLOWED_HEADER.has(name))
  if (forbidden.length > 0) {
    throw new HubError('token.header_forbidden', {
      violations: forbidden.slice(0, 8).map((name) => ({
        pointer: `/${name.slice(0, 64).replaceAll('~', '~0').replaceAll('/', '~1')}`,
        rule: 'header.closed',
        message: { zh: '不允许的头参数', en: 'a header parameter that is not allowed' },
      })),
    })
  }
  const { alg, kid, typ, cty } = header
  if (!isHeaderValue(alg)) throw headerMember('alg')
  if (!isHeaderValue(kid)) throw headerMember('kid')
  if (!isHeaderValue(typ)) throw headerMember('typ')
  if (cty !== undefined && !isHeaderValue(cty)) throw headerMember('cty')
  return { alg, kid, typ }
}

const isHeaderValue = (value: Json | undefined): value is string =>
  typeof value === 'string' && value !== '' && value.length <= MAX_HEADER_VALUE

const headerMember = (name: string): HubError =>
  violated(
    'token.malformed',
    `/${name}`,
    'header.member',
    `令牌头 ${name} 须为 1 至 ${MAX_HEADER_VALUE} 个字符的字符串`,
    `the header's ${name} must be a string of 1 to ${MAX_HEADER_VALUE} characters`,
  )

const malformed = (rule: string, zh: string, en: string): HubError => violated('token.malformed', '', rule, zh, en)
