import { describe, expect, test } from 'vitest'
import { brokenRules, checkRules, compileRule, type Rule, type RuleSource } from '#contracts/rules.ts'
import type { Json } from '#kernel/json.ts'

const NOW = Date.parse('2026-06-01T01:00:00Z')

function rule(expression: string, more: Partial<RuleSource> = {}): Rule {
  const compiled = compileRule({
    id: 'a-rule',
    severity: 'error',
    stage: 'ingress',
    expression,
    pointer: '/x',
    message: { zh: '中', en: 'en' },
    ...more,
  })
  if (!('judge' in compiled)) throw new RangeError(compiled.join())
  return compiled
}

const check = (rules: readonly Rule[], data: Json) =>
  checkRules({ rules }, { data, claims: { iss: 'a-party' }, nowMs: NOW })

describe('checkRules', () => {
  test('only rules of severity error refuse; warnings come apart', () => {
    const found = check([rule('data.x > 1'), rule('data.x > 2', { id: 'other', severity: 'warning' })], { x: 1 })
    expect(found.errors).toEqual([{ pointer: '/x', rule: 'a-rule', message: { zh: '中', en: 'en' } }])
    expect(found.warnings.map((one) => one.rule)).toEqual(['other'])
  })

  test('what refuses a message on its way in are the errors alone, as checkRules finds them', () => {
    const rules = [rule('data.x > 1'), rule('data.x > 2', { severity: 'warning' }), rule('data.x < 2')]
    const input = { data: { x: 1 }, claims: {}, nowMs: NOW }
    expect(brokenRules({ rules }, input)).toEqual(checkRules({ rules }, input).errors)
    expect(brokenRules({ rules }, input)).toHaveLength(1)
  })

  test('whole numbers reach CEL as int, others as double', () => {
    expect(check([rule('data.x + 1 == 4')], { x: 3 }).errors).toEqual([])
    expect(check([rule('data.x <= 160')], { x: 160 }).errors).toEqual([])
    expect(check([rule('data.x <= 160')], { x: 160.1 }).errors).toHaveLength(1)
    expect(check([rule('data.x <= 160')], { x: 160.0 }).errors).toEqual([])
    expect(check([rule('data.x.y[0] == 1 && type(data.x.y[1]) == double')], { x: { y: [1, 1.5] } }).errors).toEqual([])
  })

  test('now is a timestamp, exact to the millisecond', () => {
    const at = rule('timestamp(data.x) == now')
    expect(
      checkRules({ rules: [at] }, { data: { x: '2026-06-01T01:00:00.250Z' }, claims: {}, nowMs: NOW + 250 }).errors,
    ).toEqual([])
    expect(
      checkRules({ rules: [at] }, { data: { x: '2026-06-01T01:00:00.251Z' }, claims: {}, nowMs: NOW + 250 }).errors,
    ).toHaveLength(1)
  })

  test('claims can be read beside the data', () => {
    expect(check([rule('claims.iss == data.x')], { x: 'a-party' }).errors).toEqual([])
    expect(check([rule('claims.iss == data.x')], { x: 'other' }).errors).toHaveLength(1)
  })

  test('a false guard keeps the rule silent', () => {
    expect(check([rule('data.x > 1', { guard: 'has(data.y)' })], { x: 0 }).errors).toEqual([])
    expect(check([rule('data.x > 1', { guard: 'has(data.y)' })], { x: 0, y: 1 }).errors).toHaveLength(1)
  })

  test('an evaluation that fails counts as broken, with a sentence of its own', () => {
    for (const broken of [rule('data.absent == 1'), rule('data.x'), rule('true', { guard: 'data.x' })]) {
      const { errors } = check([broken], { x: 1 })
      expect(errors).toMatchObject([{ rule: 'a-rule', pointer: '/x' }])
      expect(errors[0]?.message.en).toContain('cannot be evaluated')
    }
  })

  test('a rule that uses the whole data sees all members', () => {
    expect(check([rule('size(data) == 2')], { x: 1, y: 2 }).errors).toEqual([])
    expect(check([rule('data["y"] == 2')], { x: 1, y: 2 }).errors).toEqual([])
  })

  test('data that is not an object breaks the rules instead of throwing', () => {
    expect(check([rule('data.x == 1')], [1]).errors).toHaveLength(1)
  })

  test('a pattern that ruins backtracking engines is answered at once', () => {
    const started = performance.now()
    expect(check([rule('data.x.matches("^(a+)+$")')], { x: `${'a'.repeat(5_000)}!` }).errors).toHaveLength(1)
    expect(performance.now() - started).toBeLessThan(500)
  })
})

describe('compileRule', () => {
  const why = (expression: string): string => {
    const compiled = compileRule({
      ...{ id: 'r', severity: 'error', stage: 'ingress', expression, pointer: '/x', message: { zh: '', en: '' } },
    })
    return 'judge' in compiled ? '' : compiled.join('; ')
  }

  test('syntax, unknown names and unknown functions are found before any data arrives', () => {
    expect(why('data.x ==')).not.toBe('')
    expect(why('date.x == 1')).toContain('unknown name date')
    expect(why('lenght(data.x) == 1')).toContain('unknown function lenght')
    expect(why('data.xs.all(i, i > 0) && j == 1')).toContain('unknown name j')
    expect(why('data.xs.exists(i, i.a == 1 || i.b in [data.c, 2]) ? now > now : {"a": 1}.a == 1')).toBe('')
  })
})
