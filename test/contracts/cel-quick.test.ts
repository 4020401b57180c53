import { CelScalar, celEnv, isCelError, parse, plan } from '@bufbuild/cel'
import { strings } from '@bufbuild/cel/ext'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { celTimestamp, toCel } from '#contracts/cel.ts'
import { compileQuick, type RawFacts } from '#contracts/cel-quick.ts'
import type { Json, JsonObject } from '#kernel/json.ts'

const NOW = Date.parse('2026-06-01T01:00:00Z')

const environment = celEnv({
  variables: { data: CelScalar.DYN, claims: CelScalar.DYN, now: CelScalar.DYN },
  funcs: [...strings],
})

/** What the evaluator says: a boolean, or undefined for an error or another type. */
function evaluator(source: string): (facts: RawFacts) => boolean | undefined {
  const run = plan(environment, parse(source).expr)
  return ({ data, claims, nowMs }) => {
    const result = run({ data: toCel(data), claims: toCel(claims), now: celTimestamp(nowMs) })
    return !isCelError(result) && typeof result === 'boolean' ? result : undefined
  }
}

const quick = (source: string) => compileQuick(parse(source).expr, {})
const facts = (data: Json, claims: Json = {}): RawFacts => ({ data, claims, nowMs: NOW })

const TEXTS = ['', '11', '13', 'x', '2026-06-01', '2026-05-31', '中']
const TIMES = [
  '2026-06-01T09:00:00+08:00',
  '2026-06-01T01:00:00.000000001Z',
  '2026-02-30T00:00:00Z',
  '2026-06-01T24:00:00Z',
  '2026-06-01T23:59:60Z',
  '2026-06-01T09:00:00',
  '0001-01-01T00:00:00+08:00',
  '9999-12-31T23:59:59.999999999Z',
  '1969-12-31T23:59:59.5Z',
]

const leaf = fc.constantFrom<Json>(...TEXTS, ...TIMES, true, false, null, 0, 1.5)
const inner = fc.dictionary(fc.constantFrom('a', 'b', 'at'), leaf, { maxKeys: 3 })
const anyData = fc.dictionary(
  fc.constantFrom('a', 'b', 'at', 'o', 'list'),
  fc.oneof({ weight: 3, arbitrary: leaf }, inner, fc.array(fc.oneof(inner, leaf), { maxLength: 3 })),
) as fc.Arbitrary<JsonObject>

const PATHS = ['data.a', 'data.b', 'data.at', 'data.o', 'data.o.a', 'data.o.at', 'claims.a', 'i', 'i.a', 'i.at']
const path = fc.constantFrom(...PATHS)
const selected = fc.constantFrom(...PATHS.filter((one) => one.includes('.')))
const text = fc.constantFrom(...TEXTS).map((one) => JSON.stringify(one))
const time = fc.oneof(
  fc.constant('now'),
  path.map((one) => `timestamp(${one})`),
  fc
    .tuple(path, fc.constantFrom('+', '-'), fc.constantFrom('10m', '1h', '500ms', '3000000h', '1h30m'))
    .map(([one, sign, duration]) => `timestamp(${one}) ${sign} duration("${duration}")`),
)
const order = fc.constantFrom('==', '!=', '<', '<=', '>', '>=')

const { rule } = fc.letrec<{ rule: string; atom: string }>((tie) => ({
  rule: fc.oneof(
    { maxDepth: 3, depthIdentifier: 'rule' },
    tie('atom'),
    fc.tuple(tie('rule'), fc.constantFrom('&&', '||', '=='), tie('rule')).map(([a, op, b]) => `(${a}) ${op} (${b})`),
    tie('rule').map((one) => `!(${one})`),
    fc
      .tuple(fc.constantFrom('all', 'exists', 'exists_one'), tie('rule'))
      .map(([m, one]) => `data.list.${m}(i, ${one})`),
  ),
  atom: fc.oneof(
    selected.map((one) => `has(${one})`),
    path,
    fc.constantFrom('true', 'false', 'data.a == null', 'size(data.list) > 1', 'data.a < 1'),
    fc.tuple(path, order, fc.oneof(path, text)).map((parts) => parts.join(' ')),
    fc.tuple(time, order, time).map((parts) => parts.join(' ')),
    path.map((one) => `${one} in ["11", "13", ""]`),
    path.map((one) => `${one}.startsWith("2026")`),
  ),
}))

describe('compileQuick', () => {
  test('whatever it answers, the CEL evaluator answers too', () => {
    let answered = 0
    fc.assert(
      fc.property(rule, anyData, inner, (source, data, claims) => {
        const found = quick(source)?.(facts(data, claims as Json))
        if (found === undefined) return
        answered++
        expect(evaluator(source)(facts(data, claims as Json))).toBe(found)
      }),
      { numRuns: 3_000 },
    )
    expect(answered).toBeGreaterThan(100)
  })

  test('it answers the forms that contracts use', () => {
    const data = {
      finishedAt: '2026-06-01T09:00:00+08:00',
      result: '13',
      certificate: { validFrom: '2026-06-01', validTo: '2026-06-02' },
      procedures: [{ startedAt: '2026-05-01T09:00:00+08:00' }],
    }
    const forms = [
      'timestamp(data.finishedAt) <= now + duration("10m")',
      'has(data.certificate) && data.certificate.validTo >= data.certificate.validFrom',
      'data.result in ["11", "13"] && !has(data.opinion)',
      'data.procedures.all(p, !has(p.endedAt) || timestamp(p.endedAt) >= timestamp(p.startedAt))',
      'data.procedures.exists(p, p.startedAt.startsWith("2026"))',
    ]
    expect(forms.map((form) => quick(form)?.(facts(data)))).toEqual([true, true, true, true, true])
  })

  test.each([
    'data.absent == "x"',
    'data.n > "1"',
    'timestamp(data.text) < now',
    'has(data.nothing)',
    'data.list.all(i, i.a == "x")',
  ])('it leaves to the evaluator what is in doubt: %s', (source) => {
    expect(quick(source)?.(facts({ n: 1, text: 'yesterday', nothing: null, list: [{}] }))).toBeUndefined()
  })

  test.each([
    'data.n + 1 > 2',
    'size(data.a) > 1',
    'data.list.map(i, i) == data.list',
    'now - timestamp(data.a) > duration("1h")',
    'data.list.all(i, i.list.all(j, j == "x"))',
  ])('it does not take what is not one of its forms: %s', (source) => {
    expect(quick(source)).toBeUndefined()
  })
})
