import { compactVerify, jwtVerify } from 'jose'
import { describe, expect, it } from 'vitest'
import { parseCompact } from '#trust/compact.ts'
import { verifySignature } from '#trust/verify.ts'
import { codeOf, corpus, judge, type Registered, register } from './corpus.ts'

/** The key that the token's own header names, read as leniently as can be; else each key is tried. */
function candidates(text: string): Registered[] {
  const [part = ''] = text.split('.')
  const kid = /"kid":"([^"]*)"/.exec(Buffer.from(part, 'base64url').toString())?.[1]
  const named = kid === undefined ? undefined : register.get(kid)
  return named === undefined ? [...register.values()] : [named]
}

const algorithmsOf = (alg: string): string[] => (alg === 'Ed25519' ? ['Ed25519', 'EdDSA'] : [alg])

async function joseVerifies(text: string, { key }: Registered): Promise<boolean> {
  try {
    await compactVerify(text, key.key, { algorithms: algorithmsOf(key.alg) })
    return true
  } catch {
    return false
  }
}

function weVerify(text: string, { key }: Registered): boolean {
  return codeOf(() => verifySignature(parseCompact(text, corpus.maxBytes), key)) === 'accepted'
}

describe('the hostile corpus', () => {
  it('holds at least sixty tokens, each under its own name', () => {
    expect(corpus.entries.length).toBeGreaterThanOrEqual(60)
    expect(new Set(corpus.entries.map(({ name }) => name)).size).toBe(corpus.entries.length)
  })

  it.each(corpus.entries)('$name → $expected', ({ token, expected }) => {
    expect(judge(token)).toBe(expected)
  })
})

describe('agreement with jose', () => {
  it('never verifies a signature that jose refuses', async () => {
    const stricter: string[] = []
    for (const { name, token } of corpus.entries) {
      for (const registered of candidates(token)) {
        const [ours, theirs] = [weVerify(token, registered), await joseVerifies(token, registered)]
        expect(ours && !theirs, name).toBe(false)
        if (theirs && !ours) stricter.push(name)
      }
    }
    // Where only we refuse it is the strict parse, never a signature in the form of the wire.
    expect(stricter).toContain('duplicate member in data')
    expect(
      stricter.filter((name) => corpus.entries.find((entry) => entry.name === name)?.expected === 'accepted'),
    ).toEqual([])
  })

  it('gives the same verdict on every token that passes the strict parse', async () => {
    let compared = 0
    for (const { name, token } of corpus.entries) {
      if (codeOf(() => parseCompact(token, corpus.maxBytes)) !== 'accepted') continue
      for (const registered of candidates(token)) {
        expect(weVerify(token, registered), name).toBe(await joseVerifies(token, registered))
        compared++
      }
    }
    expect(compared).toBeGreaterThan(100)
  })

  it('accepts nothing that jwtVerify with every check on refuses', async () => {
    for (const { name, token, expected } of corpus.entries) {
      if (expected !== 'accepted') continue
      const [registered] = candidates(token)
      if (registered === undefined) throw new TypeError(name)
      const { payload } = await jwtVerify(token, registered.key.key, {
        algorithms: algorithmsOf(registered.key.alg),
        typ: corpus.typ,
        issuer: registered.party,
        audience: corpus.hubId,
        currentDate: new Date(corpus.hubTime * 1000),
        clockTolerance: 30,
        requiredClaims: ['exp', 'iat', 'jti'],
      })
      expect(payload.iss, name).toBe(registered.party)
    }
  })
})
