import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { compat } from '#contracts/compat/compare.ts'
import type { JsonObject } from '#kernel/json.ts'

const SCHEMAS = join(import.meta.dirname, '../../../schemas')
const byVersion = new Intl.Collator('en', { numeric: true }).compare
const versionsOf = (name: string): string[] =>
  readdirSync(join(SCHEMAS, name))
    .filter((file) => /^\d+\.\d+\.\d+\.json$/.test(file))
    .toSorted(byVersion)

const folders = readdirSync(SCHEMAS, { withFileTypes: true }).filter((entry) => entry.isDirectory())
/** Each version with the one before it of the same major. */
const pairs = folders.flatMap(({ name }) => {
  const versions = versionsOf(name)
  return versions.slice(1).flatMap((next, i) => {
    const earlier = versions[i] ?? ''
    return earlier.split('.')[0] === next.split('.')[0] ? [{ name, earlier, next }] : []
  })
})

const read = (name: string, version: string): JsonObject =>
  JSON.parse(readFileSync(join(SCHEMAS, name, version), 'utf8')) as JsonObject

test('some schema has a second version, or the next test says nothing', () => {
  expect(pairs.length).toBeGreaterThan(0)
})

test.each(pairs)('$name $next takes all that $earlier took', ({ name, earlier, next }) => {
  expect(compat(read(name, earlier), read(name, next), 'backward')).toEqual({ verdict: 'compatible', changes: [] })
})
