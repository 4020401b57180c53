import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { linearPattern } from '#contracts/linear-pattern.ts'
import { lintContracts } from '#contracts/lint.ts'
import { RELEASED_FILE } from '#contracts/released.ts'

const ROOT = join(import.meta.dirname, '../..')
const NOW = Date.parse('2026-11-22T00:00:00Z')
let root = ''

/** Enough to spoil: the lint of a whole set takes a second, and the published one is linted once. */
const SPOILT = ['approval-result', 'business-licence', 'business-licence-query', 'delivery-ack', 'non-delivery']

beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'lint-'))
  for (const name of SPOILT) cpSync(join(ROOT, `contracts/${name}.yaml`), join(root, `contracts/${name}.yaml`))
  for (const name of [...SPOILT, 'contract-format'])
    cpSync(join(ROOT, 'schemas', name), join(root, 'schemas', name), { recursive: true })
  writeFileSync(join(root, RELEASED_FILE), '# nothing yet\n')
})

afterEach(() => rmSync(root, { recursive: true }))

function edit(file: string, from: string, to: string): void {
  const text = readFileSync(join(root, file), 'utf8')
  if (!text.includes(from)) throw new RangeError(`${file} has no ${from}`)
  writeFileSync(join(root, file), text.replace(from, to))
}

const found = () => lintContracts(root, NOW).map(({ pointer, rule }) => `${pointer} ${rule}`)

describe('lintContracts', () => {
  test('the published contracts, schemas and examples have no faults', () => {
    expect(lintContracts(ROOT, NOW)).toEqual([])
  })

  const ack = 'schemas/delivery-ack/1.0.0.json'
  test.each([
    ['"maxLength": 128', '"minLength": 0', `${ack}#/properties/outcomes/items/properties/recipientRef max-length`],
    ['"maxItems": 500', '"minItems": 1', `${ack}#/properties/outcomes max-items`],
    ['"additionalProperties": false', '"additionalProperties": true', `${ack}#/properties/outcomes/items closed`],
    ['"title": "结果"', '"$comment": "结果"', `${ack}#/properties/outcomes/items/properties/outcome titles`],
    ['{1,64}$', '+)+$', `${ack}#/properties/outcomes/items/properties/code/pattern pattern`],
    ['{1,64}$', '*[a-z]*$', `${ack}#/properties/outcomes/items/properties/code pattern-linear`],
    ['"type": "array"', '"type": ["array", "null"]', `${ack}#/properties/outcomes typed`],
    ['"items": {', '"contains": {', `${ack}#/properties/outcomes items`],
    ['"maxLength": 128', '"maxLength": 128, "minimum": 1', `${ack}# compile`],
  ])('%s → %s is found', (from, to, fault) => {
    edit(ack, from, to)
    expect(found()).toContain(fault)
  })

  test('a rule whose examples do not do what they promise is found', () => {
    edit('contracts/approval-result.yaml', 'size(data.missingMaterials) > 0', 'size(data.missingMaterials) > 1')
    edit('contracts/approval-result.yaml', 'data.affairType in ["1", "2", "9"]', 'data.affairType != ""')
    edit('contracts/approval-result.yaml', 'guard: data.resultState == "13"', 'guard: data.resultState == "14"')
    expect(found()).toEqual([
      'contracts/approval-result.yaml#/rules/2/examples/pass rule-example',
      'contracts/approval-result.yaml#/rules/2/examples/fail rule-example',
      'contracts/approval-result.yaml#/rules/4/examples/pass rule-example',
      'contracts/approval-result.yaml#/rules/5/examples/fail rule-example',
    ])
  })

  test('a valid example that its schema or an error rule refuses is found', () => {
    edit('schemas/approval-result/examples/valid/refused.json', '"resultState": "13"', '"resultState": "19"')
    edit('schemas/approval-result/examples/valid/filed.json', '2026-09-09T16:00:00', '2036-09-09T16:00:00')
    expect(found()).toEqual([
      'schemas/approval-result/examples/valid/refused.json#/resultState enum',
      'schemas/approval-result/examples/valid/filed.json#/finishedAt finished-in-the-past',
    ])
  })

  test('an invalid example must break the rule in its name, and no other', () => {
    const folder = 'schemas/business-licence-query/examples/invalid'
    writeFileSync(join(root, folder, 'type.number.json'), '{"uscc": "91150402MADEM002XN"}')
    writeFileSync(join(root, folder, 'required.uscc.json'), '{"name": "x"}')
    expect(found()).toEqual([`${folder}/required.uscc.json# example`, `${folder}/type.number.json# example`])
  })

  test('too few examples are found', () => {
    rmSync(join(root, 'schemas/non-delivery/examples'), { recursive: true })
    expect(found()).toEqual([
      'schemas/non-delivery/examples/valid# examples',
      'schemas/non-delivery/examples/invalid# examples',
    ])
  })
})

test.each([
  ['^[a-z]{1,5}$', true],
  ['^[a-z0-9](?:[a-z0-9.-]{0,46}[a-z0-9])?$', true],
  ['^\\d{12}[GJZ]\\d+$', true],
  ['^[^/]+$', true],
  ['[a-z]+', false],
  ['^(a+)+$', false],
  ['^(?:a|aa)+$', false],
  ['^(?:a?){1,30}$', false],
  ['^((a|b))*$', false],
  ['^a*a*$', false],
  ['^(a)\\1$', false],
  ['^(?=a)a$', false],
  ['^a\\$', false],
])('pattern %s: linear by construction is %s', (pattern, linear) => {
  expect(linearPattern(pattern)).toBe(linear)
})
