import type { CompatibilityMode } from '#contracts/compat/verdict.ts'
import type { JsonObject } from '#kernel/json.ts'

export interface NamedChange {
  readonly name: string
  readonly mode: CompatibilityMode
  readonly old: JsonObject
  readonly next: JsonObject
}

const text: JsonObject = { type: 'string', maxLength: 20 }
const closed = (properties: JsonObject, rest: JsonObject = {}): JsonObject => ({
  type: 'object',
  additionalProperties: false,
  properties,
  ...rest,
})
const open = (properties: JsonObject, rest: JsonObject = {}): JsonObject => ({ type: 'object', properties, ...rest })
const list = (items: JsonObject, rest: JsonObject = {}): JsonObject => ({ type: 'array', maxItems: 10, items, ...rest })
const tagged = (...kinds: string[]): JsonObject => ({
  oneOf: kinds.map((kind) => closed({ kind: { const: kind }, [kind]: text }, { required: ['kind', kind] })),
})
const tree = (value: JsonObject, name = 'node'): JsonObject => ({
  $ref: `#/$defs/${name}`,
  $defs: { [name]: closed({ value, children: list({ $ref: `#/$defs/${name}` }) }, { required: ['value'] }) },
})
const conditional = (then: JsonObject): JsonObject =>
  closed(
    { state: { type: 'string', enum: ['11', '12', '13'] }, opinion: text },
    { required: ['state'], if: { properties: { state: { const: '13' } }, required: ['state'] }, then },
  )

const backward = (name: string, old: JsonObject, next: JsonObject): NamedChange => ({
  name,
  mode: 'backward',
  old,
  next,
})
const forward = (name: string, old: JsonObject, next: JsonObject): NamedChange => ({ name, mode: 'forward', old, next })
const full = (name: string, old: JsonObject, next: JsonObject): NamedChange => ({ name, mode: 'full', old, next })

/** Changes that anybody would call allowed: the checker must prove at least 95 % of them. */
export const PLAINLY_ALLOWED: readonly NamedChange[] = [
  full('nothing', closed({ a: text }), closed({ a: text })),
  full('titles and descriptions', text, { ...text, title: '名称', description: '…', 'x-en': { title: 'Name' } }),
  full(
    'another order of required and enum',
    closed({ a: text, b: text }, { required: ['a', 'b'] }),
    closed({ b: text, a: text }, { required: ['b', 'a'] }),
  ),
  full('an inline schema moved to $defs', closed({ a: text }), {
    ...closed({ a: { $ref: '#/$defs/text' } }),
    $defs: { text },
  }),
  full('a definition renamed', tree(text), tree(text, 'branch')),
  full('type as a list of one', { type: 'string', maxLength: 3 }, { type: ['string'], maxLength: 3 }),
  full('a bound said twice', { type: 'integer', minimum: 1 }, { allOf: [{ type: 'integer' }, { minimum: 1 }] }),
  full(
    'exclusive bound of integers written inclusive',
    { type: 'integer', exclusiveMinimum: 0 },
    { type: 'integer', minimum: 1 },
  ),
  full(
    'anyOf of types written as a list',
    { anyOf: [{ type: 'string' }, { type: 'null' }] },
    { type: ['string', 'null'] },
  ),
  full('an enum of one written as const', { enum: ['a'] }, { const: 'a' }),
  full(
    'the same pattern written otherwise',
    { type: 'string', pattern: '^\\d{6}$' },
    { type: 'string', pattern: '^[0-9]{6}$' },
  ),
  full(
    'a length said by pattern and by bounds',
    { type: 'string', pattern: '^[a-z]{2,4}$' },
    { type: 'string', pattern: '^[a-z]{2,4}$', minLength: 2, maxLength: 4 },
  ),
  full('optional member of an open object added', open({ a: text }), open({ a: text, b: text })),
  full('a rule split into allOf', closed({ a: text, b: text }, { required: ['a'] }), {
    allOf: [closed({ a: text, b: text }), { required: ['a'] }],
  }),
  full('default and examples', text, { ...text, default: 'a', examples: ['b'] }),

  backward('optional member of a closed object added', closed({ a: text }), closed({ a: text, b: text })),
  backward(
    'optional object added',
    closed({ a: text }),
    closed({ a: text, b: closed({ c: text }, { required: ['c'] }) }),
  ),
  backward('a member no longer required', closed({ a: text }, { required: ['a'] }), closed({ a: text })),
  backward('a closed object opened', closed({ a: text }), open({ a: text })),
  backward('maxLength raised', text, { type: 'string', maxLength: 30 }),
  backward('maxLength dropped', text, { type: 'string' }),
  backward('minLength lowered', { type: 'string', minLength: 3 }, { type: 'string', minLength: 1 }),
  backward('maximum raised', { type: 'integer', maximum: 5 }, { type: 'integer', maximum: 9 }),
  backward('minimum lowered', { type: 'number', minimum: 0 }, { type: 'number', minimum: -1 }),
  backward('exclusive bound made inclusive', { type: 'number', exclusiveMaximum: 5 }, { type: 'number', maximum: 5 }),
  backward('integer to number', { type: 'integer' }, { type: 'number' }),
  backward('null allowed as well', text, { ...text, type: ['string', 'null'] }),
  backward('enum value added', { type: 'string', enum: ['1', '2'] }, { type: 'string', enum: ['1', '2', '9'] }),
  backward('enum opened to a bounded text', { type: 'string', enum: ['1', '2'] }, { type: 'string', maxLength: 4 }),
  backward('const to enum', { const: '1' }, { enum: ['1', '2'] }),
  backward(
    'pattern widened',
    { type: 'string', pattern: '^\\d{18}$' },
    { type: 'string', pattern: '^(?:\\d{15}|\\d{17}[\\dXx])$' },
  ),
  backward(
    'pattern dropped',
    { type: 'string', pattern: '^[A-Z]{2}$', maxLength: 2 },
    { type: 'string', maxLength: 2 },
  ),
  backward(
    'pattern replaced by the bounds it had',
    { type: 'string', pattern: '^[A-Z]{2}$' },
    { type: 'string', minLength: 2, maxLength: 2 },
  ),
  backward('format dropped', { type: 'string', format: 'date' }, { type: 'string', maxLength: 10 }),
  backward(
    'format relaxed to a pattern',
    { type: 'string', format: 'uscc' },
    { type: 'string', pattern: '^[0-9A-Z]{18}$' },
  ),
  backward('maxItems raised', list(text), list(text, { maxItems: 20 })),
  backward('minItems dropped', list(text, { minItems: 1 }), list(text)),
  backward('uniqueItems dropped', list(text, { uniqueItems: true }), list(text)),
  backward('items widened', list({ type: 'string', enum: ['a'] }), list(text)),
  backward('multipleOf refined', { type: 'integer', multipleOf: 10 }, { type: 'integer', multipleOf: 5 }),
  backward('multipleOf dropped', { type: 'number', multipleOf: 0.01 }, { type: 'number' }),
  backward('a branch added to anyOf', { anyOf: [text] }, { anyOf: [text, { type: 'integer' }] }),
  backward('a kind added to a tagged oneOf', tagged('a', 'b'), tagged('a', 'b', 'c')),
  backward('oneOf relaxed to anyOf', tagged('a', 'b'), { anyOf: tagged('a', 'b')['oneOf'] ?? [] }),
  backward(
    'a single form among others',
    tagged('a')['oneOf'] === undefined ? {} : closed({ kind: { const: 'a' }, a: text }, { required: ['kind', 'a'] }),
    tagged('a', 'b'),
  ),
  backward(
    'a dependency dropped',
    closed({ a: text, b: text }, { dependentRequired: { a: ['b'] } }),
    closed({ a: text, b: text }),
  ),
  backward('a condition dropped', conditional({ required: ['opinion'] }), conditional({})),
  backward(
    'a condition relaxed',
    conditional({ required: ['opinion'], properties: { opinion: { minLength: 5 } } }),
    conditional({ required: ['opinion'] }),
  ),
  backward('not dropped', { type: 'string', not: { const: 'x' } }, { type: 'string' }),
  backward(
    'propertyNames relaxed',
    { type: 'object', propertyNames: { pattern: '^[a-z]{1,5}$' } },
    { type: 'object', propertyNames: { pattern: '^[a-z]{1,9}$' } },
  ),
  backward(
    'a map whose values widen',
    { type: 'object', maxProperties: 5, additionalProperties: { type: 'integer' } },
    { type: 'object', maxProperties: 5, additionalProperties: { type: 'number' } },
  ),
  backward('maxProperties raised', { type: 'object', maxProperties: 2 }, { type: 'object', maxProperties: 3 }),
  backward('minProperties dropped', { type: 'object', minProperties: 1 }, { type: 'object' }),
  backward('a recursive schema whose leaf widens', tree({ type: 'integer' }), tree({ type: 'number' })),
  backward('a forbidden member allowed', open({ a: false as unknown as JsonObject }), open({ a: text })),
  backward('a closed list of members as a map', closed({ a: text, b: text }), {
    type: 'object',
    additionalProperties: text,
  }),

  forward('a member made required', closed({ a: text, b: text }), closed({ a: text, b: text }, { required: ['b'] })),
  forward('an optional member removed from a closed object', closed({ a: text, b: text }), closed({ a: text })),
  forward('maxLength lowered', text, { type: 'string', maxLength: 10 }),
  forward('an enum value retired', { enum: ['1', '2', '3'] }, { enum: ['1', '2'] }),
  forward(
    'a range narrowed',
    { type: 'integer', minimum: 0, maximum: 100 },
    { type: 'integer', minimum: 10, maximum: 20 },
  ),
  forward('number to integer', { type: 'number' }, { type: 'integer' }),
  forward('a pattern added', { type: 'string', maxLength: 8 }, { type: 'string', maxLength: 8, pattern: '^[0-9]*$' }),
  forward('a format added', { type: 'string', maxLength: 10 }, { type: 'string', maxLength: 10, format: 'date' }),
  forward('an object closed', open({ a: text }), closed({ a: text })),
  forward('a kind retired from a tagged oneOf', tagged('a', 'b', 'c'), tagged('a', 'b')),
  forward('a condition added', conditional({}), conditional({ required: ['opinion'] })),
  forward('uniqueItems added', list(text), list(text, { uniqueItems: true })),
]

export interface BreakingChange extends NamedChange {
  readonly pointer: string
  readonly rule: string
}

const breaks = (
  rule: string,
  pointer: string,
  old: JsonObject,
  next: JsonObject,
  mode: CompatibilityMode = 'backward',
): BreakingChange => ({ name: `${mode} ${rule} at ${pointer || 'the root'}`, mode, old, next, pointer, rule })

/** Changes that break, each with the place and rule that must be named and a counterexample that must be found. */
export const BREAKING: readonly BreakingChange[] = [
  breaks('type', '/properties/a/type', closed({ a: text }), closed({ a: { type: 'integer' } })),
  breaks('type', '/type', { type: 'number' }, { type: 'integer' }),
  breaks('type', '/type', { type: ['string', 'null'] }, { type: 'string' }),
  breaks('enum', '/enum', { enum: ['1', '2'] }, { enum: ['1'] }),
  breaks('enum', '/properties/a/enum', closed({ a: text }), closed({ a: { type: 'string', enum: ['x'] } })),
  breaks('const', '/const', { enum: ['1', '2'] }, { const: '1' }),
  breaks('required', '/required/0', closed({ a: text }), closed({ a: text }, { required: ['a'] })),
  breaks('additionalProperties', '/additionalProperties', closed({ a: text, b: text }), closed({ a: text })),
  breaks('additionalProperties', '/additionalProperties', open({ a: text }), closed({ a: text })),
  breaks('additionalProperties', '/additionalProperties', closed({ a: text }), closed({ a: text, b: text }), 'forward'),
  breaks('maxLength', '/maxLength', text, { type: 'string', maxLength: 19 }),
  breaks('minLength', '/minLength', text, { ...text, minLength: 1 }),
  breaks('pattern', '/pattern', { type: 'string', pattern: '^\\d{15,18}$' }, { type: 'string', pattern: '^\\d{18}$' }),
  breaks('format', '/format', text, { ...text, format: 'date' }),
  breaks('minimum', '/minimum', { type: 'integer' }, { type: 'integer', minimum: 0 }),
  breaks('maximum', '/maximum', { type: 'integer', maximum: 9 }, { type: 'integer', maximum: 8 }),
  breaks(
    'exclusiveMinimum',
    '/exclusiveMinimum',
    { type: 'number', minimum: 0 },
    { type: 'number', exclusiveMinimum: 0 },
  ),
  breaks(
    'exclusiveMaximum',
    '/exclusiveMaximum',
    { type: 'number', maximum: 5 },
    { type: 'number', exclusiveMaximum: 5 },
  ),
  breaks('multipleOf', '/multipleOf', { type: 'integer' }, { type: 'integer', multipleOf: 5 }),
  breaks('minItems', '/minItems', list(text), list(text, { minItems: 2 })),
  breaks('maxItems', '/maxItems', list(text), list(text, { maxItems: 4 })),
  breaks('uniqueItems', '/uniqueItems', list(text), list(text, { uniqueItems: true })),
  breaks(
    'maxLength',
    '/properties/a/items/properties/b/maxLength',
    closed({ a: list(closed({ b: text })) }),
    closed({ a: list(closed({ b: { type: 'string', maxLength: 2 } })) }),
  ),
  breaks('minProperties', '/minProperties', { type: 'object' }, { type: 'object', minProperties: 1 }),
  breaks('maxProperties', '/maxProperties', { type: 'object' }, { type: 'object', maxProperties: 1 }),
  breaks(
    'dependentRequired',
    '/dependentRequired',
    closed({ a: text, b: text }),
    closed({ a: text, b: text }, { dependentRequired: { a: ['b'] } }),
  ),
  breaks('anyOf', '/anyOf', { anyOf: [text, { type: 'integer' }] }, { anyOf: [text, { type: 'boolean' }] }),
  breaks('oneOf', '/oneOf', tagged('a', 'b', 'c'), tagged('a', 'b')),
  breaks('not', '/not', { type: 'string' }, { type: 'string', not: { const: '' } }),
  breaks('required', '/then/required/0', conditional({}), conditional({ required: ['opinion'] })),
  breaks('type', '/$defs/node/properties/value/type', tree({ type: 'number' }), tree({ type: 'integer' })),
  breaks(
    'pattern',
    '/propertyNames/pattern',
    { type: 'object' },
    { type: 'object', propertyNames: { pattern: '^[a-z]{1,4}$' } },
  ),
]
