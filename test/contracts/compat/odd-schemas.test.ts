import { expect, test } from 'vitest'
import { compat } from '#contracts/compat/compare.ts'
import type { Json, JsonObject } from '#kernel/json.ts'

/** Each pair with an instance that only the old one takes, though their texts look alike or seem to include it. */
const LOOK_ALIKE: readonly (readonly [name: string, old: JsonObject, next: JsonObject])[] = [
  [
    'unevaluatedProperties beside a choice',
    {
      properties: { a: true },
      oneOf: [{ properties: { b: { const: 1 } }, required: ['b'] }, { maxProperties: 1 }],
      unevaluatedProperties: false,
    },
    { properties: { a: true }, unevaluatedProperties: false },
  ],
  [
    'unevaluatedProperties beside a condition',
    {
      properties: { a: true },
      if: { properties: { b: { const: 1 } }, required: ['b'] },
      unevaluatedProperties: false,
    },
    { properties: { a: true }, unevaluatedProperties: false },
  ],
  [
    'unevaluatedProperties beside a reference',
    {
      $ref: '#/$defs/b',
      anyOf: [{ required: ['a'] }, { required: ['b'] }],
      unevaluatedProperties: false,
      $defs: { b: { properties: { b: true } } },
    },
    { unevaluatedProperties: false },
  ],
  [
    'unevaluatedItems beside a choice',
    {
      prefixItems: [true],
      oneOf: [{ prefixItems: [true, { type: 'string' }], minItems: 2 }, { maxItems: 1 }],
      unevaluatedItems: false,
    },
    { prefixItems: [true], unevaluatedItems: false },
  ],
  [
    'the same anchor on another definition',
    { items: { $ref: '#one' }, $defs: { one: { $anchor: 'one', type: 'string' } } },
    { items: { $ref: '#one' }, $defs: { one: { $anchor: 'one', type: 'integer' } } },
  ],
  [
    'the same dynamic anchor on another definition',
    { items: { $dynamicRef: '#one' }, $defs: { one: { $dynamicAnchor: 'one', type: 'string' } } },
    { items: { $dynamicRef: '#one' }, $defs: { one: { $dynamicAnchor: 'one', type: 'integer' } } },
  ],
  [
    'an embedded resource of the same name',
    { items: { $ref: 'one' }, $defs: { one: { $id: 'one', type: 'string' } } },
    { items: { $ref: 'one' }, $defs: { one: { $id: 'one', type: 'integer' } } },
  ],
  [
    'a reference inside an embedded resource',
    {
      items: { $id: 'https://hub.example/one', $ref: '#/$defs/t', $defs: { t: { type: 'string' } } },
      $defs: { t: { type: 'integer' } },
    },
    { items: { type: 'integer' } },
  ],
  [
    'a reference by the document’s own name',
    {
      $id: 'https://hub.example/one',
      items: { $ref: 'https://hub.example/one#/$defs/t' },
      $defs: { t: { type: 'string' } },
    },
    {
      $id: 'https://hub.example/one',
      items: { $ref: 'https://hub.example/one#/$defs/t' },
      $defs: { t: { type: 'integer' } },
    },
  ],
  ['dependencies on other members', { dependencies: { a: ['b'] } }, { dependencies: { c: ['d'] } }],
]

test.each(LOOK_ALIKE)('%s is not taken for compatible', (_, old, next) => {
  for (const strict of [false, true]) expect(compat(old, next, 'backward', { strict }).verdict).not.toBe('compatible')
})

test.each(LOOK_ALIKE)('%s follows itself', (_, old) => {
  expect(compat(old, structuredClone(old), 'full', { strict: true })).toEqual({ verdict: 'compatible', changes: [] })
})

const NO_SCHEMAS: readonly (readonly [next: JsonObject, pointer: string])[] = [
  [{ minLength: '3' }, '/minLength'],
  [{ items: [{ type: 'string' }] }, '/items'],
  [{ required: 'a' }, '/required'],
  [{ properties: { a: 5 } }, '/properties/a'],
  [{ additionalProperties: 3 }, '/additionalProperties'],
  [{ allOf: [3] }, '/allOf/0'],
  [{ $schema: 'http://json-schema.org/draft-07/schema#' }, '/$schema'],
]

test.each(NO_SCHEMAS)('%j is no schema of 2020-12, and nothing is proved of it', (odd, pointer) => {
  expect(compat({}, odd, 'backward')).toMatchObject({
    verdict: 'unproven',
    changes: [{ rule: 'schema', pointer, direction: 'backward', verdict: 'unproven' }],
  })
  expect(compat(odd, {}, 'backward')).toMatchObject({
    verdict: 'unproven',
    changes: [{ rule: 'other', why: { en: expect.stringContaining(`at ${pointer} `) } }],
  })
})

test('a reference to itself about the same value ends at once and is told', () => {
  const endless: JsonObject = {
    properties: { a: { $ref: '#/$defs/x' } },
    $defs: {
      x: { allOf: [{ $ref: '#/$defs/y' }], items: { type: 'number' } },
      y: { anyOf: [false, { $ref: '#/$defs/x' }] },
    },
  }
  // CPU time: a busy machine must not decide.
  const begun = process.cpuUsage()
  const { verdict, changes } = compat(endless, { ...endless, type: 'object' }, 'backward')
  const { user, system } = process.cpuUsage(begun)
  expect((user + system) / 1_000).toBeLessThan(1_000)
  expect(verdict).toBe('unproven')
  expect(changes.map(({ rule }) => rule)).toEqual(['endless', 'other'])
})

test('what is too deep for the stack, or not percent-encoded, is unproven and throws nothing', () => {
  const deep = (end: Json): JsonObject => {
    let schema: JsonObject = { properties: { end } }
    for (let level = 0; level < 5_000; level++) schema = { properties: { a: schema } }
    return schema
  }
  expect(compat(deep({ type: 'string' }), deep({ type: 'integer' }), 'full')).toMatchObject({
    verdict: 'unproven',
    changes: [{ rule: 'budget' }, { rule: 'budget' }],
  })
  expect(compat({}, { $ref: '#/$defs/%zz' }, 'backward').verdict).toBe('unproven')
})
