import { createSecretKey } from 'node:crypto'
import { expect, test } from 'vitest'
import { canonicalJson, keyedDigest, sha256Digest } from '#kernel/canonical.ts'

test('canonical JSON sorts members by UTF-16 code units, as RFC 8785 §3.2.3 shows', () => {
  const value = {
    '\u20ac': 'Euro Sign',
    '\r': 'Carriage Return',
    '\ufb33': 'Hebrew',
    '1': 'One',
    '\ud83d\ude00': 'Smiley',
    '\u0080': 'Control',
    '\u00f6': 'Latin',
  }
  expect(canonicalJson(value)).toBe(
    '{"\\r":"Carriage Return","1":"One","\u0080":"Control","\u00f6":"Latin","\u20ac":"Euro Sign",' +
      '"\ud83d\ude00":"Smiley","\ufb33":"Hebrew"}',
  )
})

test('canonical JSON spells numbers and literals as RFC 8785 §3.2.2 shows', () => {
  expect(canonicalJson([Number('333333333.33333329'), 1e30, 4.5, 2e-3, 1e-27, null, true, false])).toBe(
    '[333333333.3333333,1e+30,4.5,0.002,1e-27,null,true,false]',
  )
  expect(canonicalJson([-0, 0])).toBe('[0,0]')
})

test('the order in which members were written does not change the digest, any value does', () => {
  const key = createSecretKey(Buffer.alloc(32, 1))
  const digest = (value: Parameters<typeof canonicalJson>[0]): string => keyedDigest(key, canonicalJson(value))
  expect(digest({ a: 1, b: [2, { c: 3, d: 4 }] })).toBe(digest({ b: [2, { d: 4, c: 3 }], a: 1 }))
  expect(digest({ a: 1, b: [2] })).not.toBe(digest({ a: 1, b: [3] }))
  expect(keyedDigest(createSecretKey(Buffer.alloc(32, 2)), '{}')).not.toBe(keyedDigest(key, '{}'))
})

test('a plain digest is the SHA-256 of the UTF-8 bytes, base64url, with its name in front', () => {
  expect(sha256Digest('abc')).toBe('sha-256:ungWv48Bz-pBQUDeXa4iI7ADYaOWF3qctBD_YfIAFa0')
})
