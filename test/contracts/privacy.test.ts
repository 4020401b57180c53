import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { loadContracts } from '#contracts/load.ts'

const ROOT = join(import.meta.dirname, '../..')
let root = ''

beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'privacy-'))
  for (const folder of ['contracts', 'schemas']) cpSync(join(ROOT, folder), join(root, folder), { recursive: true })
})
afterEach(() => rmSync(root, { recursive: true }))

/** Tags a property of a schema as personal. */
function tag(schema: string, property: string): void {
  const file = join(root, 'schemas', schema)
  const text = JSON.parse(readFileSync(file, 'utf8')) as { properties: Record<string, object> }
  text.properties[property] = { ...text.properties[property], 'x-privacy': { class: 'personal', mask: 'name' } }
  writeFileSync(file, JSON.stringify(text))
}

test('a contract is personal when its schema tags anything as such', () => {
  const contracts = loadContracts(root)
  const personal = contracts.list().filter((contract) => contract.personal)
  expect(personal.map(({ name }) => name)).toEqual(
    expect.arrayContaining(['approval-result', 'business-licence', 'power-application']),
  )
  expect(contracts.get('delivery-ack@1')?.personal).toBe(false)
})

test('a contract says how long it is kept, or its kind does', () => {
  const contracts = loadContracts(root)
  const kept = (ref: string) => contracts.get(ref)?.retention
  expect(kept('approval-result@1')).toBe('archive')
  expect(kept('power-application@1')).toBe('delivered')
  expect(kept('business-licence@1')).toBe('archive')
  expect(kept('business-licence-query@1')).toBe('access')
  expect(kept('non-delivery@1')).toBe('delivered')
})

test('what is personal cannot be a key that stands in the clear: business key, case number, identifier', () => {
  const contracts = loadContracts(root)
  const schemaOf = (ref: string): string => contracts.get(ref)?.schema ?? ''
  tag(schemaOf('approval-result@1'), 'affairNo')
  tag(schemaOf('business-licence@1'), 'certificateIdentifier')
  let pointers: string[] = []
  try {
    loadContracts(root)
  } catch (error) {
    const { violations } = error as { violations: { pointer: string; rule: string }[] }
    pointers = violations.filter(({ rule }) => rule === 'personal-key').map(({ pointer }) => pointer)
  }
  expect(pointers.toSorted()).toEqual([
    'contracts/approval-result.yaml#/aliases/0',
    'contracts/approval-result.yaml#/sub',
    'contracts/business-licence.yaml#/document/identifier',
  ])
})

test('the subject of a query may be personal: it is stored sealed only', () => {
  tag(loadContracts(root).get('business-licence-query@1')?.schema ?? '', 'uscc')
  expect(loadContracts(root).get('business-licence-query@1')?.personal).toBe(true)
})
