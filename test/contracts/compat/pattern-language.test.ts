import fc from 'fast-check'
import { expect, test } from 'vitest'
import { findText } from '#contracts/compat/pattern-language.ts'

const anyLength = { minLength: 0, maxLength: Number.POSITIVE_INFINITY }

test.each([
  ['^\\d{18}$', '^\\d{15,18}$', 'none'],
  ['^[A-F]+$', '^[0-9A-F]*$', 'none'],
  ['^(?:ab|cd){2}$', '^[a-d]{4}$', 'none'],
  ['^a', 'a', 'none'],
  ['^\\u4e00$', '^[\\u{4e00}-\\u9fa5]$', 'none'],
  ['^[^0-9]$', '^\\D$', 'none'],
  ['^.$', '^[^\\n]$', 'none'],
  ['^\\d{15,18}$', '^\\d{18}$', 'text'],
  ['^.*$', '^[a-z]*$', 'text'],
  ['a', '^a', 'text'],
  ['^(?=a)a$', '^b$', 'unknown'],
  ['^(a)\\1$', '^b$', 'unknown'],
  ['^a|b$', '^c$', 'unknown'],
  ['^\\p{L}$', '^c$', 'unknown'],
])('texts of %s that are none of %s: %s', (matching, notMatching, kind) => {
  const found = findText({ matching: [matching], notMatching, ...anyLength })
  expect(found.kind).toBe(kind)
  if (found.kind !== 'text') return
  expect(new RegExp(matching, 'u').test(found.text)).toBe(true)
  expect(new RegExp(notMatching, 'u').test(found.text)).toBe(false)
})

test('lengths count code points and bound the search', () => {
  expect(findText({ matching: ['^[\\u{20000}-\\u{20010}]+$'], minLength: 3, maxLength: 3 })).toMatchObject({
    kind: 'text',
  })
  expect(findText({ matching: ['^\\d+$'], minLength: 5, maxLength: 5 })).toEqual({ kind: 'text', text: '00000' })
  expect(findText({ matching: ['^\\d{2}$', '^\\d{3}$'], ...anyLength })).toEqual({ kind: 'none' })
  expect(findText({ matching: [], minLength: 3, maxLength: 2 })).toEqual({ kind: 'none' })
})

test('agrees with the regular expressions of the language for every short text', () => {
  const piece = fc.constantFrom('a', 'b', '[ab]', '[^a]', '(?:a|ba)', '(?:ab)?', 'a*', 'b+', '[a-c]{1,2}', '.')
  const pattern = fc.array(piece, { minLength: 1, maxLength: 3 }).map((pieces) => `^${pieces.join('')}$`)
  const texts = ['', ...'abc', ...['aa', 'ab', 'ba', 'bb', 'cc', 'aba', 'bab', 'abc', 'aaaa', 'abab']]
  fc.assert(
    fc.property(pattern, pattern, (matching, notMatching) => {
      const found = findText({ matching: [matching], notMatching, ...anyLength })
      const [first, second] = [new RegExp(matching, 'u'), new RegExp(notMatching, 'u')]
      if (found.kind === 'none') expect(texts.filter((text) => first.test(text) && !second.test(text))).toEqual([])
      else if (found.kind === 'text') expect([first.test(found.text), second.test(found.text)]).toEqual([true, false])
    }),
    { numRuns: 300 },
  )
})
