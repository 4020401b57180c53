import fc from 'fast-check'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { withDatabase } from '../support/database.ts'
import { at, ndjson, openTestHub, type TestHub, type TestParty } from '../support/hub.ts'
import { newNumber, result } from './messages.ts'

/** What a fuzzer does to a text: cut, insert, exchange a stretch, repeat it, or turn bits of one character. */
const mutation = fc.record({
  at: fc.double({ min: 0, max: 1, noNaN: true }),
  length: fc.integer({ min: 0, max: 40 }),
  insert: fc.oneof(
    fc.constantFrom(
      '.',
      '..',
      '=',
      '\n',
      '\u0000',
      '"',
      '\\',
      '{',
      '}',
      '[',
      ',',
      ':',
      'e30',
      '__proto__',
      '\ud83d',
      '\ufeff',
    ),
    fc.string({ unit: 'binary', maxLength: 12 }),
    fc.base64String({ maxLength: 16 }),
  ),
})
type Mutation = typeof mutation extends fc.Arbitrary<infer T> ? T : never

function mutate(text: string, mutations: readonly Mutation[]): string {
  return mutations.reduce((changed, { at: place, length, insert }) => {
    const from = Math.floor(place * changed.length)
    return changed.slice(0, from) + insert + changed.slice(from + length)
  }, text)
}

const mutations = fc.array(mutation, { minLength: 1, maxLength: 4 })

withDatabase('the gateway under fuzzing', (databaseUrl) => {
  let hub: TestHub
  let chifeng: TestParty
  beforeAll(async () => {
    hub = await openTestHub(databaseUrl)
    chifeng = hub.party('platform-chifeng')
  })
  afterAll(async () => {
    expect(hub.logged).toEqual([])
    await hub.close()
  })

  /** Signs claims of any shape: what lies behind a good signature is fuzzed too. */
  const signed = (payload: unknown): string => chifeng.signer.sign('exchange+jwt', payload as object)

  test('random bytes are refused, never an error of ours', async () => {
    const bodies = fc.oneof(fc.uint8Array({ maxLength: 2_000 }), fc.string({ unit: 'binary', maxLength: 500 }))
    const paths = fc.constantFrom('/v1/exchanges', '/v1/queries')
    await fc.assert(
      fc.asyncProperty(paths, bodies, async (path, body) => {
        const answer = await hub.post(path, body as string)
        expect([answer.status, answer.json['code']]).toEqual([401, 'token.malformed'])
      }),
      { numRuns: 150 },
    )
  })

  test('a token changed anywhere is refused, or it is still the same token', async () => {
    const token = chifeng.exchange(result(newNumber()))
    await hub.post('/v1/exchanges', token)
    await fc.assert(
      fc.asyncProperty(mutations, async (changes) => {
        const text = mutate(token, changes)
        const answer = await hub.post('/v1/exchanges', text)
        if (text === token) expect(answer.status).toBe(200)
        else expect([401, 413]).toContain(answer.status)
      }),
      { numRuns: 300 },
    )
  })

  test('changed JSON under a good signature is refused or accepted, never an error of ours', async () => {
    const now = Math.floor(Date.now() / 1000)
    await fc.assert(
      fc.asyncProperty(mutations, fc.uuid(), async (changes, jti) => {
        const claims = { iss: chifeng.id, aud: 'dianqiao', iat: now, exp: now + 300, jti, ...result('A-1') }
        const text = mutate(JSON.stringify(claims), changes)
        // A payload that is no JSON is in the hostile corpus; here it is what strict JSON lets through.
        let payload: unknown
        try {
          payload = JSON.parse(text)
        } catch {
          return
        }
        const answer = await hub.post('/v1/exchanges', signed(payload))
        expect(answer.status, text).toBeLessThan(500)
      }),
      { numRuns: 300 },
    )
  })

  test('any JSON in any claim is refused or accepted, never an error of ours', async () => {
    const now = Math.floor(Date.now() / 1000)
    const claim = fc.constantFrom(
      'iss',
      'aud',
      'iat',
      'exp',
      'nbf',
      'jti',
      'contract',
      'sub',
      'data',
      'caseNo',
      'obo',
      'act',
      'supersedes',
      'x',
    )
    const member = fc.constantFrom('affairNo', 'resultState', 'finishedAt', 'handlingUnit', 'fee', 'specialProcedures')
    const value = fc.jsonValue({ stringUnit: 'binary', maxDepth: 3 })
    await fc.assert(
      fc.asyncProperty(fc.uuid(), claim, member, value, value, async (jti, name, inside, one, other) => {
        const message = result('A-1', { [inside]: other as string })
        const claims = { iss: chifeng.id, aud: 'dianqiao', iat: now, exp: now + 300, jti, ...message, [name]: one }
        const answer = await hub.post('/v1/exchanges', signed(claims))
        expect(answer.status, JSON.stringify(claims)).toBeLessThan(500)
      }),
      { numRuns: 400 },
    )
  })

  test('changed NDJSON answers one line for each line, and each honest line is accepted', async () => {
    const lines = fc.array(fc.oneof(fc.constant(undefined), mutations), { minLength: 1, maxLength: 12 })
    await fc.assert(
      fc.asyncProperty(lines, async (kinds) => {
        const given = kinds.map((changes) => {
          const line = JSON.stringify({ token: chifeng.exchange(result(newNumber())) })
          // A line end inside a line would make two of it.
          return changes === undefined ? line : mutate(line, changes).replace(/[\n]/g, ' ')
        })
        const kept = given.map((line, index) => ({ line, index })).filter(({ line }) => /\S/.test(line))
        const answer = await hub.post('/v1/exchanges/batch', given.join('\n'), {
          'content-type': 'application/x-ndjson',
        })
        const answers = ndjson(answer.text)
        expect(answers.at(-1)).toEqual({ end: kept.length })
        for (const [n, { index }] of kept.entries()) {
          const told = answers[n]
          expect(told?.['n']).toBe(n + 1)
          if (kinds[index] === undefined) expect(told?.['receipt']).toBeTypeOf('string')
          else expect(Number(at(told, 'problem', 'status') ?? 200)).toBeLessThan(500)
        }
      }),
      { numRuns: 60 },
    )
  })

  test('any path, method, query and header is answered below 500', async () => {
    const part = fc.oneof(
      fc.constantFrom(
        'v1',
        'exchanges',
        'batch',
        'cases',
        'inbox',
        'contracts',
        'schema',
        'queries',
        '..',
        '%00',
        '%ff',
        '%2f',
        '%',
      ),
      fc.string({ unit: 'binary-ascii', maxLength: 20 }).map((text) => encodeURIComponent(text)),
    )
    const method = fc.constantFrom('GET', 'HEAD', 'POST', 'PUT', 'DELETE', 'OPTIONS', 'PATCH')
    const query = fc.string({ unit: 'binary-ascii', maxLength: 30 }).map((text) => encodeURIComponent(text))
    await fc.assert(
      fc.asyncProperty(fc.array(part, { maxLength: 4 }), method, query, async (parts, verb, search) => {
        const path = `/${parts.join('/')}?limit=${search}`
        const headers = {
          authorization: `Bearer ${chifeng.sign('request+jwt', { htm: verb, htu: `http://hub.test${path}` })}`,
        }
        const answer = await hub.request(path, { method: verb, headers })
        expect(answer.status, `${verb} ${path}`).toBeLessThan(500)
      }),
      { numRuns: 300 },
    )
  })
})
