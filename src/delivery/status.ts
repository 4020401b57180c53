import { HubError } from '#kernel/errors.ts'
import type { Db } from '#store/db.ts'
import { type DeliveryStatusRow, deliveriesOf } from '#store/delivery-queries.ts'
import { findExchange } from '#store/exchange-queries.ts'
import { DELIVERY_STATES, type DeliveryState } from './states.ts'

export interface ExchangeStatus {
  readonly exchange: string
  readonly pos: number
  readonly contract: string
  readonly origin: string
  readonly acceptedAt: string
  readonly receipt: string
  /** The signed refusal of a load's rows that were not good. */
  readonly refusal: string | null
  readonly deliveries: readonly {
    readonly delivery: string
    readonly recipient: string | null
    readonly state: DeliveryState
    readonly stateText: { readonly zh: string; readonly en: string }
    readonly cause: string | null
    readonly outcome: string | null
    readonly recipientRef: string | null
    readonly acceptedAt: string
    readonly routedAt: string | null
    readonly publishedAt: string | null
    readonly settledAt: string | null
    readonly deliverBy: string
  }[]
}

const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/

/** Status of an own exchange; somebody else's is not found, like one that never was. */
export async function exchangeStatus(db: Db, id: string, party: string): Promise<ExchangeStatus> {
  const found = UUID.test(id) ? await findExchange(db, id) : undefined
  if (found === undefined || (found.iss !== party && found.obo !== party)) throw new HubError('exchange.not_found')
  const deliveries = await deliveriesOf(db, id)
  return {
    exchange: found.id,
    pos: found.pos,
    contract: found.contract,
    origin: found.origin,
    acceptedAt: found.accepted_at.toISOString(),
    receipt: found.receipt,
    refusal: found.refusal,
    deliveries: deliveries.map(withState).map((row) => ({
      delivery: row.id,
      recipient: row.recipient,
      state: row.state,
      stateText: { zh: DELIVERY_STATES[row.state].zh, en: DELIVERY_STATES[row.state].en },
      cause: row.cause,
      outcome: row.outcome,
      recipientRef: row.recipient_ref,
      acceptedAt: row.accepted_at.toISOString(),
      routedAt: row.routed_at?.toISOString() ?? null,
      publishedAt: row.published_at?.toISOString() ?? null,
      settledAt: row.settled_at?.toISOString() ?? null,
      deliverBy: row.deliver_by.toISOString(),
    })),
  }
}

/** The column holds only states of the table: every UPDATE names one. */
const withState = (row: DeliveryStatusRow): DeliveryStatusRow & { readonly state: DeliveryState } => ({
  ...row,
  state: row.state as DeliveryState,
})
