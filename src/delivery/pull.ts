import { randomUUID } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Db } from '#store/db.ts'
import { leaseHeads } from '#store/delivery-queries.ts'

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
      return rows.map((row) => ({
        delivery: row.id,
        exchange: row.exchange,
        recipient: row.recipient,
        contract: row.contract,
        token: row.token,
        receipt: row.receipt,
        deliverBy: row.deliver_by.toISOString(),
      }))
    }
    await sleep(POLL_MS)
  }
}
