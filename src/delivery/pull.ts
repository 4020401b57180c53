import { randomUUID } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Db } from '#store/db.ts'
import { endUnreadable, type LeasedRow, leaseHeads } from '#store/delivery-queries.ts'
import { isUnreadable, type Vault } from '#trust/vault.ts'
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

/**
 * Deliveries for parties that pull, the head of each key, leased: an acknowledgement (`delivery-ack@1`) settles one,
 * a lapsed lease hands it out again. Waits up to `waitSeconds` for the first, and asks each time for whom it may look.
 */
export async function pullDeliveries(
  db: Db,
  vault: Vault,
  query: { readonly recipients: () => readonly string[]; readonly limit: number; readonly waitSeconds: number },
  signal: AbortSignal,
): Promise<Pulled[]> {
  const until = Date.now() + query.waitSeconds * 1000
  for (;;) {
    const rows = await leaseHeads(db, {
      recipients: query.recipients(),
      limit: query.limit,
      seconds: LEASE_SECONDS,
      token: randomUUID(),
    })
    if (rows.length > 0 || Date.now() >= until || signal.aborted) {
      const pulled = rows.map((row) => opened(vault, row))
      const unreadable = rows.filter((_, index) => pulled[index] === undefined)
      if (unreadable.length > 0) await endUnreadable(db, idsOf(unreadable), 'vault.key_destroyed', statesBefore('dead'))
      return pulled.filter((one) => one !== undefined)
    }
    await sleep(POLL_MS)
  }
}

const idsOf = (rows: readonly LeasedRow[]): string[] => rows.map(({ id }) => id)

/** Undefined where the content is gone. */
function opened(vault: Vault, row: LeasedRow): Pulled | undefined {
  try {
    return {
      delivery: row.id,
      exchange: row.exchange,
      recipient: row.recipient,
      contract: row.contract,
      token: vault.open(row.token).toString('latin1'),
      receipt: row.receipt,
      deliverBy: row.deliver_by.toISOString(),
    }
  } catch (error) {
    if (isUnreadable(error)) return undefined
    throw error
  }
}
