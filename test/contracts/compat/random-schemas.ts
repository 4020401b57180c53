import fc from 'fast-check'
import type { Json, JsonObject } from '#kernel/json.ts'

const NAMES = ['a', 'b', 'c'] as const
const name = fc.constantFrom(...NAMES)
const small = fc.integer({ min: 0, max: 4 })
const scalar: fc.Arbitrary<Json> = fc.oneof(
  fc.constantFrom('', 'a', 'ab', 'abc', '1', '2026-01-31', 'zz9'),
  fc.integer({ min: -3, max: 6 }),
  fc.constantFrom(0.5, 2.5),
  fc.boolean(),
  fc.constant(null),
)

/** JSON values of the kind that the random schemas talk about. */
export const instance: fc.Arbitrary<Json> = fc.letrec<{ value: Json }>((tie) => ({
  value: fc.oneof(
    { maxDepth: 3, withCrossShrink: true },
    scalar,
    fc.array(tie('value'), { maxLength: 4 }),
    fc.dictionary(name, tie('value'), { maxKeys: 3, noNullPrototype: true }) as fc.Arbitrary<Json>,
  ),
})).value

const PATTERNS = ['^[a-z]*$', '^[a-z]{1,2}$', '^a', '^\\d+$', '^(?:a|ab)c?$', 'b$']
const TYPES = ['null', 'boolean', 'integer', 'number', 'string', 'array', 'object']

const keywords = (schema: fc.Arbitrary<JsonObject | boolean>): fc.Arbitrary<JsonObject> => {
  const some = fc.array(schema, { minLength: 1, maxLength: 3 })
  const optional: Record<string, fc.Arbitrary<Json>> = {
    type: fc.oneof(
      fc.constantFrom(...TYPES),
      fc.uniqueArray(fc.constantFrom(...TYPES), { minLength: 1, maxLength: 3 }),
    ),
    enum: fc.array(scalar, { minLength: 1, maxLength: 4 }),
    const: scalar,
    minLength: small,
    maxLength: small,
    pattern: fc.constantFrom(...PATTERNS),
    format: fc.constantFrom('date'),
    minimum: small,
    maximum: small,
    exclusiveMinimum: small,
    exclusiveMaximum: small,
    multipleOf: fc.constantFrom(1, 2, 0.5),
    minItems: small,
    maxItems: small,
    uniqueItems: fc.boolean(),
    items: schema,
    required: fc.uniqueArray(name, { maxLength: 2 }),
    properties: fc.dictionary(name, schema, { maxKeys: 3, noNullPrototype: true }) as fc.Arbitrary<Json>,
    additionalProperties: schema,
    propertyNames: fc.constantFrom({ maxLength: 1 }, { enum: ['a', 'b'] }, false),
    minProperties: fc.integer({ min: 0, max: 2 }),
    maxProperties: small,
    dependentRequired: fc.dictionary(name, fc.uniqueArray(name, { maxLength: 2 }), {
      maxKeys: 1,
      noNullPrototype: true,
    }) as fc.Arbitrary<Json>,
    dependentSchemas: fc.dictionary(name, schema, { maxKeys: 1, noNullPrototype: true }) as fc.Arbitrary<Json>,
    anyOf: some,
    oneOf: some,
    allOf: some,
    not: schema,
    $ref: fc.constantFrom('#/$defs/one', '#/$defs/two'),
    title: fc.constantFrom('x', 'y'),
  }
  const condition = fc
    .tuple(schema, fc.option(schema), fc.option(schema))
    .map(([when, first, second]) =>
      Object.fromEntries([
        ['if', when],
        ...(first === null ? [] : [['then', first]]),
        ...(second === null ? [] : [['else', second]]),
      ] as [string, Json][]),
    )
  const chosen = fc
    .uniqueArray(fc.constantFrom(...Object.keys(optional)), { maxLength: 4 })
    .chain((names) => fc.record(Object.fromEntries(names.map((one) => [one, optional[one] ?? fc.constant(true)]))))
  return fc.oneof(
    { weight: 8, arbitrary: chosen as fc.Arbitrary<JsonObject> },
    { weight: 1, arbitrary: fc.tuple(chosen, condition).map(([a, b]) => ({ ...a, ...b })) as fc.Arbitrary<JsonObject> },
  )
}

const subschema = fc.letrec<{ schema: JsonObject | boolean }>((tie) => ({
  schema: fc.oneof(
    { maxDepth: 2, withCrossShrink: true },
    fc.constant<JsonObject | boolean>({ type: 'string' }),
    fc.constant<JsonObject | boolean>({ type: 'integer' }),
    fc.boolean(),
    keywords(tie('schema')),
  ),
})).schema

/** Random schemas over every keyword that the comparison judges, with two definitions, references and recursion. */
export const randomSchema: fc.Arbitrary<JsonObject> = fc
  .tuple(keywords(subschema), keywords(subschema), keywords(subschema))
  .map(([root, one, two]) => ({ ...root, $defs: { one: guarded(one), two: guarded(two) } }))

/** A definition refers to others only from inside a member, so that no reference leads round in a circle at once. */
const guarded = (schema: JsonObject): JsonObject =>
  JSON.parse(JSON.stringify(schema, (key, value: unknown) => (key === '$ref' ? undefined : value))) as JsonObject

/** The schema with one thing changed at random: an edit such as people make. */
export const editedPair: fc.Arbitrary<readonly [JsonObject, JsonObject]> = fc
  .tuple(randomSchema, keywords(subschema))
  .chain(([schema, edit]) =>
    fc.constantFrom<readonly [JsonObject, JsonObject]>(
      [schema, { ...schema, ...edit }],
      [{ ...schema, ...edit }, schema],
      [schema, { ...edit, $defs: schema.$defs ?? {} }],
      [
        { properties: { a: schema }, $defs: schema.$defs ?? {} },
        { properties: { a: { ...schema, ...edit } }, $defs: schema.$defs ?? {} },
      ],
    ),
  )
