import { setTimeout as sleep } from 'node:timers/promises'
import { decideParked } from '#delivery/parked.ts'
import { type Db, openDb } from '#store/db.ts'
import { listDeadLetters } from '#store/dead-letter-queries.ts'

const CONNECTORS = ['inner-mongolia-power-marketing', 'state-grid-east-marketing']
const LOOK_EVERY_MS = 500
const MAX_LETTERS = 1_000

export interface Operator {
  readonly stop: () => Promise<void>
}

/**
 * Does what the runbook tells an operator to do about a parked delivery once its system answers again: has it looked up
 * once more. Decides nothing else, so that what only a human could mend stays stuck and is found.
 */
export function startOperator(databaseUrl: string, note: (line: string) => void): Operator {
  const db = openDb(databaseUrl, { max: 1 })
  const end = new AbortController()
  const work = async (): Promise<void> => {
    while (!end.signal.aborted) {
      for (const connector of CONNECTORS) await askAgain(db, connector, note)
      await sleep(LOOK_EVERY_MS, undefined, { signal: end.signal }).catch(() => undefined)
    }
  }
  const working = work()
  working.catch(() => end.abort())
  return {
    async stop() {
      end.abort()
      try {
        await working
      } finally {
        await db.destroy()
      }
    },
  }
}

async function askAgain(db: Db, consumer: string, note: (line: string) => void): Promise<void> {
  for (const { event_id: delivery, stage, resolution } of await listDeadLetters(db, consumer, MAX_LETTERS)) {
    if (stage !== 'confirm' || resolution !== null || delivery === null) continue
    await decideParked(db, { consumer, delivery, decision: 'ask', reason: 'its system answers again' })
    note(`an operator has ${delivery} looked up again`)
  }
}
