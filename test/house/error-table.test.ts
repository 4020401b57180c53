import { expect, test } from 'vitest'
import { errorTable } from '#gateway/error-table.ts'
import { textOf } from './sources.ts'

/** The formatter pads the columns of Markdown tables: only the cells count. */
const cells = (table: string): string[][] =>
  table
    .trim()
    .split('\n')
    .map((line) => line.split('|').map((cell) => cell.trim().replace(/^-+$/, '---')))

test.each([
  ['README.md', 'en'],
  ['README.zh-CN.md', 'zh'],
] as const)('%s shows every error code as the hub answers it (dianqiao error ls)', (file, language) => {
  const shown = /<!-- errors:begin -->\n([\s\S]*?)<!-- errors:end -->/.exec(textOf(file))?.[1]
  expect(cells(shown ?? '')).toEqual(cells(errorTable(language)))
})
