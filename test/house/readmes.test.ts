import { expect, test } from 'vitest'
import { textOf } from './sources.ts'

interface Shape {
  readonly headings: readonly number[]
  readonly commands: readonly string[]
}

/** Heading levels outside code, and the lines of shell blocks; a comment in a block may be translated. */
function shapeOf(text: string): Shape {
  const headings: number[] = []
  const commands: string[] = []
  let block: string | undefined
  for (const line of text.split('\n')) {
    const fence = /^\s*```(\S*)/.exec(line)
    if (fence !== null) {
      block = block === undefined ? (fence[1] ?? '') : undefined
      continue
    }
    if (block === undefined) {
      const marks = /^(#{1,6}) /.exec(line)?.[1]
      if (marks !== undefined) headings.push(marks.length)
      continue
    }
    const command = line.replace(/(?:^|\s)#.*$/, '').trim()
    if (/^(?:sh|bash|shell|console)$/.test(block) && command !== '') commands.push(command)
  }
  return { headings, commands }
}

const english = shapeOf(textOf('README.md'))
const chinese = shapeOf(textOf('README.zh-CN.md'))

test('both READMEs have the same headings, level by level', () => {
  expect(english.headings.length).toBeGreaterThan(0)
  expect(chinese.headings).toEqual(english.headings)
})

test('both READMEs show the same commands', () => {
  expect(english.commands.length).toBeGreaterThan(0)
  expect(chinese.commands).toEqual(english.commands)
})
