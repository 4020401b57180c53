import { expect, test } from 'vitest'
import { ERROR_CODES } from '#kernel/error-codes.ts'

const HAN = /\p{Script=Han}/u

test.each(Object.entries(ERROR_CODES))('%s has a title and a way out in Chinese and English', (code, text) => {
  expect(code).toMatch(/^[a-z]+\.[a-z_]+$/)
  for (const chinese of [text.zh, text.wayOutZh]) expect(chinese.trim()).not.toBe('')
  for (const english of [text.en, text.wayOutEn]) {
    expect(english.trim()).not.toBe('')
    expect(english).not.toMatch(HAN)
  }
  // a way out may be a bare path, a title never is
  expect(text.zh).toMatch(HAN)
})
