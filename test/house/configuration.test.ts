import { expect, test } from 'vitest'
import { VARIABLES } from '#config.ts'
import { textOf } from './sources.ts'

/** Variables that the rows of the configuration table begin with. */
const documented = (file: string): string[] =>
  textOf(file)
    .split('\n')
    .filter((line) => /^\| `[A-Z][A-Z_]+`/.test(line))
    .flatMap((line) => [...(line.split('|')[1] ?? '').matchAll(/`([A-Z][A-Z_]+)`/g)].map(([, name = '']) => name))

test.each(['README.md', 'README.zh-CN.md'])('%s tells every variable that is read, and no other', (file) => {
  expect(documented(file).toSorted()).toEqual([...VARIABLES].toSorted())
})
