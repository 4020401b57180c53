import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import type { ContractData } from '#connect/sdk.ts'
import type { Contract } from '#contracts/contract.ts'
import { contractIndex, contractPage, schemaPage } from '#contracts/contract-page.ts'
import { contractTypes } from '#contracts/contract-types.ts'
import { contractView } from '#contracts/contract-view.ts'
import { validExamples } from '#contracts/examples.ts'
import { loadContracts } from '#contracts/load.ts'
import { isJsonObject, type JsonObject } from '#kernel/json.ts'

const ROOT = join(import.meta.dirname, '../..')
const set = loadContracts(ROOT)

function contract(ref: string): Contract {
  const found = set.get(ref)
  if (found === undefined) throw new RangeError(ref)
  return found
}

const withSchema = (schemaDocument: JsonObject): Contract => ({ ...contract('approval-result@1'), schemaDocument })

describe('the page of a contract', () => {
  const result = contract('approval-result@1')
  const page = (language: 'zh' | 'en') => contractPage(result, validExamples(ROOT, result.schema), language)

  test('every field has its name, its privacy class and its meaning in the language asked for', () => {
    expect(page('zh')).toMatch(/\| `\/handler` \| 办结人员 \|.*\| personal \|/)
    expect(page('en')).toMatch(/\| `\/handler` \| Handler \|.*\| personal \|/)
    expect(page('en')).toMatch(/\| `\/missingMaterials\/\*\/dueDate` \|/)
    expect(page('en')).not.toMatch(/## [^\n]*[一-鿿]/)
  })

  test('providers, recipients, limits, rules and examples stand on it', () => {
    const text = page('en')
    for (const part of ['role approval-platform', 'case-utility', '259200', '65536', 'finished-in-the-past'])
      expect(text).toContain(part)
    for (const { name } of validExamples(ROOT, result.schema)) expect(text).toContain(`### ${name}`)
  })

  test('a query says what it answers, for which purposes and on which legal bases', () => {
    const text = contractPage(contract('property-verification@1'), [], 'en')
    expect(text).toContain('| `property-certificate@1` |')
    expect(text).toContain('Purposes: power-connection, power-transfer')
  })

  test('no text of a schema ends a cell or is taken for HTML', () => {
    const field = { type: 'string', title: 'a|b', description: '<img src=x onerror=alert(1)>\n# no heading' }
    const text = contractPage(withSchema({ type: 'object', properties: { it: field } }), [], 'zh')
    expect(text).toContain('| `/it` | a\\|b | string |  |  | &lt;img src=x onerror=alert(1)> # no heading |')
  })

  test('the list names every contract, and the format of contracts is documented from its own schema', () => {
    const index = contractIndex(set.list(), 'en')
    for (const { ref } of set.list()) expect(index).toContain(`contracts/${ref}?lang=en`)
    const format = set.schema('contract-format/1.0.0.json')
    if (format === undefined) throw new RangeError()
    const text = schemaPage(format, 'en')
    for (const name of Object.keys(format.properties as JsonObject)) expect(text).toContain(`| \`/${name}\` |`)
  })
})

describe('types for connectors', () => {
  test('the file in the checkout is what the contracts make; run `npm run dianqiao -- contract types` when not', () => {
    const file = readFileSync(join(ROOT, 'src/connect/contract-types.ts'), 'utf8')
    expect(file).toBe(contractTypes(set.list()))
  })

  test('a mapping sees which members a contract requires and which codes there are', () => {
    const state: ContractData<'approval-result@1'>['resultState'] = '11'
    const opinion: ContractData<'approval-result@1'>['opinion'] = undefined
    expect([state, opinion]).toEqual(['11', undefined])
  })

  test('lists of alternatives, odd names, quotes and recursion keep the module well-formed', () => {
    const text = contractTypes([
      withSchema({
        type: 'object',
        properties: {
          'a-b': { type: 'array', items: { enum: ["it's", 'b"c'] } },
          tree: { $ref: '#/$defs/tree' },
          note: { type: 'string', title: 'ends */ here' },
        },
        required: ['tree'],
        $defs: { tree: { type: 'object', properties: { child: { $ref: '#/$defs/tree' } } } },
      }),
    ])
    expect(text).toContain(`readonly 'a-b'?: readonly ('it\\'s' | 'b"c')[]`)
    expect(text).toContain('readonly child?: unknown')
    expect(text).toContain('/** ends * / here */')
  })
})

test('the view of a contract is JSON: nothing compiled is in it', () => {
  for (const one of set.list()) {
    const view = contractView(one)
    expect(JSON.parse(JSON.stringify(view))).toEqual(view)
    expect(isJsonObject(view)).toBe(true)
  }
})
