import { constants, type KeyObject, sign } from 'node:crypto'
import { base64url, type Entry, forge, type Keys, signEd25519, signEs256, signPs256, signPss, type TestKey } from './forge.ts'

/** Signatures that are wrong, or right in a form that the wire does not take. */
export function hostileSignatures(keys: Keys): Entry[] {
  return [...swapped(keys), ...ecdsa(keys.es256, keys.stranger), ...ed25519(keys.ed25519), ...rsa(keys.ps256)]
}

type Change = (signingInput: string, key: KeyObject) => Buffer

const invalid = (key: TestKey, changes: Record<string, Change>): Entry[] =>
  Object.entries(changes).map(([name, signature]) => ({
    name,
    expected: 'token.signature_invalid',
    token: forge(key, { signature }),
  }))

function swapped({ ed25519: key, es256, ps256 }: Keys): Entry[] {
  const [header = '', payload = '', signature = ''] = forge(key).split('.')
  const [, otherPayload = '', otherSignature = ''] = forge(key, { claims: { jti: 'another-exchange' } }).split('.')
  const cty = base64url(JSON.stringify({ alg: key.alg, kid: key.kid, typ: 'exchange+jwt', cty: 'json' }))
  const tokens: Record<string, string> = {
    'signature of another payload': `${header}.${payload}.${otherSignature}`,
    'payload of another signature': `${header}.${otherPayload}.${signature}`,
    'header changed after signing': `${cty}.${payload}.${signature}`,
    'signature of one byte': `${header}.${payload}.AA`,
    'the text "signature"': `${header}.${payload}.${base64url('signature')}`,
  }
  return [
    ...Object.entries(tokens).map(([name, token]) => ({ name, expected: 'token.signature_invalid', token })),
    ...[es256, key, ps256].map((each) => ({ name: `good ${each.alg}`, expected: 'accepted', token: forge(each) })),
  ]
}

/** Order of P-256 (SEC 2 §2.4.2). */
const N = 0xffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551n

const bytes32 = (value: bigint): Buffer => Buffer.from(value.toString(16).padStart(64, '0'), 'hex')
const rs = (r: bigint, s: bigint): Buffer => Buffer.concat([bytes32(r), bytes32(s)])
const number = (bytes: Buffer): bigint => BigInt(`0x${bytes.toString('hex')}`)

function ecdsa(key: TestKey, stranger: TestKey): Entry[] {
  const changed =
    (change: (signature: Buffer) => Buffer): Change =>
    (input, privateKey) =>
      change(signEs256(input, privateKey))
  const parts = (change: (r: bigint, s: bigint) => Buffer): Change =>
    changed((signature) => change(number(signature.subarray(0, 32)), number(signature.subarray(32))))
  return [
    ...invalid(key, {
      'ES256 in DER': (input, privateKey) => sign('sha256', Buffer.from(input), privateKey),
      'ES256 all zeros': () => Buffer.alloc(64),
      'ES256 all 0xff': () => Buffer.alloc(64, 0xff),
      'ES256 with r = 0': parts((_, s) => rs(0n, s)),
      'ES256 with s = 0': parts((r) => rs(r, 0n)),
      'ES256 with r = n': parts((_, s) => rs(N, s)),
      'ES256 with s = n': parts((r) => rs(r, N)),
      'ES256 with r = s = 1': () => rs(1n, 1n),
      'ES256 with r = n and s = 0': () => rs(N, 0n),
      'ES256 with r and s exchanged': parts((r, s) => rs(s, r)),
      'ES256 cut to 63 bytes': changed((signature) => signature.subarray(0, 63)),
      'ES256 cut to 32 bytes': changed((signature) => signature.subarray(0, 32)),
      'ES256 with a byte behind it': changed((signature) => Buffer.concat([signature, Buffer.alloc(1)])),
      'ES256 padded to 96 bytes, as for P-384': parts((r, s) =>
        Buffer.concat([Buffer.alloc(16), bytes32(r), Buffer.alloc(16), bytes32(s)]),
      ),
      'ES256 with one bit flipped': changed((signature) => flipBit(signature)),
      'ES256 over SHA-512': (input, privateKey) =>
        sign('sha512', Buffer.from(input), { key: privateKey, dsaEncoding: 'ieee-p1363' }),
      'ES256 over the payload alone': (input, privateKey) => signEs256(input.split('.')[1] ?? '', privateKey),
      'ES256 over the decoded payload': (input, privateKey) =>
        signEs256(Buffer.from(input.split('.')[1] ?? '', 'base64url').toString(), privateKey),
    }),
    {
      name: 'ES256 with n − s in place of s: why a token text is no replay key',
      expected: 'accepted',
      token: forge(key, { signature: parts((r, s) => rs(r, N - s)) }),
    },
    {
      name: "ES256 by another party's key under this kid",
      expected: 'token.signature_invalid',
      token: forge(stranger, { header: { kid: key.kid }, claims: { iss: key.party } }),
    },
  ]
}

/** Order of the base point of edwards25519 (RFC 8032 §5.1). */
const L = 2n ** 252n + 27742317777372353535851937790883648493n

function ed25519(key: TestKey): Entry[] {
  const changed =
    (change: (signature: Buffer) => Buffer): Change =>
    (input, privateKey) =>
      change(signEd25519(input, privateKey))
  const identity = Buffer.alloc(64)
  identity[0] = 1
  return invalid(key, {
    'Ed25519 all zeros': () => Buffer.alloc(64),
    'Ed25519 with R the neutral point and S = 0': () => identity,
    'Ed25519 cut to 63 bytes': changed((signature) => signature.subarray(0, 63)),
    'Ed25519 with a byte behind it': changed((signature) => Buffer.concat([signature, Buffer.alloc(1)])),
    'Ed25519 twice': changed((signature) => Buffer.concat([signature, signature])),
    'Ed25519 of 114 bytes, as for Ed448': changed((signature) => Buffer.concat([signature, Buffer.alloc(50)])),
    'Ed25519 with S + L': changed((signature) => {
      const scalar = number(Buffer.from(signature.subarray(32)).reverse()) + L
      return Buffer.concat([signature.subarray(0, 32), bytes32(scalar).reverse()])
    }),
    'Ed25519 with one bit flipped': changed((signature) => flipBit(signature)),
    'Ed25519 over the payload alone': (input, privateKey) => signEd25519(input.split('.')[1] ?? '', privateKey),
  })
}

function rsa(key: TestKey): Entry[] {
  return invalid(key, {
    'PS256 signed as RS256': (input, privateKey) => sign('sha256', Buffer.from(input), privateKey),
    'PS256 without salt': (input, privateKey) => signPss(input, privateKey, 'sha256', 0),
    'PS256 with a salt of 20 bytes': (input, privateKey) => signPss(input, privateKey, 'sha256', 20),
    'PS256 with the longest salt': (input, privateKey) =>
      signPss(input, privateKey, 'sha256', constants.RSA_PSS_SALTLEN_MAX_SIGN),
    'PS256 over SHA-512': (input, privateKey) => signPss(input, privateKey, 'sha512', 64),
    'PS256 cut by a byte': (input, privateKey) => signPs256(input, privateKey).subarray(1),
    'PS256 with a zero byte before it': (input, privateKey) =>
      Buffer.concat([Buffer.alloc(1), signPs256(input, privateKey)]),
    'PS256 all zeros': () => Buffer.alloc(384),
    'PS256 with one bit flipped': (input, privateKey) => flipBit(signPs256(input, privateKey)),
  })
}

function flipBit(signature: Buffer): Buffer {
  const changed = Buffer.from(signature)
  changed[10] = (changed[10] ?? 0) ^ 0x01
  return changed
}
