import { createPublicKey, generateKeyPairSync, hash, type KeyObject } from 'node:crypto'
import { canonicalJson } from '#kernel/canonical.ts'
import { asHubError, HubError, violated } from '#kernel/errors.ts'
import { isJsonObject, type Json, type JsonObject } from '#kernel/json.ts'
import { decodeBase64Url } from './compact.ts'
import { isSoundEd25519Point } from './ed25519-point.ts'
import { hasRocaFingerprint } from './rsa-modulus.ts'

export type Algorithm = 'ES256' | 'Ed25519' | 'PS256'

export interface PublicKey {
  /** RFC 7638 thumbprint, SHA-256, base64url. */
  readonly kid: string
  readonly alg: Algorithm
  readonly key: KeyObject
  /** The public members with `alg`, `kid` and `use`, as a JWKS shows them. */
  readonly jwk: JsonObject
}

export interface KeyPair {
  readonly privateJwk: JsonObject
  readonly publicJwk: JsonObject
  readonly kid: string
}

/** RFC 7517 §9.3, RFC 7518 §6.2.2 and §6.3.2: what a public key never holds. */
const PRIVATE_MEMBERS = ['d', 'p', 'q', 'dp', 'dq', 'qi', 'oth', 'k', 'priv'] as const
const RSA_MIN_BITS = 3072
/** Above this a single verification costs milliseconds. */
const RSA_MAX_BITS = 8192
const RSA_MAX_EXPONENT_BYTES = 4

/**
 * A public JWK (RFC 7517) made ready for use: P-256, Ed25519, or RSA of 3072 to 8192 bits. Throws key.refused, with
 * one violation, for anything weak, off its curve, private, not canonical, or at odds with its own alg, use or kid.
 */
export function importPublicJwk(jwk: Json): PublicKey {
  if (!isJsonObject(jwk)) throw refused('', 'jwk.object', 'JWK 须为 JSON 对象', 'a JWK is a JSON object')
  for (const name of PRIVATE_MEMBERS) {
    if (Object.hasOwn(jwk, name)) {
      throw refused(
        `/${name}`,
        'jwk.private',
        '只登记公钥，不得提交私钥成员',
        'send the public key only, no private member',
      )
    }
  }
  const { alg, members } = readKeyType(jwk)
  checkIntent(jwk, alg)
  const kid = thumbprint(members)
  if (jwk['kid'] !== undefined && jwk['kid'] !== kid) {
    throw refused('/kid', 'jwk.kid', `kid 须为 RFC 7638 指纹 ${kid}`, `the kid must be the RFC 7638 thumbprint ${kid}`)
  }
  return Object.freeze({ kid, alg, key: openKey(members), jwk: Object.freeze({ ...members, alg, kid, use: 'sig' }) })
}

/** RFC 7638: the digest of the required members alone, in canonical order. */
const thumbprint = (members: JsonObject): string => hash('sha256', canonicalJson(members), 'base64url')

/** A new key pair. The private JWK holds `alg` and `kid` too. RSA is made with 3072 bits and takes a second. */
export function generateKeyPair(alg: Algorithm): KeyPair {
  const { privateKey, publicKey } = generate(alg)
  const { jwk, kid } = importPublicJwk(publicKey.export({ format: 'jwk' }) as JsonObject)
  return { privateJwk: { ...(privateKey.export({ format: 'jwk' }) as JsonObject), alg, kid }, publicJwk: jwk, kid }
}

function generate(alg: Algorithm): { privateKey: KeyObject; publicKey: KeyObject } {
  if (alg === 'ES256') return generateKeyPairSync('ec', { namedCurve: 'P-256' })
  if (alg === 'Ed25519') return generateKeyPairSync('ed25519')
  return generateKeyPairSync('rsa', { modulusLength: RSA_MIN_BITS })
}

interface KeyType {
  readonly alg: Algorithm
  /** The members that the thumbprint covers (RFC 7638 §3.2, RFC 8037 §2). */
  readonly members: JsonObject
}

function readKeyType(jwk: JsonObject): KeyType {
  const { kty, crv } = jwk
  if (kty === 'EC' && crv === 'P-256') {
    return { alg: 'ES256', members: { crv, kty, x: coordinate(jwk, 'x'), y: coordinate(jwk, 'y') } }
  }
  if (kty === 'OKP' && crv === 'Ed25519') {
    const x = coordinate(jwk, 'x')
    if (!isSoundEd25519Point(Buffer.from(x, 'base64url'))) throw offCurve('/x')
    return { alg: 'Ed25519', members: { crv, kty, x } }
  }
  if (kty === 'RSA') return { alg: 'PS256', members: { e: publicExponent(jwk), kty, n: modulus(jwk) } }
  throw refused(
    '/kty',
    'jwk.type',
    '只接受 EC P-256、OKP Ed25519 与 RSA',
    'only EC P-256, OKP Ed25519 and RSA are taken',
  )
}

/** `use`, `key_ops` and `alg`, where a JWK states them, must say that the key is there to verify this algorithm. */
function checkIntent(jwk: JsonObject, alg: Algorithm): void {
  const { alg: stated, use, key_ops: operations } = jwk
  if (stated !== undefined && stated !== alg && !(alg === 'Ed25519' && stated === 'EdDSA')) {
    throw refused('/alg', 'jwk.alg', `此密钥的 alg 须为 ${alg}`, `the alg of this key must be ${alg}`)
  }
  if (use !== undefined && use !== 'sig') {
    throw refused('/use', 'jwk.use', '须为签名密钥（use: sig）', 'it must be a signature key (use: sig)')
  }
  if (
    operations !== undefined &&
    !(Array.isArray(operations) && operations.length === 1 && operations[0] === 'verify')
  ) {
    throw refused('/key_ops', 'jwk.key_ops', 'key_ops 只能为 verify', 'key_ops may only say verify')
  }
}

function coordinate(jwk: JsonObject, name: 'x' | 'y'): string {
  const { text, bytes } = octets(jwk, name)
  if (bytes.length !== 32) {
    throw refused(`/${name}`, 'jwk.length', '坐标须为 32 字节', 'a coordinate is 32 bytes long')
  }
  return text
}

function modulus(jwk: JsonObject): string {
  const { text, bytes } = octets(jwk, 'n')
  const value = unsigned('/n', bytes)
  const bits = value.toString(2).length
  if (bits < RSA_MIN_BITS || bits > RSA_MAX_BITS) {
    const range = `${RSA_MIN_BITS}–${RSA_MAX_BITS}`
    throw refused(
      '/n',
      'rsa.size',
      `RSA 模长 ${bits} 位，须为 ${range}`,
      `an RSA modulus of ${bits} bits, not ${range}`,
    )
  }
  if (value % 2n === 0n) throw refused('/n', 'rsa.even', 'RSA 模数为偶数', 'the RSA modulus is even')
  if (hasRocaFingerprint(value)) {
    throw refused(
      '/n',
      'rsa.roca',
      '密钥带有 ROCA 缺陷（CVE-2017-15361）',
      'the key has the ROCA flaw (CVE-2017-15361)',
    )
  }
  return text
}

function publicExponent(jwk: JsonObject): string {
  const { text, bytes } = octets(jwk, 'e')
  const value = unsigned('/e', bytes)
  if (value < 3n || value % 2n === 0n || bytes.length > RSA_MAX_EXPONENT_BYTES) {
    throw refused('/e', 'rsa.exponent', '公钥指数须为 3 至 2^32 的奇数', 'the public exponent is odd, from 3 to 2^32')
  }
  return text
}

/** Base64urlUInt (RFC 7518 §2): big-endian without leading zero octets, else one key had several thumbprints. */
function unsigned(pointer: string, bytes: Buffer): bigint {
  if (bytes[0] === 0)
    throw refused(pointer, 'jwk.leading_zero', '整数不得有前导零字节', 'an integer has no leading zero')
  return BigInt(`0x${bytes.toString('hex')}`)
}

function octets(jwk: JsonObject, name: string): { text: string; bytes: Buffer } {
  const value = jwk[name]
  if (typeof value !== 'string')
    throw refused(`/${name}`, 'jwk.member', `缺少成员 ${name}`, `the member ${name} is missing`)
  if (value.length > RSA_MAX_BITS / 4) throw refused(`/${name}`, 'jwk.length', '成员过长', 'the member is too long')
  try {
    return { text: value, bytes: decodeBase64Url(value) }
  } catch (cause) {
    const { detail } = asHubError(cause)
    throw refused(`/${name}`, 'jwk.base64url', detail?.zh ?? '', detail?.en ?? '', cause)
  }
}

function openKey(members: JsonObject): KeyObject {
  try {
    return createPublicKey({ key: members, format: 'jwk' })
  } catch (cause) {
    throw offCurve('', cause)
  }
}

const offCurve = (pointer: string, cause?: unknown): HubError =>
  refused(pointer, 'jwk.point', '公钥点不在曲线上或阶过小', 'the point is off the curve or of small order', cause)

function refused(pointer: string, rule: string, zh: string, en: string, cause?: unknown): HubError {
  if (cause === undefined) return violated('key.refused', pointer, rule, zh, en)
  return new HubError('key.refused', {
    violations: [{ pointer, rule, message: { zh, en } }],
    detail: { zh, en },
    cause,
  })
}
