import { z } from 'zod'
import { readYamlFile } from '#contracts/yaml-file.ts'
import { HubError, type Violation } from '#kernel/errors.ts'

const text = z.string().min(1).max(1_000)
const bilingual = z.strictObject({ zh: text, en: text })
const names = z.array(z.string().min(1).max(80)).min(1)

const TASK = z.strictObject({
  no: z.int().min(1).max(26),
  section: text,
  /** As the ledger has it, to the letter. */
  text,
  deadline: text.optional(),
  /** The last days that the deadline names, ISO dates. */
  due: z.array(z.iso.date()).optional(),
  responsible: names,
  assisting: names.optional(),
  remark: text.optional(),
  /** What is wrong in the ledger itself, and how it is read here. */
  defects: z.array(bilingual).optional(),
  /** Contracts by name, rows of `seeds/standards/` by id, metrics by name. */
  answers: z
    .strictObject({ contracts: names.optional(), standards: names.optional(), figures: names.optional() })
    .optional(),
  /** Why nothing here measures it. */
  notMeasured: bilingual.optional(),
})

const LEDGER = z.strictObject({ source: text, tasks: z.array(TASK).length(26) })

export type LedgerTask = z.infer<typeof TASK>

/**
 * The task ledger as data: each task with its deadline, bodies, known defects, and what answers it here or why nothing
 * does. Throws `seed.invalid` with every fault.
 */
export function readLedgerTasks(seedsDir: string): readonly LedgerTask[] {
  const faults: Violation[] = []
  const ledger = readYamlFile(seedsDir, 'ledger-tasks.yaml', LEDGER, faults)
  if (ledger === undefined) throw new HubError('seed.invalid', { violations: faults })
  return ledger.tasks
}
