import type { HubErrorCode } from '#kernel/error-codes.ts'
import { asHubError } from '#kernel/errors.ts'
import { isStoreOutage } from '#store/db.ts'
import type { Progress } from './prove.ts'

/** What became of one token, for whoever counts it. */
export interface Judged {
  /** Undefined when it proved no party. */
  readonly party: string | undefined
  /** As its sender wrote it: it need not exist. Undefined when the token could not be read. */
  readonly contract: string | undefined
  readonly outcome: 'accepted' | 'replayed' | 'answered' | HubErrorCode
  readonly door: 'http' | 'bus' | 'plain'
  readonly seconds: number
}

export type Observe = (judged: Judged) => void

/** Runs one judgement and tells `observe` how it ended and how long it took. */
export async function observed<R>(
  observe: Observe | undefined,
  door: Judged['door'],
  progress: Progress,
  judge: () => Promise<R>,
  outcomeOf: (result: R) => Judged['outcome'],
): Promise<R> {
  if (observe === undefined) return judge()
  const began = performance.now()
  let outcome: Judged['outcome'] = 'hub.internal'
  try {
    const result = await judge()
    outcome = outcomeOf(result)
    return result
  } catch (error) {
    outcome = isStoreOutage(error) ? 'hub.store_unavailable' : asHubError(error).code
    throw error
  } finally {
    const { token, party } = progress
    const contract = token?.claims['contract']
    observe({
      party: party?.id,
      contract: typeof contract === 'string' ? contract : undefined,
      outcome,
      door,
      seconds: (performance.now() - began) / 1_000,
    })
  }
}
