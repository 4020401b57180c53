import { HubError } from '#kernel/errors.ts'

/** Files under way at this gateway; each holds a chunk or two in memory. */
export interface TransferSlots {
  /** Counts a transfer in; call what it returns when it is over, once or more. Throws `limit.exceeded`, `hub.busy`. */
  enter(party: string): () => void
}

const PER_PARTY = 8
const TOTAL = 64

export function createTransferSlots(): TransferSlots {
  const underWay = new Map<string, number>()
  let total = 0
  return {
    enter(party) {
      const count = underWay.get(party) ?? 0
      if (count >= PER_PARTY) throw new HubError('limit.exceeded', { retryAfterSeconds: 1 })
      if (total >= TOTAL) throw new HubError('hub.busy', { retryAfterSeconds: 1 })
      underWay.set(party, count + 1)
      total++
      let left = false
      return () => {
        if (left) return
        left = true
        total--
        const rest = (underWay.get(party) ?? 1) - 1
        if (rest > 0) underWay.set(party, rest)
        else underWay.delete(party)
      }
    },
  }
}
