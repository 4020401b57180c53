import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { loadContracts } from '#contracts/load.ts'
import { checkRules } from '#contracts/rules.ts'
import { validateData } from '#contracts/validate.ts'
import type { JsonObject } from '#kernel/json.ts'

const ROOT = join(import.meta.dirname, '../..')
const NOW = Date.parse('2026-11-22T00:00:00Z')
const contracts = loadContracts(ROOT)

/** What a whole message breaks: `pointer rule` of its schema and error rules, and `warning rule` of the others. */
function broken(name: string, data: JsonObject, claims: JsonObject = {}): string[] {
  const contract = contracts.get(`${name}@1`)
  if (contract === undefined) throw new RangeError(name)
  const { errors, warnings } = checkRules(contract, { data, claims, nowMs: NOW })
  const schema = validateData(contract, data)
  return [
    ...[...schema, ...errors].map(({ pointer, rule }) => `${pointer} ${rule}`),
    ...warnings.map(({ rule }) => `warning ${rule}`),
  ]
}

const example = (name: string, file: string): JsonObject =>
  JSON.parse(readFileSync(join(ROOT, 'schemas', name, 'examples/valid', `${file}.json`), 'utf8')) as JsonObject

describe('电价公告 tariff notice: at least one calendar month ahead (task 25)', () => {
  const notice = example('tariff-notice', 'industrial')
  test.each([
    ['2026-01-31', '2026-02-28', []],
    ['2026-01-31', '2026-02-27', ['/effectiveDate one-month-ahead']],
    ['2024-01-31', '2024-02-29', []],
    ['2024-01-31', '2024-02-28', ['/effectiveDate one-month-ahead']],
    ['2026-03-15', '2026-04-15', []],
    ['2026-03-15', '2026-04-14', ['/effectiveDate one-month-ahead']],
    ['2025-12-31', '2026-01-31', []],
    ['2025-12-31', '2026-01-30', ['/effectiveDate one-month-ahead']],
    ['2026-02-30', '2026-12-31', ['/publishDate date', '/effectiveDate one-month-ahead']],
  ])('published on %s, in effect from %s: %j', (publishDate, effectiveDate, wanted) => {
    expect(broken('tariff-notice', { ...notice, publishDate, effectiveDate })).toEqual(wanted)
  })
})

describe('connection progress: cancelled stages and owners (tasks 1, 12)', () => {
  const low = example('connection-progress', 'low-voltage')
  const stage = (name: string, owner = 'UTILITY'): JsonObject => ({
    stage: name,
    owner,
    startedAt: '2026-09-08T09:00:00+08:00',
    endedAt: '2026-09-08T17:00:00+08:00',
  })
  test.each(['设计审查', '中间检查', '竣工检验'])('low voltage may not report %s, high voltage may', (cancelled) => {
    for (const category of ['R', 'L0', 'L1']) {
      const data = { ...low, category, stages: [stage('用电申请'), stage(cancelled)] }
      expect(broken('connection-progress', data)).toEqual(['/stages low-voltage-without-cancelled-stages'])
    }
    const high = { ...low, category: 'H2', voltageLevel: '10kV', stages: [stage(cancelled)] }
    expect(broken('connection-progress', high)).toEqual([])
  })

  test('20 kV is high voltage, and a low-voltage category cannot name it', () => {
    expect(broken('connection-progress', { ...low, category: 'H1', voltageLevel: '20kV' })).toEqual([])
    expect(broken('connection-progress', { ...low, category: 'L0', voltageLevel: '20kV' })).toEqual([
      '/category category-fits-voltage',
    ])
  })

  test('rework stands in a row of its own, and the utility’s own stages given to the customer warn', () => {
    expect(broken('connection-progress', { ...low, stages: [stage('装表接电'), stage('装表接电')] })).toEqual([])
    expect(broken('connection-progress', { ...low, stages: [stage('装表接电', 'CUSTOMER')] })).toEqual([
      'warning meter-on-is-the-utility',
    ])
  })
})

describe('charge notice: nothing upstream, nothing outside the catalogue (task 17)', () => {
  const notice = example('charge-notice', 'zero-charge')
  const items = (isUpstream: boolean, amountFen: number, catalogueItem = 'FEE-150400@2026.1#3'): JsonObject => ({
    items: [{ catalogueItem, name: '接入工程费', isUpstream, amountFen, basis: '示例依据' }],
  })

  test('one fen upstream is too much for R and L0, and for nobody else', () => {
    for (const category of ['R', 'L0']) {
      expect(broken('charge-notice', { ...notice, category, ...items(true, 0) })).toEqual([])
      expect(broken('charge-notice', { ...notice, category, ...items(true, 1) })).toEqual(['/items nothing-upstream'])
      expect(broken('charge-notice', { ...notice, category, ...items(false, 1) })).toEqual([])
    }
    for (const category of ['L1', 'H1', 'H2'])
      expect(broken('charge-notice', { ...notice, category, ...items(true, 1) })).toEqual([])
  })

  test('an amount of 0.0 is the whole number 0', () => {
    const data = JSON.parse(
      JSON.stringify({ ...notice, ...items(true, 0) }).replace('"amountFen":0', '"amountFen":0.0'),
    )
    expect(broken('charge-notice', data)).toEqual([])
  })

  test.each(['其他费用', 'FEE-150400', 'FEE-150400@2026.1', 'FEE-150400#3', 'fee-150400@2026.1#3', 'FEE@2026.1#3x'])(
    'a charge for %s names no item of a published catalogue',
    (catalogueItem) => {
      expect(broken('charge-notice', { ...notice, ...items(false, 100, catalogueItem) })).toEqual([
        '/items/0/catalogueItem pattern',
      ])
    },
  )

  test('the reference that a published catalogue gives its items is one that a charge can name', () => {
    const { disclosureKey, feeItems } = example('public-disclosure', 'fee-catalogue')
    for (const { no } of feeItems as JsonObject[])
      expect(broken('charge-notice', { ...notice, ...items(false, 100, `${disclosureKey}#${no}`) })).toEqual([])
  })

  test('an affiliate that takes money upstream warns even where it is allowed', () => {
    const data = { ...example('charge-notice', 'high-voltage-affiliate'), ...items(true, 100) }
    expect(broken('charge-notice', data)).toEqual(['warning affiliate-takes-nothing-upstream'])
  })
})

describe('outage notice: lead time, documents, changes (task 21)', () => {
  const planned = example('outage-notice', 'planned')
  const from = (type: string, publishedAt: string, more: JsonObject = {}): string[] =>
    broken('outage-notice', { ...planned, type, publishedAt, plannedStart: '2026-09-10T08:00:00+08:00', ...more })

  test.each([
    ['01', '2026-09-03T08:00:00+08:00', []],
    ['01', '2026-09-03T08:00:01+08:00', ['warning planned-seven-days-ahead']],
    ['01', '2026-09-03T00:00:01Z', ['warning planned-seven-days-ahead']],
    ['07', '2026-09-09T08:00:00+08:00', []],
    ['07', '2026-09-09T08:00:01+08:00', ['warning temporary-one-day-ahead']],
    ['02', '2026-09-10T08:00:00+08:00', []],
  ])('type %s published at %s: %j', (type, publishedAt, wanted) => {
    expect(from(type, publishedAt)).toEqual(wanted)
  })

  test('06 without its legal basis is refused, with it it passes', () => {
    const { legalBasisDocument, ...orderly } = example('outage-notice', 'orderly-use')
    expect(broken('outage-notice', orderly)).toEqual(['/legalBasisDocument orderly-use-has-its-document'])
    expect(broken('outage-notice', { ...orderly, legalBasisDocument: legalBasisDocument ?? null })).toEqual([])
  })

  test('its business key is outage id and change number; only change number 0 is new', () => {
    expect(contracts.get('outage-notice@1')).toMatchObject({ sub: '/noticeKey', orderKey: '/poweroffId' })
    const moved = example('outage-notice', 'moved')
    expect(broken('outage-notice', { ...moved, noticeKey: 'TD20260901-0007:0' })).toEqual([
      '/noticeKey key-is-id-and-change',
    ])
    expect(broken('outage-notice', { ...moved, change: '00' })).toEqual(['/change only-the-first-is-new'])
    expect(broken('outage-notice', { ...planned, change: '02' })).toEqual(['/change only-the-first-is-new'])
  })

  test('withdrawing a planned outage does not need to come seven days ahead', () => {
    const data = { ...example('outage-notice', 'moved'), change: '01', publishedAt: '2026-09-11T20:00:00+08:00' }
    expect(broken('outage-notice', data)).toEqual([])
  })
})

describe('service evaluation (task 10)', () => {
  const good = example('service-evaluation', 'good')
  const { dimensions: _left, ...plain } = good
  test.each(['DISSATISFIED', 'VERY_DISSATISFIED'])('%s needs a tag or a text', (satisfaction) => {
    const bad = { ...plain, satisfaction }
    expect(broken('service-evaluation', bad)).toEqual(['/tags bad-needs-a-reason'])
    expect(broken('service-evaluation', { ...bad, tags: ['超过承诺时限'] })).toEqual([])
    expect(broken('service-evaluation', { ...bad, text: '等了很久' })).toEqual([])
    expect(broken('service-evaluation', { ...bad, tags: [] })).toEqual(['/tags minItems'])
  })

  test('BASICALLY_SATISFIED is not a bad one', () => {
    const fair = { ...plain, satisfaction: 'BASICALLY_SATISFIED' }
    expect(broken('service-evaluation', fair)).toEqual([])
  })

  test('its business key is the case and the evaluation number, so the second of a case is another one', () => {
    expect(contracts.get('service-evaluation@1')?.sub).toBe('/evaluationKey')
    expect(broken('service-evaluation', { ...good, evaluationNo: 2 })).toEqual([
      '/evaluationKey key-is-case-and-number',
    ])
  })
})

describe('approvals (GB/T 39046, 行政许可法)', () => {
  const extension = example('approval-special-procedure', 'extension')
  test('one extension is at most ten working days, and only kind 1 adds days', () => {
    expect(broken('approval-special-procedure', { ...extension, extensionWorkingDays: 10 })).toEqual([])
    expect(broken('approval-special-procedure', { ...extension, extensionWorkingDays: 11 })).toEqual([
      '/extensionWorkingDays extension-at-most-ten-days',
    ])
    expect(broken('approval-special-procedure', { ...extension, kind: '2' })).toEqual([
      '/extensionWorkingDays extension-says-how-long',
    ])
  })

  test('an affair type of a province warns and is accepted', () => {
    const accepted = example('approval-acceptance', 'accepted')
    for (const affairType of ['3', '4'])
      expect(broken('approval-acceptance', { ...accepted, affairType })).toEqual(['warning known-affair-type'])
  })

  test('acceptance promises a day that is not before it in Asia/Shanghai', () => {
    const accepted = example('approval-acceptance', 'accepted')
    const late = { ...accepted, decidedAt: '2026-09-14T15:59:59Z' }
    expect(broken('approval-acceptance', late)).toEqual([])
    expect(broken('approval-acceptance', { ...late, decidedAt: '2026-09-14T16:00:00Z' })).toEqual([
      '/promisedFinishDate promise-not-before-decision',
    ])
  })

  test('a false commitment is revoked only after it was ordered to be put right', () => {
    const revoked = example('approval-revocation', 'false-commitment')
    const { rectificationOrderedAt: _left, ...without } = revoked
    expect(contracts.get('approval-revocation@1')?.minOrigin).toBe('party-signed')
    expect(broken('approval-revocation', revoked)).toEqual([])
    expect(broken('approval-revocation', without)).toEqual(['/rectificationOrderedAt commitment-was-to-be-put-right'])
  })

  test('the documentation sample of a licence identifier warns and is accepted', () => {
    const data = {
      ...example('approval-revocation', 'withdrawn'),
      revokedIdentifier:
        '1.2.156.3005.2.11100000000013661B006.113700000045046442.209FA4E88F9E4C878F3E9BED2CE7EA49.001.M',
    }
    expect(broken('approval-revocation', data)).toEqual(['warning certificate-identifier-check'])
  })
})

describe('documents with several holders', () => {
  const together = example('power-contract', 'owners-together')
  const holders = together.holders as JsonObject[]

  test('each number is judged where it stands', () => {
    const [first, second] = holders
    const wrong = { ...together, holders: [first ?? {}, { ...second, code: '150102199002300018' }] }
    expect(broken('power-contract', together)).toEqual(['warning low-voltage-is-electronic'])
    expect(broken('power-contract', wrong)).toEqual([
      '/holders/1/code resident-id',
      'warning low-voltage-is-electronic',
    ])
  })

  test('a copy whose expiry is not in the future is refused', () => {
    const file = (copyExpiresAt: string): JsonObject => ({
      ...example('power-contract', 'electronic'),
      file: {
        digest: 'sha-256:47DEQpj8HBSa-_TImW-5JCeuQeRkm5NMpJWZG3hSuFU',
        bytes: 9,
        mediaType: 'application/ofd',
        copyExpiresAt,
      },
    })
    expect(broken('power-contract', file('2026-11-22T08:00:01+08:00'))).toEqual([])
    expect(broken('power-contract', file('2026-11-22T08:00:00+08:00'))).toEqual(['/file/copyExpiresAt file-not-lapsed'])
  })
})

describe('figures', () => {
  test('a drop is judged on whole and broken numbers alike', () => {
    const final = example('reliability-indicator', 'final')
    const drop = (outageHours: number, previousYearHours: number, dropPercent: number) =>
      broken('reliability-indicator', { ...final, outageHours, previousYearHours, dropPercent })
    expect(drop(9, 10, 10)).toEqual([])
    expect(drop(4.6, 5, 8)).toEqual([])
    expect(drop(11, 10, -10)).toEqual([])
    expect(drop(9, 10, 8)).toEqual(['/dropPercent drop-as-computed'])
    expect(drop(1, 0, 8)).toEqual([])
  })

  test('a day of reconciliation adds up, and names each contract once', () => {
    const report = example('reconciliation-report', 'two-contracts')
    const [row] = report.contracts as JsonObject[]
    expect(broken('reconciliation-report', { ...report, contracts: [{ ...row, open: 0 }] })).toEqual([
      '/contracts received-adds-up',
    ])
    expect(broken('reconciliation-report', { ...report, contracts: [row ?? {}, row ?? {}] })).toEqual([
      '/contracts each-contract-once',
    ])
  })

  test('a bill is partly paid below its amount only', () => {
    const bill = { ...example('electricity-bill', 'unpaid'), amountFen: 100, paymentState: 'PARTLY_PAID' }
    expect(broken('electricity-bill', { ...bill, paidFen: 99 })).toEqual([])
    for (const paidFen of [0, 100])
      expect(broken('electricity-bill', { ...bill, paidFen })).toEqual(['/paymentState payment-fits-amount'])
  })
})
