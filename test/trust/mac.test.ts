import { execFileSync, spawnSync } from 'node:child_process'
import { createHmac } from 'node:crypto'
import { describe, expect, test } from 'vitest'
import { appKeySecret, isMacOf, macOf, type SignedParts, stringToSign } from '#trust/mac.ts'
import { readVector } from './corpus.ts'

interface Vector extends Omit<SignedParts, 'body'> {
  readonly secret: string
  readonly body: string
  readonly bodyDigest: string
  readonly stringToSign: string
  readonly sign: string
}

const { vectors } = readVector<{ vectors: readonly Vector[] }>('plain-sign')

const OPENSSL = 'openssl'
const hasOpenssl = spawnSync(OPENSSL, ['version']).status === 0

describe.each(vectors)('the published MAC by $method', (vector) => {
  const parts: SignedParts = { ...vector, body: Buffer.from(vector.body) }

  test('is made by the hub, step by step', () => {
    expect(stringToSign(parts)).toBe(vector.stringToSign)
    expect(vector.stringToSign.split('\n').at(-1)).toBe(vector.bodyDigest)
    expect(macOf(vector.secret, parts)).toBe(vector.sign)
    expect(isMacOf(vector.sign, vector.secret, parts)).toBe(true)
  })

  test.skipIf(!hasOpenssl)('is made by OpenSSL (needs openssl on the PATH)', () => {
    const hash = vector.method === 'HMAC-SM3' ? 'sm3' : 'sha256'
    const args = ['dgst', `-${hash}`, '-hmac', vector.secret]
    const told = execFileSync(OPENSSL, args, { input: vector.stringToSign, encoding: 'utf8' })
    expect(told.trim().split(' ').at(-1)).toBe(vector.sign)
  })

  test.each([
    ['in capitals', (sign: string) => sign.toUpperCase()],
    ['cut', (sign: string) => sign.slice(0, 32)],
    ['longer', (sign: string) => `${sign}00`],
    ['empty', () => ''],
    ['of another key', (_: string) => macOf('another', parts)],
    ['of the bare hash', () => createHmac('sha256', '').update(vector.stringToSign).digest('hex')],
  ])('%s is another one', (_name, change) => {
    expect(isMacOf(change(vector.sign), vector.secret, parts)).toBe(false)
  })

  test.each(['path', 'appKey', 'timestamp', 'nonce', 'requestId'] as const)('covers %s', (part) => {
    expect(isMacOf(vector.sign, vector.secret, { ...parts, [part]: `${parts[part]}x` })).toBe(false)
  })
})

test('no part can be moved into its neighbour: none holds a line end', () => {
  const [first] = vectors
  for (const { stringToSign: text } of vectors) expect(text.split('\n')).toHaveLength(8)
  expect(first?.method).toBe('HMAC-SHA256')
})

test('secrets differ by AppKey and by hub, and have 256 bits', () => {
  const key = Buffer.alloc(32, 1)
  const secret = appKeySecret(key, 'ak-1')
  expect(Buffer.from(secret, 'base64url')).toHaveLength(32)
  expect(appKeySecret(key, 'ak-1')).toBe(secret)
  expect(appKeySecret(key, 'ak-2')).not.toBe(secret)
  expect(appKeySecret(Buffer.alloc(32, 2), 'ak-1')).not.toBe(secret)
})
