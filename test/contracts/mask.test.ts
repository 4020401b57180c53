import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { loadContracts } from '#contracts/load.ts'
import { maskData } from '#contracts/mask.ts'
import type { Json, JsonObject } from '#kernel/json.ts'

const ROOT = join(import.meta.dirname, '../..')
const set = loadContracts(ROOT)

function contract(ref: string) {
  const found = set.get(ref)
  if (found === undefined) throw new RangeError(ref)
  return found
}

const resident = JSON.parse(
  readFileSync(join(ROOT, 'schemas/power-application/examples/valid/resident.json'), 'utf8'),
) as JsonObject

const tagged = (mask: string, type: Json = 'string'): { schemaDocument: JsonObject } => ({
  schemaDocument: { type: 'object', properties: { it: { type, 'x-privacy': { class: 'personal', mask } } } },
})

test('an application shows neither name, number, phone nor address, and everything else', () => {
  const shown = maskData(contract('power-application@1'), {
    ...resident,
    applicant: { name: '张小三', idTypeCode: '111', idNumber: '150102199001010019', phone: '13800138000' },
    supplyAddress: '内蒙古赤峰市红山区某街道 5 号',
  }) as JsonObject
  expect(shown['applicant']).toEqual({
    name: '张**',
    idTypeCode: '111',
    idNumber: '1****************9',
    phone: '138****8000',
  })
  expect(shown['supplyAddress']).toBe('内蒙古赤峰市***')
  expect(shown['divisionCode']).toBe(resident['divisionCode'])
})

test.each([
  ['name', '张', '***'],
  ['name', '欧阳娜娜', '欧***'],
  ['name', '𠮷田', '𠮷*'],
  ['id-number', '1234567', '***'],
  ['id-number', 'E1234567', 'E******7'],
  ['phone', '8220000', '***'],
  ['address', '某村', '某***'],
  ['hidden', 'anything', '***'],
])('the mask %s leaves of %s only %s', (mask, value, shown) => {
  expect(maskData(tagged(mask), { it: value })).toEqual({ it: shown })
})

test('a tagged number, object or list is hidden whole', () => {
  for (const [type, it] of [
    ['integer', 5],
    ['object', { a: 1 }],
    ['array', ['x']],
  ] as const) {
    expect(maskData(tagged('hidden', type), { it })).toEqual({ it: '***' })
  }
})

test('a tag inside an alternative masks too', () => {
  const tag = { type: 'string', 'x-privacy': { class: 'personal', mask: 'hidden' } }
  const schemaDocument = {
    type: 'object',
    properties: { kind: { type: 'string' }, code: { type: 'string' } },
    anyOf: [{ properties: { kind: { const: 'p' }, code: tag } }, { properties: { kind: { const: 'q' } } }],
  }
  expect(maskData({ schemaDocument }, { kind: 'p', code: '1' })).toEqual({ kind: 'p', code: '***' })
})

test('what the schema does not describe, or as another type, is hidden: refused data may hold anything', () => {
  const shown = maskData(contract('power-application@1'), { ...resident, note: '张小三', divisionCode: ['张小三'] })
  expect(shown).toMatchObject({ note: '***', divisionCode: '***' })
})
