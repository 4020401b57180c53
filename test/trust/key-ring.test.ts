import { execFile } from 'node:child_process'
import { chmodSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { HubError } from '#kernel/errors.ts'
import { parseCompact } from '#trust/compact.ts'
import { openKeyRing } from '#trust/key-ring.ts'
import { generateKeyPair, importPublicJwk } from '#trust/keys.ts'
import { verifySignature } from '#trust/verify.ts'
import { codeOf } from './corpus.ts'

let directory = ''
let file = ''

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'dianqiao-ring-'))
  file = join(directory, 'keys', 'hub-keys.json')
})

afterEach(() => rmSync(directory, { recursive: true, force: true }))

function refusalOf(act: () => unknown): HubError {
  try {
    act()
  } catch (error) {
    if (error instanceof HubError) return error
    throw error
  }
  throw new TypeError('it was not refused')
}

function writeRing(value: unknown, mode = 0o600): void {
  mkdirSync(join(directory, 'keys'), { recursive: true })
  writeFileSync(file, typeof value === 'string' ? value : JSON.stringify(value), { mode })
}

describe('the hub key ring', () => {
  it('is made once, readable by its owner alone, and is the same at every later start', () => {
    const first = openKeyRing(file, true)
    expect(statSync(file).mode & 0o777).toBe(0o600)
    expect(statSync(join(directory, 'keys')).mode & 0o777).toBe(0o700)
    for (const again of [openKeyRing(file, true), openKeyRing(file, false)]) {
      expect(again.signer.kid).toBe(first.signer.kid)
      expect(again.digestKey.equals(first.digestKey)).toBe(true)
    }
    expect(first.digestKey).toHaveLength(32)
    expect(readdirSync(join(directory, 'keys'))).toEqual(['hub-keys.json'])
  })

  it('signs what its published keys verify, and publishes nothing private', () => {
    const ring = openKeyRing(file, true)
    const { keys } = ring.jwks()
    const [jwk = {}] = keys
    verifySignature(parseCompact(ring.signer.sign('receipt+jwt', { iss: 'hub' }), 4_096), importPublicJwk(jwk))
    expect(ring.publicKeys.map(({ kid }) => kid)).toEqual([ring.signer.kid])
    expect(Object.keys(jwk).sort()).toEqual(['alg', 'crv', 'kid', 'kty', 'use', 'x', 'y'])
  })

  it('keeps publishing older keys and signs with the first', () => {
    const [newer, older] = [generateKeyPair('Ed25519'), generateKeyPair('ES256')]
    const digestKey = Buffer.alloc(32, 1).toString('base64url')
    writeRing({ format: 'dianqiao-key-ring@1', keys: [newer.privateJwk, older.privateJwk], digestKey })
    const ring = openKeyRing(file, false)
    expect(ring.signer.kid).toBe(newer.kid)
    expect(ring.publicKeys.map(({ kid }) => kid)).toEqual([newer.kid, older.kid])
  })

  it('is one ring when eight processes start at once', async () => {
    const url = new URL('../../src/trust/key-ring.ts', import.meta.url).href
    const program = `const { openKeyRing } = await import(${JSON.stringify(url)})
      const ring = openKeyRing(${JSON.stringify(file)}, true)
      console.log(ring.signer.kid, ring.digestKey.toString('hex'))`
    const start = () => promisify(execFile)(process.execPath, ['--input-type=module', '-e', program])
    const outputs = await Promise.all(Array.from({ length: 8 }, start))
    expect(new Set(outputs.map(({ stdout }) => stdout.trim())).size).toBe(1)
    expect(readdirSync(join(directory, 'keys'))).toEqual(['hub-keys.json'])
  })

  it('is not made where it is only to be opened', () => {
    expect(codeOf(() => openKeyRing(file, false))).toBe('config.invalid')
    expect(readdirSync(directory)).toEqual([])
  })

  it.each([0o644, 0o640, 0o602, 0o610])('refuses a file of mode %o with a sentence that names the remedy', (mode) => {
    openKeyRing(file, true)
    chmodSync(file, mode)
    const refusal = refusalOf(() => openKeyRing(file, true))
    expect(refusal.code).toBe('config.invalid')
    expect(refusal.detail?.en).toContain(`chmod 600 ${file}`)
    expect(refusal.detail?.zh).toContain(`chmod 600 ${file}`)
  })

  it('refuses a directory in its place', () => {
    mkdirSync(file, { recursive: true, mode: 0o700 })
    expect(codeOf(() => openKeyRing(file, true))).toBe('config.invalid')
  })

  it.each([
    ['no JSON', '{"format":"dianqiao-key-ring@1","keys":[{"d":"SECRET"'],
    ['another format', { format: 'other', keys: [], digestKey: '' }],
    ['no keys', { format: 'dianqiao-key-ring@1', keys: [], digestKey: Buffer.alloc(32).toString('base64url') }],
    ['keys that are no objects', { format: 'dianqiao-key-ring@1', keys: ['SECRET'], digestKey: '' }],
    ['a short digest key', { format: 'dianqiao-key-ring@1', keys: [], digestKey: 'AAAA' }],
  ])('refuses a file with %s and never replaces it', (_name, content) => {
    writeRing(content)
    const before = readFileSync(file, 'utf8')
    const refusal = refusalOf(() => openKeyRing(file, true))
    expect(refusal.code).toBe('config.invalid')
    expect(`${refusal.stack}${refusal.cause}`).not.toContain('SECRET')
    expect(readFileSync(file, 'utf8')).toBe(before)
  })

  it('refuses an unsound key without quoting it', () => {
    const digestKey = Buffer.alloc(32).toString('base64url')
    writeRing({ format: 'dianqiao-key-ring@1', keys: [{ kty: 'EC', crv: 'P-256', d: 'SECRET' }], digestKey })
    const refusal = refusalOf(() => openKeyRing(file, false))
    expect(refusal.code).toBe('key.refused')
    expect(`${refusal.stack}${refusal.cause}${JSON.stringify(refusal)}`).not.toContain('SECRET')
  })
})
