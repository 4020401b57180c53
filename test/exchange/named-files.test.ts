import { expect, test } from 'vitest'
import { namedFiles } from '#exchange/named-files.ts'
import type { HubError } from '#kernel/errors.ts'

const NOW = Date.parse('2026-11-25T00:00:00Z')
const contract = {
  files: { pointers: ['/photo', '/drawings'], maxBytes: 100, mediaTypes: ['image/png'] },
} as const
const file = (change: object = {}) => ({
  digest: 'sha-256:47DEQpj8HBSa-_TImW-5JCeuQeRkm5NMpJWZG3hSuFU',
  bytes: 7,
  mediaType: 'image/png',
  copyExpiresAt: '2026-11-25T00:00:01Z',
  ...change,
})

function refusal(data: object): readonly [string, readonly string[]] {
  try {
    namedFiles(contract, data as never, NOW)
    return ['accepted', []]
  } catch (error) {
    const { code, violations } = error as HubError
    return [code, violations.map(({ pointer }) => pointer)]
  }
}

test('files stand at their pointers, one or a list of them; a contract without files has none', () => {
  const data = { photo: file(), drawings: [file(), file({ bytes: 8 })], other: file() }
  expect(namedFiles(contract, data, NOW).map(({ pointer, bytes }) => `${pointer} ${bytes}`)).toEqual([
    '/photo 7',
    '/drawings/0 7',
    '/drawings/1 8',
  ])
  expect(namedFiles({}, data, NOW)).toEqual([])
  expect(namedFiles(contract, {}, NOW)).toEqual([])
})

test('every one that the contract does not carry is told, each at its place', () => {
  const data = { photo: file({ bytes: 101 }), drawings: [file(), file({ mediaType: 'image/jpeg' })] }
  expect(refusal(data)).toEqual(['file.not_carried', ['/photo/bytes', '/drawings/1/mediaType']])
})

test('a copy must expire after the hub’s time', () => {
  const data = { photo: file({ copyExpiresAt: '2026-11-25T08:00:00+08:00' }), drawings: [file()] }
  expect(refusal(data)).toEqual(['file.copy_expired', ['/photo/copyExpiresAt']])
})
