import { basename } from 'node:path'
import { expect, test } from 'vitest'
import { sourceFiles, textOf } from './sources.ts'

/** Tables and what is generated, not code: they are read by looking up one entry. */
const TABLES: ReadonlySet<string> = new Set(['src/kernel/error-codes.ts', 'src/connect/contract-types.ts'])

const filesWith = (pattern: RegExp, files: readonly string[]): readonly string[] =>
  files.filter((file) => pattern.test(textOf(file)))

const ours = sourceFiles('src', 'connectors')

test('the house tests see the sources', () => {
  expect(ours).toContain('src/kernel/errors.ts')
})

test('errors of src and connectors are HubErrors with a code', () => {
  expect(filesWith(/\bnew (?:Type|Range|Syntax)?Error\(/, ours)).toEqual([])
})

test('no file of src is longer than 300 lines', () => {
  const long = ours.filter((file) => !TABLES.has(file) && textOf(file).trimEnd().split('\n').length > 300)
  expect(long).toEqual([])
})

test('only config.ts reads the environment', () => {
  expect(filesWith(/\bprocess\.env\b|\benv\b.*from 'node:process'/, ours)).toEqual(
    ours.filter((file) => file === 'src/config.ts'),
  )
})

test('files are named for what they hold, not utils, helpers or common', () => {
  const vague = /^(?:utils?|helpers?|common|lib|misc|services?|managers?|index)$/
  expect(ours.filter((file) => file.split('/').some((part) => vague.test(basename(part, '.ts'))))).toEqual([])
})

test('no default export, export *, enum or todo in src and connectors', () => {
  expect(filesWith(/^export default\b/m, ours)).toEqual([])
  expect(filesWith(/^export \*/m, ours)).toEqual([])
  expect(filesWith(/^(?:export )?(?:const )?enum\b/m, ours)).toEqual([])
  expect(filesWith(/\b(?:TODO|FIXME|XXX)\b/, sourceFiles('src', 'connectors', 'test/support'))).toEqual([])
})
