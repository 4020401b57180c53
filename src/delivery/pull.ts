import { randomUUID } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import { HubError } from '#kernel/errors.ts'
import type { Db } from '#store/db.ts'
import { endUnreadable, type LeasedRow, leaseHeads } from '#store/delivery-queries.ts'
import type { Vault } from '#trust/vault.ts'
import { isHeldBack } from './egress.ts'
import { statesBefore } from './states.ts'

export interface Pulled {
  readonly delivery: string
  readonly exchange: string
  readonly recipient: string
  readonly contract: string
  readonly token: string
  readonly receipt: string
  readonly deliverBy: string
}

const LEASE_SECONDS = 60
const POLL_MS = 200

interface PullQuery {
  readonly recipients: () => readonly string[]
  readonly limit: number
  readonly waitSeconds: number
  /** Throws `contract.rule_violated` for what its contract does not let leave. */
  readonly requireEgress: (contract: string, token: Buffer) => void
}

/**
 * Deliveries for parties that pull, the head of each key, leased: an acknowledgement (`delivery-ack@1`) settles one,
 * a lapsed lease hands it out again. Waits up to `waitSeconds` for the first, and asks each time for whom it may look.
 */
export async function pullDeliveries(db: Db, vault: Vault, query: PullQuery, signal: AbortSignal): Promise<Pulled[]> {
  const until = Date.now() + query.waitSeconds * 1000
  for (;;) {
    const rows = await leaseHeads(db, {
      recipients: query.recipients(),
      limit: query.limit,
      seconds: LEASE_SECONDS,
      token: randomUUID(),
    })
    if (rows.length > 0 || Date.now() >= until || signal.aborted) {
      const pulled: Pulled[] = []
      for (const row of rows) {
        const one = opened(vault, row, query)
        if (one instanceof HubError) await endUnreadable(db, [row.id], one.code, statesBefore('dead'))
        else pulled.push(one)
      }
      return pulled
    }
    await sleep(POLL_MS)
  }
}

/** Why it is held back, where it is. */
function opened(vault: Vault, row: LeasedRow, { requireEgress }: PullQuery): Pulled | HubError {
  try {
    const token = vault.open(row.token)
    requireEgress(row.contract, token)
    return {
      delivery: row.id,
      exchange: row.exchange,
      recipient: row.recipient,
      contract: row.contract,
      token: token.toString('latin1'),
      receipt: row.receipt,
      deliverBy: row.deliver_by.toISOString(),
    }
  } catch (error) {
    if (isHeldBack(error)) return error
    throw error
  }
}
