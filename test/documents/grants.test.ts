import { expect, test } from 'vitest'
import type { Dataset } from '#contracts/contract.ts'
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
  allowed: { purposes: ['power-connection', 'other', 'y'], legalBases: ['duty', 'mandate'] },
  datasets: [{ catalogueCode: 'c', shareType: 'unconditional', providerDepartment: 'd' }],
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
  [
    'a purpose that the contract does not have, though it is granted',
    { allowed: { purposes: ['other'], legalBases: ['duty'] } },
    ['contract.purpose'],
  ],
  [
    'a legal basis that the contract does not have, though it is granted',
    { allowed: { purposes: ['power-connection'], legalBases: ['consent'] } },
    ['contract.legal_basis'],
  ],
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

/** The last millisecond of the first day of 1970 in Asia/Shanghai, and the first of the next. */
const [DAY_ENDS, DAY_AFTER] = [57_599_999, 57_600_000]
const dataset = (change: Partial<Dataset>): Dataset => ({
  catalogueCode: 'c',
  providerDepartment: 'd',
  shareType: 'conditional',
  approval: { no: 'n', until: '1970-01-01' },
  ...change,
})
const { approval: _without, ...unapproved } = dataset({})

test.each<[string, (Dataset | undefined)[], number, string[]]>([
  ['an unconditional dataset without an approval', [{ ...unapproved, shareType: 'unconditional' }], 0, []],
  ['a conditional dataset on the last day of its approval', [dataset({})], DAY_ENDS, []],
  ['the day after it', [dataset({})], DAY_AFTER, ['dataset.approval_lapsed']],
  [
    'an unconditional dataset whose approval has ended',
    [dataset({ shareType: 'unconditional' })],
    DAY_AFTER,
    ['dataset.approval_lapsed'],
  ],
  ['a conditional dataset without an approval', [unapproved], 0, ['dataset.no_approval']],
  ['a dataset that is not shared, whatever was approved', [dataset({ shareType: 'none' })], 0, ['dataset.not_shared']],
  ['no dataset', [undefined], 0, ['dataset.not_shared']],
  ['one of two that is not shared', [dataset({}), dataset({ shareType: 'none' })], 0, ['dataset.not_shared']],
])('%s', (_name, datasets, atMs, expected) => {
  const always = { ...GRANT, validFromMs: 0, validToMs: undefined }
  const judged = judgeGrants([always], { ...ASKED, datasets, atMs })
  expect(judged.flatMap(({ reasons }) => reasons.map(({ rule }) => rule))).toEqual(expected)
})

test('one grant must cover everything: two halves do not make one, and the nearest is told', () => {
  const other = { ...GRANT, id: 'h', fields: ['holders'], networks: undefined, validToMs: undefined }
  expect(grantFor([GRANT, other], { ...ASKED, fields: ['holders'], source: 'elsewhere' })).toBe(other)
  expect(() => grantFor([GRANT, other], { ...ASKED, fields: ['status', 'holders'] })).toThrow(
    expect.objectContaining({
      code: 'query.grant_missing',
      decidedBy: 'g',
      violations: [expect.objectContaining({ pointer: '/fields/1', rule: 'grant.field' })],
    }),
  )
  expect(() => grantFor([], ASKED)).toThrow(
    expect.objectContaining({ code: 'query.grant_missing', decidedBy: undefined }),
  )
})
