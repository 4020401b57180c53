import { generateKeyPairSync } from 'node:crypto'
import { mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { CompactEncrypt, compactDecrypt, decodeProtectedHeader } from 'jose'
import { afterAll, beforeAll, expect, test } from 'vitest'
import type { JsonObject } from '#kernel/json.ts'
import { importEncryptionJwk, openDecryptionKeys } from '#trust/encryption-keys.ts'
import { decryptWith, encryptFor, isEncrypted } from '#trust/jwe.ts'
import { generateKeyPair } from '#trust/keys.ts'

let directory = ''
beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), 'dianqiao-enc-'))
})
afterAll(() => rmSync(directory, { recursive: true, force: true }))

const TOKEN = 'eyJhbGciOiJFUzI1NiJ9.eyJzdWIiOiJ4In0.c2ln'
const jwkOf = (curve: string): JsonObject =>
  generateKeyPairSync('ec', { namedCurve: curve }).publicKey.export({ format: 'jwk' }) as JsonObject

test('what is wrapped for a key opens with its private half alone, and names nothing but the key', async () => {
  const own = openDecryptionKeys(join(directory, 'own.json'), true)
  const other = openDecryptionKeys(join(directory, 'other.json'), true)
  const wrapped = encryptFor(own.current, Buffer.from(TOKEN))
  expect([isEncrypted(wrapped), isEncrypted(TOKEN)]).toEqual([true, false])
  expect(await decryptWith(own, wrapped)).toBe(TOKEN)
  await expect(decryptWith(other, wrapped)).rejects.toMatchObject({ code: 'token.encryption_invalid' })
  expect(Object.keys(decodeProtectedHeader(wrapped)).toSorted()).toEqual(['alg', 'cty', 'enc', 'epk', 'kid', 'typ'])
})

test('a library opens what is wrapped here, and what a library wraps opens here in each form', async () => {
  const own = openDecryptionKeys(join(directory, 'own.json'), true)
  const { kid, key } = own.current
  const privateKey = own.privateKey(kid)
  if (privateKey === undefined) throw new Error('no private half')
  const { plaintext } = await compactDecrypt(encryptFor(own.current, Buffer.from(TOKEN)), privateKey)
  expect(Buffer.from(plaintext).toString()).toBe(TOKEN)
  const wrap = (header: JsonObject) =>
    new CompactEncrypt(Buffer.from(TOKEN)).setProtectedHeader({ alg: 'ECDH-ES', enc: 'A256GCM', kid, ...header })
  const forms = [
    wrap({}),
    wrap({ typ: 'JWE', cty: 'JWT' }),
    wrap({ alg: 'ECDH-ES+A256KW', typ: 'JWE', cty: 'JWT' }),
    wrap({ typ: 'JWE', cty: 'JWT' }).setKeyManagementParameters({ apu: Buffer.from('hub'), apv: Buffer.from('east') }),
  ]
  for (const form of forms) expect(await decryptWith(own, await form.encrypt(key))).toBe(TOKEN)
})

test('changed bytes and bent headers open nothing', async () => {
  const own = openDecryptionKeys(join(directory, 'own.json'), true)
  const [header = '', , iv = '', sealed = '', tag = ''] = encryptFor(own.current, Buffer.from(TOKEN)).split('.')
  const members = decodeProtectedHeader(`${header}....`) as JsonObject
  const bent = (changes: JsonObject): string =>
    Buffer.from(JSON.stringify({ ...members, ...changes })).toString('base64url')
  const epk = members['epk'] as JsonObject
  const flipped = (text: string): string => (text.startsWith('A') ? 'B' : 'A') + text.slice(1)
  const wrongs = [
    [header, '', flipped(iv), sealed, tag],
    [header, '', iv, flipped(sealed), tag],
    [header, '', iv, sealed, flipped(tag)],
    [header, '', iv, sealed, tag.slice(0, -4)],
    [header, '', iv.slice(0, -4), sealed, tag],
    [header, 'AAAA', iv, sealed, tag],
    [bent({ alg: 'dir' }), '', iv, sealed, tag],
    [bent({ enc: 'A128GCM' }), '', iv, sealed, tag],
    [bent({ zip: 'DEF' }), '', iv, sealed, tag],
    [bent({ crit: ['x'], x: 1 }), '', iv, sealed, tag],
    [bent({ kid: 'another' }), '', iv, sealed, tag],
    [bent({ epk: { ...epk, y: epk['x'] ?? '' } }), '', iv, sealed, tag],
    [bent({ epk: jwkOf('P-384') }), '', iv, sealed, tag],
    [bent({ epk: 'text' }), '', iv, sealed, tag],
    [bent({ typ: 'jwe' }), '', iv, sealed, tag],
    [Buffer.from('[]').toString('base64url'), '', iv, sealed, tag],
    ['e30', '', iv, sealed, tag],
  ]
  for (const parts of wrongs) {
    await expect(decryptWith(own, parts.join('.')), parts[0]).rejects.toMatchObject({
      code: 'token.encryption_invalid',
    })
  }
})

test('the file is made once for its owner alone; one that is missing or no key file is refused', () => {
  const file = join(directory, 'made.json')
  expect(openDecryptionKeys(file, true).current.kid).toBe(openDecryptionKeys(file, true).current.kid)
  expect(statSync(file).mode & 0o777).toBe(0o600)
  expect(() => openDecryptionKeys(join(directory, 'none.json'), false)).toThrow(/does not exist/)
  for (const content of [
    '{',
    '{}',
    '{"format":"dianqiao-encryption-keys@1","keys":[]}',
    '{"format":"dianqiao-encryption-keys@1","keys":[{"kty":"EC","d":"c2VjcmV0"}]}',
  ]) {
    writeFileSync(join(directory, 'bad.json'), content, { mode: 0o600 })
    expect(() => openDecryptionKeys(join(directory, 'bad.json'), false)).toThrow(/config.invalid/)
  }
})

test('an encryption key is a public P-256 key that says nothing else', () => {
  const jwk = jwkOf('P-256')
  expect(importEncryptionJwk(jwk).jwk).toMatchObject({ use: 'enc', alg: 'ECDH-ES', x: jwk['x'] })
  expect(importEncryptionJwk({ ...jwk, use: 'enc', alg: 'ECDH-ES+A256KW' }).kid).toBe(importEncryptionJwk(jwk).kid)
  const { privateJwk } = generateKeyPair('ES256')
  for (const wrong of [
    jwkOf('P-384'),
    { ...jwk, use: 'sig' },
    { ...jwk, alg: 'ES256' },
    { ...jwk, y: jwk['x'] ?? '' },
    { ...jwk, kid: 'mine' },
    privateJwk,
    'text',
  ]) {
    expect(() => importEncryptionJwk(wrong)).toThrow(expect.objectContaining({ code: 'key.refused' }))
  }
})
