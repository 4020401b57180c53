import { HubError } from '#kernel/errors.ts'
import type { Category, CUSTOMERS, NumberRange, StandardKind, StandardRow, StandardTables } from './standard-files.ts'

/** What is known of a connection on a day; what is not known matches no row that asks for it. */
export interface StandardFacts {
  /** ISO date, Asia/Shanghai: the day that the standard is asked for. */
  readonly date: string
  /** Supply division (GB/T 2260). */
  readonly division?: string
  readonly category?: Category
  readonly externalWorks?: boolean
  /** Voltage of the access works, kV. */
  readonly voltageKv?: number
  readonly capacityKw?: number
  readonly isUrban?: boolean
  readonly customers?: readonly (typeof CUSTOMERS)[number][]
  readonly areaClass?: string
}

export interface StandardAnswer<K extends StandardKind> {
  /** The row most favourable to the customer; undefined when none matches. */
  readonly applies: StandardRow<K> | undefined
  /** The most favourable of those that bind: only it can be breached. */
  readonly binding: StandardRow<K> | undefined
  /** Every row that matches, the most favourable first. */
  readonly matched: readonly StandardRow<K>[]
  readonly why: { readonly zh: string; readonly en: string }
}

export interface Standards {
  readonly tables: StandardTables
  /** Which row of a table holds on this day for this connection, and why (ledger tasks 1–3, 7, 12–18). */
  which<K extends StandardKind>(kind: K, facts: StandardFacts): StandardAnswer<K>
}

/** What is better for the customer comes first. */
const FAVOUR: { readonly [K in StandardKind]: (a: StandardRow<K>, b: StandardRow<K>) => number } = {
  stageCounts: (a, b) => (a.maxStages ?? Infinity) - (b.maxStages ?? Infinity),
  clocks: (a, b) => a.workingDays - b.workingDays,
  approvalLimits: (a, b) => a.workingDays - b.workingDays,
  investmentBoundary: (a, b) => b.favour - a.favour,
  charges: (a, b) => a.maxUpstreamCny - b.maxUpstreamCny,
  outageHours: (a, b) => a.maxHours - b.maxHours,
}

export function createStandards(tables: StandardTables): Standards {
  return {
    tables,
    which(kind, facts) {
      if (!/^\d{4}-\d{2}-\d{2}$/.test(facts.date)) throw new HubError('hub.internal', { cause: 'not an ISO date' })
      const rows: readonly StandardRow<typeof kind>[] = tables[kind]
      const matched = rows.filter((row) => matches(row, facts)).toSorted(byFavour(FAVOUR[kind]))
      const applies = matched[0]
      const binding = matched.find((row) => !row.indicative)
      return { applies, binding, matched, why: reason(matched, facts.date) }
    },
  }
}

/** Of two that are alike to the customer, the one that binds comes first, then the newer. */
const byFavour =
  <K extends StandardKind>(favour: (a: StandardRow<K>, b: StandardRow<K>) => number) =>
  (a: StandardRow<K>, b: StandardRow<K>): number =>
    favour(a, b) ||
    Number(a.indicative) - Number(b.indicative) ||
    (b.effectiveFrom ?? '').localeCompare(a.effectiveFrom ?? '')

function matches(row: StandardRow, facts: StandardFacts): boolean {
  const { date, division = '', category, customers = [] } = facts
  return (
    (row.effectiveFrom === undefined || date >= row.effectiveFrom) &&
    (row.effectiveTo === undefined || date <= row.effectiveTo) &&
    (row.divisionPrefix === undefined || division.startsWith(row.divisionPrefix)) &&
    (row.exceptPrefix === undefined || !division.startsWith(row.exceptPrefix)) &&
    (row.categories === undefined || (category !== undefined && row.categories.includes(category))) &&
    (row.customers === undefined || row.customers.some((kind) => customers.includes(kind))) &&
    (row.isUrban === undefined || row.isUrban === facts.isUrban) &&
    (row.externalWorks === undefined || row.externalWorks === facts.externalWorks) &&
    (row.areaClass === undefined || row.areaClass === facts.areaClass) &&
    isWithin(row.capacityKw, facts.capacityKw) &&
    isWithin(row.voltageKv, facts.voltageKv)
  )
}

function isWithin(range: NumberRange | undefined, value: number | undefined): boolean {
  if (range === undefined) return true
  if (value === undefined) return false
  return (
    (range.from === undefined || value >= range.from) &&
    (range.to === undefined || value <= range.to) &&
    (range.below === undefined || value < range.below) &&
    (range.above === undefined || value > range.above)
  )
}

function reason(matched: readonly StandardRow[], date: string): StandardAnswer<StandardKind>['why'] {
  const [first, ...others] = matched
  if (first === undefined) return { zh: `${date} 没有适用的规定`, en: `no row holds on ${date}` }
  const { policyDocument, ledgerTask } = first.source
  const task = ledgerTask === undefined ? { zh: '', en: '' } : { zh: `任务 ${ledgerTask}`, en: `, task ${ledgerTask}` }
  const also = others.map(({ id }) => id).join('、')
  const alsoEn = others.map(({ id }) => id).join(', ')
  const aim = first.indicative
    ? { zh: '；提示性目标，不作超期判断', en: '; an aim, never a breach' }
    : { zh: '', en: '' }
  return {
    zh: `${date} 适用 ${first.id}（《${policyDocument}》${task.zh}）${also === '' ? '' : `；同时符合 ${also}，取对用户更有利者`}${aim.zh}`,
    en: `${first.id} holds on ${date} (${policyDocument}${task.en})${alsoEn === '' ? '' : `; ${alsoEn} match too, and the one that favours the customer applies`}${aim.en}`,
  }
}
