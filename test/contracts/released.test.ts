import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { RELEASED_FILE, releasedFaults, releaseSchemas } from '#contracts/released.ts'
import { readSchemas } from '#contracts/schema-files.ts'
import { HubError } from '#kernel/errors.ts'

const ROOT = join(import.meta.dirname, '../..')
const ACK = 'delivery-ack/1.0.0.json'
let root = ''

beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'released-'))
  cpSync(join(ROOT, 'schemas'), join(root, 'schemas'), { recursive: true })
  writeFileSync(join(root, RELEASED_FILE), '# nothing yet\n')
})

afterEach(() => rmSync(root, { recursive: true }))

const found = () =>
  releasedFaults(root, readSchemas(root).schemas).map(({ pointer, rule, message }) => [pointer, rule, message.en])
const read = () => readFileSync(join(root, RELEASED_FILE), 'utf8')

function edit(from: string, to: string): void {
  const file = join(root, 'schemas', ACK)
  const text = readFileSync(file, 'utf8')
  if (!text.includes(from)) throw new RangeError(from)
  writeFileSync(file, text.replace(from, to))
}

function refusal(act: () => unknown): string[] {
  try {
    act()
    return []
  } catch (error) {
    if (!(error instanceof HubError) || error.code !== 'contract.set_invalid') throw error
    return error.violations.map(({ pointer, rule }) => `${pointer} ${rule}`)
  }
}

describe('released schemas', () => {
  test('a released schema that changed says to publish a new version; its formatting may change', () => {
    expect(releaseSchemas(root, [ACK])).toEqual([ACK])
    writeFileSync(
      join(root, 'schemas', ACK),
      JSON.stringify(JSON.parse(readFileSync(join(root, 'schemas', ACK), 'utf8'))),
    )
    expect(found()).toEqual([])
    edit('"maxItems":500', '"maxItems":501')
    expect(found()).toEqual([
      [`schemas/${ACK}#`, 'released', 'a released schema may not change; restore it and publish a new version'],
    ])
  })

  test('a released schema that vanished is found', () => {
    releaseSchemas(root, [ACK])
    rmSync(join(root, 'schemas', ACK))
    expect(found()).toEqual([[`schemas/${ACK}#`, 'released', 'a released schema may not vanish; restore the file']])
  })

  test('releasing twice adds nothing, and the list stays sorted', () => {
    releaseSchemas(root, ['non-delivery/1.0.0.json'])
    expect(releaseSchemas(root, [ACK, 'non-delivery/1.0.0.json'])).toEqual([ACK])
    const lines = read()
      .split('\n')
      .filter((line) => /^[a-z]/.test(line))
    expect(lines.map((line) => line.split(':')[0])).toEqual([ACK, 'non-delivery/1.0.0.json'])
  })

  test('a change cannot be released over the old content, and nothing is written', () => {
    releaseSchemas(root, [ACK])
    const before = read()
    edit('"maxItems": 500', '"maxItems": 501')
    expect(refusal(() => releaseSchemas(root, ['non-delivery/1.0.0.json', ACK]))).toEqual([`schemas/${ACK}# released`])
    expect(read()).toBe(before)
  })

  test('what does not exist or is faulty cannot be released', () => {
    edit('"maxItems": 500', '"maxItems": "500"')
    expect(refusal(() => releaseSchemas(root, [ACK, 'nothing/1.0.0.json']))).toEqual([
      `schemas/${ACK}#/properties/outcomes/maxItems meta`,
      'schemas/nothing/1.0.0.json# schema',
    ])
  })

  test('a list that is missing or is no list of digests is found', () => {
    writeFileSync(join(root, RELEASED_FILE), `${ACK}: [x]\n`)
    expect(found().map(([pointer, rule]) => [pointer, rule])).toEqual([['schemas/released.yaml#', 'yaml']])
    rmSync(join(root, RELEASED_FILE))
    expect(found().map(([pointer, rule]) => [pointer, rule])).toEqual([['schemas/released.yaml#', 'missing']])
  })
})
