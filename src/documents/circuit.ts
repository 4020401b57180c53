import type { Clock } from '#kernel/clock.ts'

export interface CircuitSettings {
  /** So many failures in a row open it. */
  readonly failures: number
  /** Until the first probe; doubled after each probe that fails, up to `maxOpenMs`. */
  readonly openMs: number
  readonly maxOpenMs: number
}

/** `half-open`: a probe is due or under way. */
export type CircuitState = 'closed' | 'open' | 'half-open'

/** How a call ended for the endpoint: an answer that says no is an answer. */
export type CallOutcome = 'answered' | 'failed'

export interface Circuit {
  readonly state: () => CircuitState
  /** Leave to call: what to tell at its end. Undefined where nothing may be called now. */
  readonly enter: () => ((outcome: CallOutcome) => void) | undefined
}

/**
 * Keeps a system that fails from being asked, and its askers from waiting for it. It lives in the memory of one gateway:
 * a look-up is never queued, so nothing is lost with it, and one gateway's broken network says nothing about another's.
 */
export function createCircuit(clock: Clock, settings: CircuitSettings): Circuit {
  let failuresInARow = 0
  let open: { readonly untilMs: number; readonly forMs: number; readonly probing: boolean } | undefined

  const openFor = (forMs: number): void => {
    open = { untilMs: clock() + forMs, forMs, probing: false }
  }
  const endOfCall = (outcome: CallOutcome): void => {
    // What began before it opened tells nothing new.
    if (open !== undefined) return
    failuresInARow = outcome === 'failed' ? failuresInARow + 1 : 0
    if (failuresInARow >= settings.failures) openFor(settings.openMs)
  }
  const endOfProbe = (outcome: CallOutcome): void => {
    if (outcome === 'failed') openFor(Math.min(settings.maxOpenMs, 2 * (open?.forMs ?? settings.openMs)))
    else {
      open = undefined
      failuresInARow = 0
    }
  }

  return {
    state: () => (open === undefined ? 'closed' : open.probing || clock() >= open.untilMs ? 'half-open' : 'open'),
    enter() {
      if (open === undefined) return endOfCall
      if (open.probing || clock() < open.untilMs) return undefined
      open = { ...open, probing: true }
      return endOfProbe
    },
  }
}
