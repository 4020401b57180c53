import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { createAjv } from '#contracts/ajv.ts'
import { compat } from '#contracts/compat/compare.ts'
import { COMPATIBILITY_MODES } from '#contracts/compat/verdict.ts'
import type { Json, JsonObject } from '#kernel/json.ts'
import { BREAKING, PLAINLY_ALLOWED } from './changes.ts'
import { editedPair, instance, randomSchema } from './random-schemas.ts'

const accepts = (schema: JsonObject): ((value: Json) => boolean) => {
  const judge = createAjv({ allErrors: false, lenient: true }).compile(structuredClone(schema))
  return (value) => judge(value) === true
}

describe('a change between two schemas', () => {
  test('is proved for at least 95 in 100 of the plainly allowed ones', () => {
    const missed = PLAINLY_ALLOWED.filter(({ old, next, mode }) => compat(old, next, mode).verdict !== 'compatible')
    expect(missed.map(({ name, mode }) => `${mode}: ${name}`)).toEqual([])
  })

  test.each(BREAKING)('$name is told with an instance that breaks', ({ old, next, mode, pointer, rule }) => {
    const { verdict, changes } = compat(old, next, mode)
    expect(verdict).toBe('incompatible')
    const change = changes.find((one) => one.pointer === pointer && one.rule === rule)
    expect(changes.map((one) => `${one.rule} ${one.pointer}`)).toContain(`${rule} ${pointer}`)
    expect(change?.direction).toBe(mode)
    expect(change?.breaks).toBe(mode === 'backward' ? 'senders' : 'recipients')
    const [narrow, wide] = mode === 'backward' ? [old, next] : [next, old]
    expect(accepts(narrow)(change?.counterexample as Json)).toBe(true)
    expect(accepts(wide)(change?.counterexample as Json)).toBe(false)
    for (const text of [change?.why.zh, change?.why.en, change?.fix.zh, change?.fix.en]) expect(text).not.toBe('')
  })

  test('full looks both ways, transitive at every earlier version', () => {
    const versions = [
      { type: 'string', maxLength: 5 },
      { type: 'string', maxLength: 9 },
    ]
    const next = { type: 'string', maxLength: 9 }
    expect(compat(versions, next, 'full').verdict).toBe('compatible')
    const { verdict, changes } = compat(versions, next, 'transitive')
    expect(verdict).toBe('incompatible')
    expect(changes).toMatchObject([{ direction: 'forward', rule: 'maxLength', version: 0 }])
  })

  test('an undeclared member of an open object counts only when the caller is strict', () => {
    const [old, next] = [{ type: 'object' }, { type: 'object', properties: { a: { type: 'string' } } }]
    expect(compat(old, next, 'backward').verdict).toBe('compatible')
    expect(compat(old, next, 'backward', { strict: true }).verdict).toBe('incompatible')
    const demanded = { type: 'object', required: ['a'] }
    expect(compat(demanded, { ...demanded, properties: { a: { type: 'string' } } }, 'backward').verdict).toBe(
      'incompatible',
    )
  })

  test('what it does not look into is unproven and says so', () => {
    const old = { type: 'array', prefixItems: [{ type: 'string' }] }
    const next = { type: 'array', prefixItems: [{ type: ['string', 'null'] }] }
    const { verdict, changes } = compat(old, next, 'backward')
    expect(verdict).toBe('unproven')
    expect(changes).toMatchObject([{ rule: 'unjudged', pointer: '/prefixItems', verdict: 'unproven' }])
    expect(changes[0]?.why.en).toContain('treated as incompatible')
    expect(compat(old, structuredClone(old), 'full').verdict).toBe('compatible')
  })

  test('references out of the document, or round in a circle, are no proof', () => {
    expect(compat({}, { $ref: 'https://example.invalid/x' }, 'backward').verdict).toBe('unproven')
    const circle = { $ref: '#/$defs/a', $defs: { a: { $ref: '#/$defs/b' }, b: { $ref: '#/$defs/a' } } }
    expect(compat({ type: 'string' }, circle, 'backward').verdict).not.toBe('compatible')
    expect(compat(circle, { type: 'string' }, 'backward').verdict).not.toBe('compatible')
  })

  test('recursive schemas, wide ones and nested choices end within a second', () => {
    const node = (n: number): JsonObject => ({
      type: 'object',
      properties: Object.fromEntries(
        Array.from({ length: 8 }, (_, i) => [`p${i}`, { $ref: `#/$defs/d${(n * 3 + i) % 24}` }]),
      ),
      anyOf: [{ maxProperties: 0 }, ...Array.from({ length: 4 }, (_, i) => ({ required: [`p${i}`] }))],
    })
    const defs = (change: JsonObject): JsonObject => ({
      ...Object.fromEntries(Array.from({ length: 24 }, (_, n) => [`d${n}`, node(n)])),
      d7: { ...node(7), ...change },
    })
    const old = { $ref: '#/$defs/d0', $defs: defs({}) }
    const next = { $ref: '#/$defs/d0', $defs: defs({ required: ['p7'] }) }
    // CPU time: a busy machine must not decide.
    const began = process.cpuUsage()
    const { verdict } = compat(old, next, 'full')
    const { user, system } = process.cpuUsage(began)
    expect((user + system) / 1_000).toBeLessThan(1_000)
    expect(verdict).toBe('incompatible')
  })
})

describe('for random schemas', () => {
  const RUNS = { numRuns: 150 }

  test('every schema follows itself, in every mode and with other annotations', () => {
    fc.assert(
      fc.property(randomSchema, fc.constantFrom(...COMPATIBILITY_MODES), (schema, mode) => {
        const annotated = {
          ...structuredClone(schema),
          title: '标题',
          description: 'other words',
          'x-en': { title: 't' },
        }
        expect(compat(schema, annotated, mode, { strict: true }).verdict).toBe('compatible')
      }),
      RUNS,
    )
  })

  test('forward is backward the other way round', () => {
    fc.assert(
      fc.property(editedPair, ([old, next]) => {
        const forward = compat(old, next, 'forward')
        const mirrored = compat(next, old, 'backward')
        expect(forward.verdict).toBe(mirrored.verdict)
        expect(forward.changes.map((one) => one.pointer)).toEqual(mirrored.changes.map((one) => one.pointer))
      }),
      RUNS,
    )
  })

  test('compatible is never said when an instance breaks, and each counterexample breaks', () => {
    const values = fc.array(instance, { minLength: 30, maxLength: 30 })
    fc.assert(
      fc.property(fc.oneof(editedPair, fc.tuple(randomSchema, randomSchema)), values, ([old, next], some) => {
        const { verdict, changes } = compat(old, next, 'backward', { strict: true })
        const [wasValid, isValid] = [accepts(old), accepts(next)]
        if (verdict === 'compatible') expect(some.filter((value) => wasValid(value) && !isValid(value))).toEqual([])
        for (const { counterexample } of changes) {
          if (counterexample === undefined) continue
          expect(wasValid(counterexample)).toBe(true)
          expect(isValid(counterexample)).toBe(false)
        }
      }),
      RUNS,
    )
  })
})
