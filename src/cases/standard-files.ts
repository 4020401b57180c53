import { z } from 'zod'
import { readYamlFile, yamlFault } from '#contracts/yaml-file.ts'
import { HubError, type Violation } from '#kernel/errors.ts'

/** R 居民 · L0 低压非居民“三零” · L1 低压非居民非“三零” · H1 高压单电源 · H2 高压双电源 (≥ 10 kV). */
export const CATEGORIES = ['R', 'L0', 'L1', 'H1', 'H2'] as const
export type Category = (typeof CATEGORIES)[number]

/** Who holds the ball in a stage, and so on whose clock it counts. */
export const STAGE_OWNERS = ['UTILITY', 'CUSTOMER', 'GOVERNMENT'] as const
export const CUSTOMERS = ['small-micro', 'private'] as const

const day = z.iso.date()
const text = z.string().min(1).max(200)
const stage = z.string().min(1).max(40)
const days = z.int().min(1).max(365)

/** Limits of a number; both ends belong to it except for `below` and `above`. */
const range = z.strictObject({
  from: z.number().optional(),
  to: z.number().optional(),
  below: z.number().optional(),
  above: z.number().optional(),
})
export type NumberRange = z.infer<typeof range>

/** What every row has: when it holds, for what, and where it comes from. */
const row = {
  id: z.string().regex(/^[a-z0-9][a-z0-9-]{1,63}$/),
  effectiveFrom: day.optional(),
  /** The last day. */
  effectiveTo: day.optional(),
  categories: z.array(z.enum(CATEGORIES)).min(1).optional(),
  customers: z.array(z.enum(CUSTOMERS)).min(1).optional(),
  isUrban: z.boolean().optional(),
  externalWorks: z.boolean().optional(),
  capacityKw: range.optional(),
  voltageKv: range.optional(),
  /** Division code or the beginning of one (GB/T 2260). */
  divisionPrefix: z
    .string()
    .regex(/^\d{2,6}$/)
    .optional(),
  exceptPrefix: z
    .string()
    .regex(/^\d{2,6}$/)
    .optional(),
  areaClass: text.optional(),
  /** An aim or a single source: it is told and it warns, but nothing is a breach of it. */
  indicative: z.boolean().default(false),
  source: z.strictObject({ policyDocument: text, ledgerTask: z.int().min(1).max(26).optional() }),
  note: z.strictObject({ zh: z.string().max(400), en: z.string().max(400) }).optional(),
}

const table = <T extends z.ZodRawShape>(shape: T) =>
  z.strictObject({ rows: z.array(z.strictObject({ ...row, ...shape })) })

const FILES = {
  stageCounts: {
    file: 'stage-counts.yaml',
    shape: table({
      maxStages: z.int().min(1).max(20).optional(),
      stages: z.array(stage).optional(),
      cancelledStages: z.array(stage).optional(),
    }),
  },
  clocks: {
    file: 'clocks.yaml',
    shape: table({
      clock: z.enum(['whole-process', 'owned-stages']),
      counts: z.array(z.enum(STAGE_OWNERS)).min(1),
      /** The stages whose end is the end of a whole process: the meter is on. */
      endsWith: z.array(stage).min(1).optional(),
      workingDays: days,
      stageLimits: z.record(stage, days).optional(),
    }),
  },
  approvalLimits: { file: 'approval-limits.yaml', shape: table({ workingDays: days }) },
  investmentBoundary: {
    file: 'investment-boundary.yaml',
    shape: table({
      boundary: z.enum(['LOW_VOLTAGE_METER', 'LOW_VOLTAGE_ACCESS', 'NEAREST_PUBLIC_LINE', 'CUSTOMER_RED_LINE']),
      favour: z.int().min(0).max(9),
    }),
  },
  charges: { file: 'charges.yaml', shape: table({ maxUpstreamCny: z.number().min(0) }) },
  outageHours: {
    file: 'outage-hours.yaml',
    shape: table({
      isLabelInferred: z.boolean().default(false),
      maxHours: z.number().min(0),
      orYearlyDropPercent: z.number().min(0).max(100),
    }),
  },
} as const

type Files = typeof FILES
export type StandardKind = keyof Files
export const STANDARD_KINDS = Object.keys(FILES) as StandardKind[]
export type StandardRow<K extends StandardKind = StandardKind> = z.infer<Files[K]['shape']>['rows'][number]
export type StandardTables = { readonly [K in StandardKind]: readonly StandardRow<K>[] }

/** Reads every table under `dir`. Throws one `seed.invalid` that lists every fault by file and row. */
export function readStandards(dir: string): StandardTables {
  const faults: Violation[] = []
  const ids = new Set<string>()
  const read = <K extends StandardKind>(kind: K): readonly StandardRow<K>[] => {
    const { file, shape } = FILES[kind]
    const found = readYamlFile<{ rows: StandardRow[] }>(dir, file, shape as z.ZodType<{ rows: StandardRow[] }>, faults)
    for (const [i, one] of (found?.rows ?? []).entries()) {
      for (const fault of rowFaults(one, ids)) faults.push(yamlFault(file, `/rows/${i}`, ...fault))
    }
    return (found?.rows ?? []) as StandardRow<K>[]
  }
  const tables: StandardTables = {
    stageCounts: read('stageCounts'),
    clocks: read('clocks'),
    approvalLimits: read('approvalLimits'),
    investmentBoundary: read('investmentBoundary'),
    charges: read('charges'),
    outageHours: read('outageHours'),
  }
  if (faults.length > 0) throw new HubError('seed.invalid', { violations: faults })
  return tables
}

function* rowFaults(one: StandardRow, ids: Set<string>): Generator<readonly [rule: string, zh: string, en: string]> {
  if (ids.has(one.id)) yield ['unique', `行编号 ${one.id} 重复`, `the row id ${one.id} occurs twice`]
  ids.add(one.id)
  if (one.effectiveFrom !== undefined && one.effectiveTo !== undefined && one.effectiveTo < one.effectiveFrom) {
    yield ['order', '失效日早于生效日', 'it ends before it begins']
  }
  if ('clock' in one && (one.clock === 'whole-process') !== (one.endsWith !== undefined)) {
    yield ['ends-with', '全过程时限须写明终止环节', 'a whole process, and no other clock, names the stages that end it']
  }
  if ('stageLimits' in one && one.stageLimits !== undefined && 'workingDays' in one) {
    const sum = Object.values(one.stageLimits).reduce((total, limit) => total + limit, 0)
    if (sum > one.workingDays) {
      yield ['sum', `各环节时限之和 ${sum} 超过总时限`, `the stage limits add up to ${sum}, above the total`]
    }
  }
}
