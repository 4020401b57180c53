import { PROJECT_ROOT } from '#compose.ts'
import { loadContracts } from '#contracts/load.ts'
import { resumeEndpoint } from '#delivery/breaker.ts'
import { type DecideResult, decideParked, PARKED_DECISIONS } from '#delivery/parked.ts'
import { type ReplayResult, replayDead, skipDead } from '#delivery/replay.ts'
import { HubError } from '#kernel/errors.ts'
import { listDeadLetters } from '#store/dead-letter-queries.ts'
import { printJson, say } from './output.ts'
import { withDb } from './with-store.ts'

const NO = 3
const MAX_ROWS = 1_000

interface DeadChoice {
  readonly connector: string
  readonly delivery: string
  readonly reason: string
}

/** Dead and parked deliveries of a connector, one JSON line each: ids, stage and code, never a payload. */
export async function listDead(connector: string): Promise<number> {
  const rows = await withDb((db) => listDeadLetters(db, connector, MAX_ROWS))
  for (const row of rows) printJson(row)
  return 0
}

/** Tries a dead delivery again under the same effect key; exit code 3 and the reason when that would break order. */
export const replay = (choice: DeadChoice): Promise<number> =>
  answer(
    withDb((db) => {
      const contracts = loadContracts(PROJECT_ROOT)
      const isReplaySafe = (ref: string): boolean => contracts.get(ref)?.replaySafe === true
      return replayDead(db, { consumer: choice.connector, ...choice, isReplaySafe })
    }),
  )

/** Gives a dead delivery up so that its key goes on. */
export const skip = (choice: DeadChoice): Promise<number> =>
  answer(withDb((db) => skipDead(db, { consumer: choice.connector, ...choice })))

/** Says what became of a parked delivery; its connector carries that out. Exit code 3 when it is not parked. */
export async function decide({
  ref,
  outcome,
  ...choice
}: DeadChoice & { readonly outcome: string; readonly ref?: string }): Promise<number> {
  const decision = PARKED_DECISIONS.find((one) => one === outcome)
  if (decision === undefined) throw new HubError('cli.usage')
  const recipientRef = ref === undefined ? {} : { recipientRef: ref }
  return answer(withDb((db) => decideParked(db, { consumer: choice.connector, ...choice, ...recipientRef, decision })))
}

/** Closes the breaker of a connector's endpoint after its cause was mended. */
export async function resume(connector: string): Promise<void> {
  await withDb((db) => resumeEndpoint(db, connector))
  say(`${connector} resumed`)
}

async function answer(result: Promise<ReplayResult | DecideResult>): Promise<number> {
  const outcome = await result
  printJson(outcome)
  return outcome.done ? 0 : NO
}
