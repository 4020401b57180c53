import { z } from 'zod'

const count = {
  times: z.int().min(1).default(1),
  reference: z.string().optional(),
  /** Which requests suffer it: those with an effect, or the look-ups. */
  on: z.enum(['submission', 'look-up']).default('submission'),
}

/**
 * One scripted misbehaviour. `times` requests suffer it; `reference` limits it to one business number. The `-after`
 * kinds take the effect first: the caller does not learn of it. `unclear` is a look-up that finds neither yes nor no.
 * Of systems that are only asked: `malformed` answers no JSON, `cap-used-up` that its cap of the day is reached, and
 * `odd-status` a status code that nobody agreed upon.
 */
const fault = z.discriminatedUnion('kind', [
  z.strictObject({
    kind: z.literal('status'),
    status: z.int().min(200).max(599),
    retryAfterSeconds: z.int().min(0).optional(),
    ...count,
  }),
  z.strictObject({ kind: z.literal('slow'), ms: z.int().min(0), ...count }),
  z.strictObject({ kind: z.literal('slow-after'), ms: z.int().min(0), ...count }),
  z.strictObject({ kind: z.enum(['timeout', 'timeout-after', 'reset', 'reset-after', 'busy', 'reject']), ...count }),
  z.strictObject({
    kind: z.enum(['unclear', 'malformed', 'cap-used-up', 'odd-status']),
    ...count,
    on: z.literal('look-up').default('look-up'),
  }),
])

export const faultScript = z.array(fault).max(10_000)

export type Fault = z.output<typeof fault>
export type FaultInput = z.input<typeof fault>

export interface FaultQueue {
  readonly add: (script: readonly FaultInput[]) => void
  /** The first fault that applies to this request, used up once. */
  readonly take: (on: Fault['on'], reference: string | undefined) => Fault | undefined
  readonly clear: () => void
}

export function createFaultQueue(): FaultQueue {
  let queue: { fault: Fault; left: number }[] = []
  return {
    add: (script) => {
      queue.push(...faultScript.parse(script).map((item) => ({ fault: item, left: item.times })))
    },
    take: (on, reference) => {
      const entry = queue.find(
        ({ fault: of }) => of.on === on && (of.reference === undefined || of.reference === reference),
      )
      if (entry === undefined) return undefined
      entry.left--
      queue = queue.filter((item) => item.left > 0)
      return entry.fault
    },
    clear: () => {
      queue = []
    },
  }
}
