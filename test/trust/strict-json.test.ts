import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { HubError } from '#kernel/errors.ts'
import { parseStrictJson } from '#kernel/json.ts'

function ruleOf(text: string): string {
  try {
    parseStrictJson(text)
  } catch (error) {
    if (error instanceof HubError) return error.violations[0]?.rule ?? ''
    throw error
  }
  return 'accepted'
}

describe('strict JSON', () => {
  it.each([
    ['{"a":1,"a":1}', 'json.duplicate-member'],
    ['{"a":1,"\\u0061":2}', 'json.duplicate-member'],
    ['[{"x":{"a":{},"a":{}}}]', 'json.duplicate-member'],
    ['{"\\":":1,"\\":":2}', 'json.duplicate-member'],
    ['{"1":0,"1":0}', 'json.duplicate-member'],
    ['{"__proto__":1}', 'json.proto'],
    ['{"a":[{"\\u005f_proto__":{}}]}', 'json.proto'],
    ['"\\ud800"', 'json.surrogate'],
    ['{"\\udc00":1}', 'json.surrogate'],
    ['"\\u0000"', 'json.nul'],
    ['{"a\\u0000":1}', 'json.nul'],
    ['1e999', 'json.number'],
    ['-1e400', 'json.number'],
    ['9007199254740992', 'json.integer'],
    ['-9007199254740992', 'json.integer'],
    ['1e300', 'json.integer'],
    ['"\u0001"', 'json.json'],
    ['\uFEFF{}', 'json.json'],
    ['{} {}', 'json.json'],
    ['', 'json.json'],
    [`${'['.repeat(33)}${']'.repeat(33)}`, 'json.depth'],
  ])('refuses %j by the rule %s', (text, rule) => {
    expect(ruleOf(text)).toBe(rule)
  })

  it.each([
    ['colons and quotes within strings', '{"a:\\"b\\":c":"::\\\\\\":","d":{"\\\\":[1,{"e":null}]}}'],
    ['the largest integers', '[9007199254740991,-9007199254740991,0.1,-0,1e-400]'],
    ['32 levels', `${'['.repeat(32)}${']'.repeat(32)}`],
    ['the same name in different objects', '[{"a":1},{"a":{"a":1}}]'],
    ['names of Object.prototype', '{"constructor":1,"toString":2,"hasOwnProperty":3}'],
    ['paired surrogates', '"\\ud83d\\ude00"'],
  ])('accepts %s', (_name, text) => {
    expect(parseStrictJson(text)).toEqual(JSON.parse(text))
  })

  it('refuses millions of brackets instead of overflowing', () => {
    expect(ruleOf('['.repeat(2_000_000))).toMatch(/^json\.(?:json|depth)$/)
    expect(ruleOf(`${'['.repeat(1_000_000)}${']'.repeat(1_000_000)}`)).toBe('json.depth')
  })

  it('reads a megabyte of backslashes and quotes in linear time', () => {
    const started = performance.now()
    expect(ruleOf(JSON.stringify('\\"'.repeat(500_000)))).toBe('accepted')
    expect(ruleOf(JSON.stringify('\\'.repeat(1_000_000)))).toBe('accepted')
    expect(performance.now() - started).toBeLessThan(2_000)
  })

  it('reads whatever JSON.stringify writes of ordinary values, and finds a duplicate put into any of them', () => {
    const name = fc.string({ unit: 'grapheme' }).filter((text) => text !== '__proto__' && !text.includes('\u0000'))
    const leaf = fc.oneof(fc.boolean(), fc.constant(null), fc.integer(), name)
    const { object } = fc.letrec((tie) => ({
      object: fc.dictionary(name, tie('value'), { maxKeys: 4 }),
      value: fc.oneof({ maxDepth: 4 }, leaf, fc.array(tie('value'), { maxLength: 3 }), tie('object')),
    }))
    fc.assert(
      fc.property(object, name, (value, extra) => {
        const text = JSON.stringify(value)
        expect(parseStrictJson(text)).toEqual(JSON.parse(text))
        const doubled = `{${JSON.stringify(extra)}:${text},${JSON.stringify(extra)}:0}`
        expect(ruleOf(doubled)).toBe('json.duplicate-member')
      }),
    )
  })
})
