import { expect, test } from 'vitest'
import { type Asked, grantFor, judgeGrants } from '#documents/grants.ts'
import type { Grant } from '#exchange/party-register.ts'

const GRANT: Grant = {
  id: 'g',
  contract: 'business-licence-query@1',
  purpose: 'power-connection',
  fields: ['entityName', 'status'],
  legalBases: ['duty'],
  validFromMs: 1_000,
  validToMs: 2_000,
  networks: ['10.1.0.0/16', '2001:db8::/32'],
  caps: { party: undefined, operator: undefined, subject: undefined },
  agreement: undefined,
}
const ASKED: Asked = {
  contract: 'business-licence-query@1',
  purpose: 'power-connection',
  legalBasis: 'duty',
  fields: ['status'],
  source: '10.1.2.3',
  atMs: 1_500,
}

const rules = (change: Partial<Asked>): string[] =>
  judgeGrants([GRANT], { ...ASKED, ...change }).flatMap(({ reasons }) => reasons.map(({ rule }) => rule))

test.each<[string, Partial<Asked>, string[]]>([
  ['everything as granted', {}, []],
  ['no fields named', { fields: undefined }, []],
  ['the first millisecond', { atMs: 1_000 }, []],
  ['before it begins', { atMs: 999 }, ['grant.validity']],
  ['at its end', { atMs: 2_000 }, ['grant.validity']],
  ['another purpose', { purpose: 'other' }, ['grant:business-licence-query@1:other:duty']],
  ['another legal basis', { legalBasis: 'mandate' }, ['grant:business-licence-query@1:power-connection:mandate']],
  ['a field more', { fields: ['status', 'holders'] }, ['grant.field']],
  ['the other family of addresses', { source: '2001:db8::1' }, []],
  ['another network', { source: '10.2.0.1' }, ['grant.network']],
  ['no known address', { source: undefined }, ['grant.network']],
  [
    'nothing right',
    { atMs: 0, fields: ['x'], source: 'x', purpose: 'y' },
    ['grant.validity', 'grant:business-licence-query@1:y:duty', 'grant.field', 'grant.network'],
  ],
])('%s', (_name, change, expected) => {
  expect(rules(change)).toEqual(expected)
})

test('one grant must cover everything: two halves do not make one, and the nearest is told', () => {
  const other = { ...GRANT, id: 'h', fields: ['holders'], networks: undefined, validToMs: undefined }
  expect(grantFor([GRANT, other], { ...ASKED, fields: ['holders'], source: 'elsewhere' })).toBe(other)
  expect(() => grantFor([GRANT, other], { ...ASKED, fields: ['status', 'holders'] })).toThrow(
    expect.objectContaining({
      code: 'query.grant_missing',
      violations: [expect.objectContaining({ pointer: '/fields/1', rule: 'grant.field' })],
    }),
  )
  expect(() => grantFor([], ASKED)).toThrow(expect.objectContaining({ code: 'query.grant_missing' }))
})
