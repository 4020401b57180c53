import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { checkVersions } from '#contracts/compat/check.ts'
import type { Contract } from '#contracts/contract.ts'
import { readSources } from '#contracts/load.ts'
import type { JsonObject } from '#kernel/json.ts'

const { contracts, schemas } = readSources(join(import.meta.dirname, '../../..'))
const found = contracts.find(({ name }) => name === 'delivery-ack')
if (found === undefined) throw new RangeError()
const contract: Contract = { ...found, ref: 'thing@1', schema: 'thing/1.10.0.json' }

const closed = (properties: JsonObject, required: readonly string[] = []): JsonObject => ({
  type: 'object',
  properties,
  required,
  additionalProperties: false,
})
const TEXT = { type: 'string', maxLength: 10 }

const check = (mode: Contract['compatibility'], versions: Readonly<Record<string, JsonObject>>) =>
  checkVersions(
    [{ ...contract, compatibility: mode }],
    new Map(Object.entries(versions).map(([version, schema]) => [`thing/${version}.json`, schema])),
  ).map(({ schema, earlier, verdict }) => `${earlier.join('+')} → ${schema}: ${verdict}`.replaceAll('thing/', ''))

describe('versions of a schema', () => {
  test('the published ones honour what their contracts demand', () => {
    const checks = checkVersions(contracts, schemas)
    expect(checks.map(({ schema }) => schema)).toContain('approval-result/1.1.0.json')
    expect(checks.filter(({ verdict }) => verdict !== 'compatible')).toEqual([])
  })

  test('each step is judged, in the order of numbers, up to the version in use', () => {
    const versions = {
      '1.10.0': closed({ a: TEXT, b: TEXT }),
      '1.2.0': closed({ a: TEXT }),
      '1.11.0': closed({ a: TEXT }, ['a']),
    }
    expect(check('backward', versions)).toEqual(['1.2.0.json → 1.10.0.json: compatible'])
    expect(check('forward', versions)).toEqual(['1.2.0.json → 1.10.0.json: incompatible'])
  })

  test('a step that takes less than before is incompatible', () => {
    expect(check('backward', { '1.2.0': closed({ a: TEXT }), '1.10.0': closed({ a: TEXT }, ['a']) })).toEqual([
      '1.2.0.json → 1.10.0.json: incompatible',
    ])
  })

  test('transitive looks back at every earlier version, not only the last', () => {
    const versions = { '1.0.0': closed({ a: TEXT }), '1.1.0': closed({ a: TEXT }), '1.10.0': closed({ a: TEXT }) }
    expect(check('transitive', versions)).toEqual([
      '1.0.0.json → 1.1.0.json: compatible',
      '1.0.0.json+1.1.0.json → 1.10.0.json: compatible',
    ])
  })

  test('a new major may break, and other schemas with a like name are not looked at', () => {
    expect(check('full', { '0.9.0': closed({ z: TEXT }), '1.10.0': closed({ a: TEXT }) })).toEqual([])
    const others = new Map([
      ['thing-else/1.0.0.json', closed({ z: TEXT })],
      ['thing/1.10.0.json', closed({ a: TEXT })],
    ])
    expect(checkVersions([contract], others)).toEqual([])
  })
})
