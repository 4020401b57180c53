import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { lintPrivacy } from '#contracts/lint-privacy.ts'
import { loadContracts } from '#contracts/load.ts'
import { privacyIndex } from '#contracts/privacy.ts'
import { HubError } from '#kernel/errors.ts'
import type { JsonObject } from '#kernel/json.ts'

const ROOT = join(import.meta.dirname, '../..')
let root = ''

beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'privacy-'))
  for (const folder of ['contracts', 'schemas']) cpSync(join(ROOT, folder), join(root, folder), { recursive: true })
})
afterEach(() => rmSync(root, { recursive: true }))

/** Tags a property of a schema as personal. */
function tag(schema: string, property: string, value: object = { class: 'personal', mask: 'name' }): void {
  const file = join(root, 'schemas', schema)
  const text = JSON.parse(readFileSync(file, 'utf8')) as { properties: Record<string, object> }
  text.properties[property] = { ...text.properties[property], 'x-privacy': value }
  writeFileSync(file, JSON.stringify(text))
}

/** Where the start stops for a rule. */
function faults(rule: string): string[] {
  try {
    loadContracts(root)
    return []
  } catch (error) {
    if (!(error instanceof HubError)) throw error
    return error.violations.filter((fault) => fault.rule === rule).map(({ pointer }) => pointer)
  }
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
  tag('approval-result/1.1.0.json', 'affairNo')
  tag('business-licence/1.1.0.json', 'certificateIdentifier')
  expect(faults('personal-key').toSorted()).toEqual([
    'contracts/approval-result.yaml#/aliases/0',
    'contracts/approval-result.yaml#/sub',
    'contracts/business-licence.yaml#/document/identifier',
  ])
})

test('the subject of a query may be personal: it is stored sealed only', () => {
  tag(loadContracts(root).get('business-licence-query@1')?.schema ?? '', 'uscc')
  expect(loadContracts(root).get('business-licence-query@1')?.personal).toBe(true)
})

test('the index names every personal field with class, mask, legal basis and retention', () => {
  const contract = loadContracts(root).get('property-certificate@1')
  if (contract === undefined) throw new RangeError()
  const policy = contract.legalBasis.policyDocument
  expect(privacyIndex(contract).map(({ pointer, ...entry }) => [pointer, ...Object.values(entry)])).toEqual(
    expect.arrayContaining([
      ['/holders/*/name', 'personal', 'name', policy, 'archive'],
      ['/holders/*/code', 'sensitive-personal', 'id-number', policy, 'archive'],
      ['/location', 'personal', 'address', policy, 'archive'],
    ]),
  )
})

test.each([
  [{ class: 'secret', mask: 'name' }],
  [{ class: 'personal', mask: 'face' }],
  [{ class: 'personal', mask: 'name', legalBasis: '' }],
  [{ class: 'personal', mask: 'name', retention: 'for-ever' }],
  [{ class: 'personal', mask: 'name', note: 'x' }],
  ['personal'],
])('a tag %o stops the start at its place', (value) => {
  tag('approval-result/1.1.0.json', 'handler', value as object)
  expect(faults('privacy')).toEqual(['schemas/approval-result/1.1.0.json#/properties/handler/x-privacy'])
})

test('a tag that wants another retention than its contract has stops the start', () => {
  tag('approval-result/1.1.0.json', 'handler', { class: 'personal', mask: 'name', retention: 'delivered' })
  expect(faults('privacy-retention')).toEqual(['contracts/approval-result.yaml#/retention'])
})

test('a sensitive field is never answered, unless its tag names why it may be', () => {
  const sensitive = { class: 'sensitive-personal', mask: 'hidden' }
  tag('business-licence/1.1.0.json', 'premises', sensitive)
  expect(faults('privacy-minimise')).toContain('contracts/business-licence-query.yaml#/answers/parts/0/fields/23')
  tag('business-licence/1.1.0.json', 'premises', { ...sensitive, legalBasis: '个人信息保护法第二十九条' })
  expect(faults('privacy-minimise')).toEqual([])
})

test('what is evidently personal and carries no tag is found', () => {
  const text = (title: string, more: object = {}) => ({ type: 'string', title, ...more })
  const schema = {
    type: 'object',
    properties: {
      phone: text('号码'),
      reporter: text('报装人姓名'),
      number: text('编号', { format: 'resident-id' }),
      applicant: { type: 'object', properties: { name: text('名称') } },
      contactType: text('联系方式类型'),
      entityName: text('企业名称'),
      mobile: text('手机', { 'x-privacy': { class: 'personal', mask: 'phone' } }),
    },
  } as JsonObject
  expect(lintPrivacy(schema).map(({ pointer }) => pointer)).toEqual([
    '/properties/phone',
    '/properties/reporter',
    '/properties/number',
    '/properties/applicant/properties/name',
  ])
})
