import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { sha256Digest } from '#kernel/canonical.ts'
import { decodeBase64Url, parseCompact } from '#trust/compact.ts'
import { codeOf, corpus, judge, readVector } from './corpus.ts'

const { token } = readVector<{ token: string }>('exchange+jwt')

describe('the strict parse', () => {
  it('gives the bytes that were signed, the signature and the digest of the text', () => {
    const parsed = parseCompact(token, token.length)
    const [header, payload, signature] = token.split('.')
    expect(parsed.signingInput).toBe(`${header}.${payload}`)
    expect(parsed.signature.toString('base64url')).toBe(signature)
    expect(parsed.digest).toBe(sha256Digest(token))
    expect(parsed.text).toBe(token)
  })

  it('takes a token of exactly the cap and refuses one byte more', () => {
    expect(codeOf(() => parseCompact(token, token.length))).toBe('accepted')
    expect(codeOf(() => parseCompact(token, token.length - 1))).toBe('token.too_large')
  })

  it('looks at the size before anything else', () => {
    expect(codeOf(() => parseCompact('字'.repeat(100), 99))).toBe('token.too_large')
  })

  it('does not show the header parameter cty', () => {
    const tolerated = corpus.entries.find(({ name }) => name === 'cty is tolerated')
    expect(Object.keys(parseCompact(tolerated?.token ?? '', corpus.maxBytes).header)).toEqual(['alg', 'kid', 'typ'])
  })

  it('names every forbidden header parameter with its pointer', () => {
    const header = Buffer.from('{"alg":"none","jku":"x","x/y":1}').toString('base64url')
    expect(() => parseCompact(`${header}.e30.AA`, 1000)).toThrow(
      expect.objectContaining({
        code: 'token.header_forbidden',
        violations: [expect.objectContaining({ pointer: '/jku' }), expect.objectContaining({ pointer: '/x~1y' })],
      }),
    )
  })

  it('is linear on long hostile text', () => {
    const started = performance.now()
    for (const text of ['a'.repeat(4_000_000), `${'a.'.repeat(2_000_000)}`, `a.a.${'a'.repeat(4_000_000)}!`]) {
      expect(codeOf(() => parseCompact(text, 10_000_000))).toBe('token.malformed')
    }
    expect(performance.now() - started).toBeLessThan(2_000)
  })
})

describe('canonical base64url', () => {
  it('decodes what Buffer writes, for every length', () => {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 1, maxLength: 70 }), (bytes) => {
        expect(decodeBase64Url(Buffer.from(bytes).toString('base64url')).equals(bytes)).toBe(true)
      }),
    )
  })

  it('gives every byte string one spelling only', () => {
    fc.assert(
      fc.property(fc.stringMatching(/^[A-Za-z0-9_-]{1,12}$/), (text) => {
        const canonical = Buffer.from(text, 'base64url').toString('base64url') === text
        expect(codeOf(() => decodeBase64Url(text))).toBe(canonical ? 'accepted' : 'token.malformed')
      }),
      { numRuns: 2_000 },
    )
  })

  it.each(['', 'AA==', 'A+A/', 'AA\n', 'ＡＡ'])('refuses %j', (text) => {
    expect(codeOf(() => decodeBase64Url(text))).toBe('token.malformed')
  })
})

describe('a good token with one thing changed', () => {
  const good = corpus.entries.filter(({ name }) => name.startsWith('good ')).map((entry) => entry.token)

  it('is never accepted when one character is another', () => {
    const character = fc.oneof(fc.constantFrom(...'AZaz09-_.=+/ \n'), fc.string({ minLength: 1, maxLength: 1 }))
    fc.assert(
      fc.property(fc.constantFrom(...good), fc.nat(), character, (text, place, other) => {
        const at = place % text.length
        fc.pre(text.charAt(at) !== other)
        expect(judge(text.slice(0, at) + other + text.slice(at + 1))).not.toBe('accepted')
      }),
      { numRuns: 1_500 },
    )
  })

  it('is never accepted when it is cut or has something behind it', () => {
    fc.assert(
      fc.property(fc.constantFrom(...good), fc.nat(), fc.string({ minLength: 1 }), (text, place, more) => {
        expect(judge(text.slice(0, place % text.length))).not.toBe('accepted')
        expect(judge(text + more)).not.toBe('accepted')
      }),
      { numRuns: 500 },
    )
  })

  it('answers any text at all with a refusal of ours', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), fc.string({ unit: 'binary' }), (header, payload) => {
        const parts = [header, payload].map((text) => Buffer.from(text).toString('base64url'))
        expect(judge(`${parts.join('.')}.AA`)).toMatch(/^token\./)
        expect(judge(header)).toBe('token.malformed')
      }),
    )
  })
})
