import { cpSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { durationSeconds } from '#contracts/duration.ts'
import { loadContracts } from '#contracts/load.ts'
import { validateAgainst } from '#contracts/validate.ts'
import { HubError } from '#kernel/errors.ts'

const ROOT = join(import.meta.dirname, '../..')
let root = ''

beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'contracts-'))
  cpSync(join(ROOT, 'contracts'), join(root, 'contracts'), { recursive: true })
  // Examples are the lint's to read.
  cpSync(join(ROOT, 'schemas'), join(root, 'schemas'), {
    recursive: true,
    filter: (from) => !from.endsWith('/examples'),
  })
})

afterEach(() => rmSync(root, { recursive: true }))

const byFile = (a: string, b: string): number => (a.replace('@1', '.yaml') < b.replace('@1', '.yaml') ? -1 : 1)

function edit(file: string, from: string, to: string): void {
  const text = readFileSync(join(root, file), 'utf8')
  if (!text.includes(from)) throw new RangeError(`${file} has no ${from}`)
  writeFileSync(join(root, file), text.replace(from, to))
}

function faults(): { pointer: string; rule: string }[] {
  try {
    loadContracts(root)
    return []
  } catch (error) {
    if (!(error instanceof HubError) || error.code !== 'contract.set_invalid') throw error
    for (const { message } of error.violations) expect(message.zh !== '' && message.en !== '').toBe(true)
    return error.violations.map(({ pointer, rule }) => ({ pointer, rule }))
  }
}

describe('loadContracts', () => {
  test('every contract is found by its wire name, and nothing else is', () => {
    const set = loadContracts(root)
    const names = readdirSync(join(root, 'contracts')).map((file) => `${file.replace('.yaml', '')}@1`)
    expect(set.list().map((contract) => contract.ref)).toEqual(names.toSorted(byFile))
    expect(set.get('approval-result@1')?.title.zh).toBe('审批结果')
    expect(set.get('approval-result@2')).toBeUndefined()
    expect(set.get('constructor')).toBeUndefined()
  })

  test('durations arrive in seconds and defaults are filled in', () => {
    const ack = loadContracts(root).get('delivery-ack@1')
    expect(ack).toMatchObject({ maxAgeSeconds: 604_800, deliverBySeconds: 259_200, maxBytes: 262_144, onDead: 'block' })
    const result = loadContracts(root).get('approval-result@1')
    expect(result).toMatchObject({ maxAgeSeconds: 600, maxBytes: 65_536, minOrigin: 'clerk-entered' })
    expect(result?.aliases).toEqual([{ scheme: 'affair-no', number: '/affairNo', issuer: 'sender' }])
  })

  test('a loaded contract cannot be changed, at any depth', () => {
    const contract = loadContracts(root).get('approval-result@1')
    expect(Object.isFrozen(contract)).toBe(true)
    expect(Object.isFrozen(contract?.rules[0]?.message)).toBe(true)
    expect(Object.isFrozen(contract?.schemaDocument.properties)).toBe(true)
  })

  test('the digest is that of the content: formatting leaves it, a bound changes it', () => {
    const before = loadContracts(root).digest
    writeFileSync(
      join(root, 'contracts/non-delivery.yaml'),
      `# note\n${readFileSync(join(root, 'contracts/non-delivery.yaml'), 'utf8')}`,
    )
    expect(loadContracts(root).digest).toBe(before)
    edit('schemas/delivery-ack/1.0.0.json', '"maxItems": 500', '"maxItems": 400')
    expect(loadContracts(root).digest).not.toBe(before)
  })

  test('one error lists every fault of every file', () => {
    edit('contracts/approval-result.yaml', 'sub: /affairNo', 'sub: /affairNumber\nretries: 3')
    edit('contracts/delivery-ack.yaml', 'kind: notice', 'kind: message')
    edit('schemas/non-delivery/1.0.0.json', '"$id": "non-delivery/1.0.0.json"', '"$id": "x"')
    expect(faults()).toEqual([
      { pointer: 'schemas/non-delivery/1.0.0.json#/$id', rule: 'id' },
      { pointer: 'contracts/approval-result.yaml#/retries', rule: 'additionalProperties' },
      { pointer: 'contracts/delivery-ack.yaml#/kind', rule: 'enum' },
    ])
  })

  test.each([
    ['approval-result', 'sub: /affairNo', 'sub: /affairNumber', '/sub', 'pointer'],
    ['approval-result', 'number: /affairNo', 'number: /number', '/aliases/0', 'pointer'],
    ['approval-result', '/divisionCode}', '/division}', '/routing/0/fallbackDivision', 'pointer'],
    ['approval-result', 'has(data.opinion)', 'has(data.opinion', '/rules/2', 'cel'],
    ['approval-result', 'has(data.opinion)', 'present(data.opinion)', '/rules/2', 'cel'],
    ['approval-result', 'id: refusal-states-reasons', 'id: finished-in-the-past', '/rules/2/id', 'rule-id'],
    ['approval-result', 'schema: approval-result/1.1.0', 'schema: approval-result/1.1.1', '/schema', 'schema'],
    ['business-licence', '[/copy/file]', '[/copy]', '/files/pointers/0', 'file-object'],
    ['business-licence', '[/copy/file]', '[/copy/nothing]', '/files/pointers/0', 'file-object'],
    ['business-licence', '[application/ofd, application/pdf]', '[application/zip]', '/files/mediaTypes/0', 'enum'],
    ['approval-result', 'name: approval-result', 'name: result', '/name', 'name'],
    ['delivery-ack', 'maxAge: P7D', 'maxAge: P1DT', '/maxAge', 'duration'],
    ['delivery-ack', 'owner: dianqiao', 'owner: dianqiao\nowner: other', '', 'yaml'],
    ['delivery-ack', 'zh: 投递签收', 'zh: &a 投递签收, jp: *a', '', 'yaml'],
    ['business-licence', 'code: /code}', 'code: /number}', '/document/holders/code', 'pointer'],
    ['resident-bundle', 'needs: identity-assertion@1', 'needs: business-licence@1', '/answers/needs', 'answers'],
    ['resident-bundle', 'data.assuranceLevel >= 4', 'data.assuranceLevel >=', '/answers/parts/0/conditions/0', 'cel'],
    ['property-verification', 'data.proofKind ==', 'data.proofKind = ', '/answers/parts/1/where', 'cel'],
    ['property-verification', 'key: /property', 'key: /proof', '/answers/parts/0/key', 'pointer'],
    ['identity-verification', '/holders/0/name', '/holders/0/title', '/answers/parts/0/applicantName', 'answers'],
    ['identity-verification', 'fields: [matched]', 'fields: [match]', '/answers/parts/0/fields/0', 'answers'],
    ['one-licence-bundle', 'property-certificate@1', 'business-licence@1', '/answers/parts/1/document', 'answers'],
    ['business-licence-query', 'entityName', 'entityname', '/answers/parts/0/fields/15', 'answers'],
    [
      'business-licence-query',
      'document: business-licence@1',
      'document: licence@1',
      '/answers/parts/0/document',
      'answers',
    ],
    [
      'business-licence-query',
      'document: business-licence@1',
      'document: delivery-ack@1',
      '/answers/parts/0/document',
      'answers',
    ],
    ['case-progress', 'case-record@1', 'electricity-bill@1', '/answers/parts/0/document', 'answers'],
    ['case-progress', 'source: case', 'source: projection', '/answers/parts/0/document', 'answers'],
    ['case-progress', 'source: case', 'source: case\n      key: /caseNo', '/answers/parts/0', 'answers'],
    ['case-progress', 'aliases, events]', 'aliases, event]', '/answers/parts/0/fields/6', 'answers'],
    ['business-licence-load', 'list: /rows', 'list: /lines', '/rows/list', 'pointer'],
    ['business-licence-load', 'business-licence@1}', 'delivery-ack@1}', '/rows/contract', 'rows'],
    ['business-licence-load', 'role: licence-authority', 'role: utility', '/providers', 'rows'],
    ['business-licence-load', 'to: none', 'to: pointer\n    pointer: /loadId', '/routing', 'rows'],
    ['business-licence-load', 'kind: event', 'kind: notice', '/kind', 'const'],
  ])('%s: %s → %s stops the start at its place', (name, from, to, pointer, rule) => {
    edit(`contracts/${name}.yaml`, from, to)
    expect(faults()).toContainEqual({ pointer: `contracts/${name}.yaml#${pointer}`, rule })
  })

  test.each([
    ['"$schema"', '"$dynamicRef": "#x",\n  "$schema"', '/$dynamicRef', 'keyword'],
    ['"$schema"', '"$dynamicAnchor": "x",\n  "$schema"', '/$dynamicAnchor', 'keyword'],
    ['"$schema"', '"$anchor": "x",\n  "$schema"', '/$anchor', 'keyword'],
    ['"$schema"', '"$vocabulary": {},\n  "$schema"', '/$vocabulary', 'keyword'],
    ['"$schema": "https://json-schema.org/draft/2020-12/schema"', '"$schema": "urn:own"', '/$schema', 'dialect'],
    ['"$schema": "https://json-schema.org/draft/2020-12/schema",', '', '/$schema', 'dialect'],
    [
      '"maxItems": 500',
      '"maxItems": 500, "contains": {"type": "object"}, "unevaluatedItems": false',
      '/properties/outcomes/unevaluatedItems',
      'keyword',
    ],
    [
      '"maxItems": 500',
      '"maxItems": 500, "unevaluatedProperties": false',
      '/properties/outcomes/unevaluatedProperties',
      'keyword',
    ],
    ['"maxItems": 500', '"maxItems": 500, "$id": "other.json"', '/properties/outcomes/$id', 'keyword'],
    ['"maxItems": 500', '"maxItems": 500, "x-check": true', '/properties/outcomes/x-check', 'keyword'],
    ['"format": "uuid"', '"format": "guid"', '/properties/outcomes/items/properties/delivery/format', 'format'],
    ['"format": "uuid"', '"$ref": "other.json"', '/properties/outcomes/items/properties/delivery/$ref', 'ref'],
    ['"format": "uuid"', '"$ref": "#/$defs/none"', '/properties/outcomes/items/properties/delivery/$ref', 'ref'],
    ['"maxItems": 500', '"maxItems": "500"', '/properties/outcomes/maxItems', 'meta'],
    ['"pattern": "^', '"pattern": "^(', '/properties/outcomes/items/properties/code/pattern', 'pattern'],
  ])('a schema with %s → %s stops the start at its place', (from, to, pointer, rule) => {
    edit('schemas/delivery-ack/1.0.0.json', from, to)
    expect(faults()).toContainEqual({ pointer: `schemas/delivery-ack/1.0.0.json#${pointer}`, rule })
  })

  test('a $ref to elsewhere stops the start and is never fetched', async () => {
    let asked = 0
    const server = createServer((_request, response) => {
      asked++
      response.end('{}')
    })
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    const { port } = server.address() as AddressInfo
    const $ref = `http://127.0.0.1:${port}/other.json`
    edit('schemas/delivery-ack/1.0.0.json', '"format": "uuid"', `"$ref": "${$ref}"`)
    const pointer = 'schemas/delivery-ack/1.0.0.json#/properties/outcomes/items/properties/delivery/$ref'
    expect(faults()).toContainEqual({ pointer, rule: 'ref' })
    expect(validateAgainst({ $ref }, {})).toMatchObject([{ rule: 'schema' }])
    await sleep(50)
    expect(asked).toBe(0)
    server.close()
  })

  test('a schema that is not JSON is named', () => {
    writeFileSync(join(root, 'schemas/delivery-ack/1.0.0.json'), '{')
    expect(faults()).toContainEqual({ pointer: 'schemas/delivery-ack/1.0.0.json#', rule: 'json' })
  })

  test('two files with the same name and major version are refused', () => {
    const text = readFileSync(join(root, 'contracts/delivery-ack.yaml'), 'utf8')
    writeFileSync(join(root, 'contracts/delivery-ack@1.yaml'), text)
    expect(faults()).toEqual([{ pointer: 'contracts/delivery-ack@1.yaml#/version', rule: 'duplicate' }])
  })

  test('a second major version stands beside the first', () => {
    const text = readFileSync(join(root, 'contracts/delivery-ack.yaml'), 'utf8')
    writeFileSync(join(root, 'contracts/delivery-ack@2.yaml'), text.replace(/^version: .*$/m, 'version: 2.1.0'))
    expect(loadContracts(root).get('delivery-ack@2')).toMatchObject({ major: 2, version: '2.1.0' })
  })
})

test('durations of weeks to seconds are read, and those without a fixed length are refused', () => {
  expect(['P3D', 'PT10M', 'P1W', 'P1DT2H3M4S'].map(durationSeconds)).toEqual([259_200, 600, 604_800, 93_784])
  for (const text of ['P', 'PT', 'P1M', 'P1Y', 'P1DT', '3D', 'P-1D', 'PT1.5S'])
    expect(durationSeconds(text)).toBeUndefined()
})
