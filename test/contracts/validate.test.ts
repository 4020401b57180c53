import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { loadContracts } from '#contracts/load.ts'
import { validateAgainst, validateData } from '#contracts/validate.ts'
import type { Json, JsonObject } from '#kernel/json.ts'

const ROOT = join(import.meta.dirname, '../..')
const set = loadContracts(ROOT)

function contract(ref: string) {
  const found = set.get(ref)
  if (found === undefined) throw new RangeError(ref)
  return found
}

const example = (path: string): JsonObject =>
  JSON.parse(readFileSync(join(ROOT, 'schemas', path), 'utf8')) as JsonObject
const approved = example('approval-result/examples/valid/approved.json')
const resident = example('power-application/examples/valid/resident.json')

describe('validateData', () => {
  test('a valid result of about 2 KB has no violations', () => {
    expect(Buffer.byteLength(JSON.stringify(approved))).toBeGreaterThan(1_700)
    expect(validateData(contract('approval-result@1'), approved)).toEqual([])
  })

  test('a missing member is pointed at by its own name and title', () => {
    const { affairNo: _left, ...data } = approved
    expect(validateData(contract('approval-result@1'), data)).toEqual([
      {
        pointer: '/affairNo',
        rule: 'required',
        message: { zh: '“办件编号”必填，但缺失', en: 'Affair number is required and missing' },
      },
    ])
  })

  test('a member that the contract does not allow is pointed at itself', () => {
    const [fault] = validateData(contract('approval-result@1'), { ...approved, 'a/b': 1 })
    expect(fault).toMatchObject({ pointer: '/a~1b', rule: 'additionalProperties' })
  })

  test('a made-up member name that could carry a text stays out of the violation', () => {
    const name = 'x'.repeat(65)
    const found = validateData(contract('approval-result@1'), { ...approved, [name]: 1 })
    expect(found).toHaveLength(1)
    expect(JSON.stringify(found)).not.toContain(name)
  })

  test('a failing format is named as the rule and says which character is wrong', () => {
    const unit = { name: '示例', uscc: '91150102MADEM00121' }
    expect(validateData(contract('approval-result@1'), { ...approved, handlingUnit: unit })).toEqual([
      {
        pointer: '/handlingUnit/uscc',
        rule: 'uscc',
        message: {
          zh: '“统一社会信用代码”：第 18 位校验码不符，按前 17 位应为 J',
          en: 'Unified social credit code is wrong: check character 18 is wrong: the first 17 characters call for J',
        },
      },
    ])
  })

  test('the kind of certificate decides how its number is judged, and the number is never repeated', () => {
    const application = contract('power-application@1')
    const wrong = (applicant: Json) => validateData(application, { ...resident, applicant })
    const id = wrong({ name: '示例', idTypeCode: '111', idNumber: '150102199001010018' })
    expect(id.map(({ pointer, rule }) => [pointer, rule])).toEqual([['/applicant/idNumber', 'resident-id']])
    expect(id[0]?.message.zh).toBe('“证件号码”：第 18 位校验码不符')
    expect(JSON.stringify(id)).not.toContain('150102199001010018')
    expect(wrong({ name: '示例', idTypeCode: '001', idNumber: '150102199001010019' })[0]?.rule).toBe('uscc')
    expect(wrong({ name: '示例', idTypeCode: '414', idNumber: 'E12345678' })).toEqual([])
  })

  test('at most twenty violations are told, however many there are', () => {
    const outcomes = Array.from({ length: 500 }, () => ({ delivery: 'x', outcome: 'y', at: 'z' }))
    expect(validateData(contract('delivery-ack@1'), { outcomes })).toHaveLength(20)
  })

  test('five hundred outcomes are accepted and one more is refused', () => {
    const outcome = { delivery: '0199a1b2-c3d4-7e5f-8a6b-112233445566', outcome: 'applied', at: '2026-09-16T15:43:02Z' }
    const ack = (length: number): Json => ({ outcomes: Array.from({ length }, () => outcome) })
    expect(validateData(contract('delivery-ack@1'), ack(500))).toEqual([])
    expect(validateData(contract('delivery-ack@1'), ack(501))).toMatchObject([
      { pointer: '/outcomes', rule: 'maxItems' },
    ])
  })

  test('members inherited from a prototype do not count', () => {
    const inherited = Object.create({ uscc: '91150402MADEM002XN' }) as JsonObject
    expect(validateData(contract('business-licence-query@1'), inherited)).toMatchObject([
      { pointer: '/uscc', rule: 'required' },
    ])
    const hidden = JSON.parse('{"uscc":"91150402MADEM002XN","toString":1}') as Json
    expect(validateData(contract('business-licence-query@1'), hidden)).toMatchObject([{ pointer: '/toString' }])
  })

  test('whatever arrives, it answers with well-formed sentences and never throws', () => {
    fc.assert(
      fc.property(fc.jsonValue(), fc.constantFrom(...set.list()), (data, one) => {
        const found = validateData(one, data as Json)
        expect(found.length).toBeGreaterThan(0)
        for (const { message, rule } of found) {
          expect(message.zh).not.toMatch(/undefined|\[object/)
          expect(message.en).not.toMatch(/undefined|\[object/)
          expect(rule).not.toBe('')
        }
      }),
    )
  })

  test('a schema that cannot be compiled is answered, not thrown', () => {
    expect(validateAgainst({ type: 'no-such-type' }, {})).toMatchObject([{ rule: 'schema' }])
  })
})
