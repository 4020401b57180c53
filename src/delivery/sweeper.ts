import { sendEach } from '#exchange/notices.ts'
import { type Clock, numericDate } from '#kernel/clock.ts'
import { ERROR_CODES, type HubErrorCode } from '#kernel/error-codes.ts'
import type { FaultPoint } from '#kernel/fault-point.ts'
import type { Db } from '#store/db.ts'
import {
  expireOverdue,
  findUnannounced,
  markAnnounced,
  reopenUnacknowledged,
  type UndeliveredRow,
} from '#store/delivery-queries.ts'
import { closeDrained } from '#store/topic-queries.ts'
import type { Signer } from '#trust/sign.ts'
import { statesBefore } from './states.ts'

const NON_DELIVERY_CONTRACT = 'non-delivery@1'

export interface SweeperDeps {
  readonly db: Db
  readonly clock: Clock
  readonly hubId: string
  readonly signer: Signer
  readonly republishAfterMs: number
  /** Contracts of kind `notice` never cause a non-delivery. */
  readonly isNotice: (contract: string) => boolean
  /** The acceptance path itself; throws when the notice cannot be made durable. */
  readonly acceptOwn: (token: string) => Promise<void>
  readonly fault?: FaultPoint
}

const ANNOUNCE_PER_STEP = 200

/**
 * Brings every delivery to an end: publishes again what nobody acknowledged, expires what is past `deliverBy`, and
 * tells each sender once with a signed `non-delivery` (its jti is the delivery, so a repeat is the same notice).
 */
export async function sweepStep(deps: SweeperDeps): Promise<{ reopened: number; expired: number; announced: number }> {
  const reopened = await reopenUnacknowledged(deps.db, deps.republishAfterMs)
  await closeDrained(deps.db)
  const expired = await expireOverdue(deps.db, statesBefore('expired'))
  const undelivered = await findUnannounced(deps.db, ANNOUNCE_PER_STEP)
  await sendEach(undelivered, async (row) => {
    if (!deps.isNotice(row.contract)) await deps.acceptOwn(nonDelivery(deps, row))
    await deps.fault?.('sweep.before-mark')
    await markAnnounced(deps.db, row.id)
  })
  return { reopened, expired, announced: undelivered.length }
}

const MAX_AGE_S = 600

function nonDelivery(deps: SweeperDeps, row: UndeliveredRow): string {
  const now = numericDate(deps.clock())
  const code = causeOf(row)
  const { zh, en, wayOutZh, wayOutEn } = ERROR_CODES[code]
  return deps.signer.sign('exchange+jwt', {
    iss: deps.hubId,
    aud: deps.hubId,
    iat: now,
    exp: now + MAX_AGE_S,
    jti: `nd-${row.id}`,
    contract: NON_DELIVERY_CONTRACT,
    sub: row.id,
    data: {
      delivery: row.id,
      exchange: row.exchange,
      sender: row.sender,
      ...(row.recipient === null ? {} : { recipient: row.recipient }),
      cause: code,
      sentence: { zh: `${zh}；${wayOutZh}`, en: `${en}; ${wayOutEn}` },
      of: { iss: row.iss, jti: row.jti, contract: row.contract },
      at: row.settled_at.toISOString(),
    },
  })
}

function causeOf(row: UndeliveredRow): HubErrorCode {
  if (row.recipient === null) return 'delivery.unrouted'
  if (row.cause !== null && row.cause in ERROR_CODES) return row.cause as HubErrorCode
  return row.state === 'expired' ? 'delivery.expired' : 'peer.rejected'
}
