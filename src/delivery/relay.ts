import type { Bus } from '#bus/bus.ts'
import { deliveryTraceparent } from '#kernel/traceparent.ts'
import { lockCursor } from '#store/cursor.ts'
import type { Db } from '#store/db.ts'
import { findPublishable, hasPublishable, markPublished, type PublishableRow } from '#store/delivery-queries.ts'

export type FaultPoint = (point: string) => Promise<void> | void

const STEP = 500

const outTopic = (party: string): string => `dx.out.${party}`

/**
 * Publishes accepted deliveries in log order, then marks them. A crash between the two publishes again with the same
 * event id, which the inbox knows. One process relays at a time (row lock); returns how many were published.
 */
export async function relayStep(db: Db, bus: Bus, hubId: string, fault: FaultPoint = () => {}): Promise<number> {
  if (!(await hasPublishable(db))) return 0
  return db.transaction().execute(async (tx) => {
    if ((await lockCursor(tx, 'relay')) === undefined) return 0
    const rows = await findPublishable(tx, STEP)
    if (rows.length === 0) return 0
    const byTopic = Map.groupBy(
      rows.filter((row) => row.channel === 'bus'),
      (row) => outTopic(row.recipient),
    )
    await fault('relay.before-publish')
    for (const [topic, group] of byTopic) {
      await bus.publish(
        topic,
        group.map((row) => message(row, hubId)),
      )
    }
    await fault('relay.after-publish')
    await markPublished(
      tx,
      rows.map((row) => row.id),
    )
    return rows.length
  })
}

/** CloudEvents in Kafka binary mode; the value is the token's bytes as they arrived (PROTOCOL, Kafka). */
function message(row: PublishableRow, hubId: string): { key: string; value: string; headers: Record<string, string> } {
  return {
    key: row.order_key,
    value: row.token,
    headers: {
      ce_id: row.id,
      ce_source: `urn:dianqiao:${hubId}`,
      ce_type: row.contract,
      ce_specversion: '1.0',
      ce_time: row.accepted_at.toISOString(),
      'content-type': 'application/jwt',
      traceparent: deliveryTraceparent(row.exchange, row.id),
      'dx-receipt': row.receipt,
      'dx-contract': row.contract,
      'dx-order-key': row.order_key,
      'dx-deliver-by': row.deliver_by.toISOString(),
    },
  }
}
