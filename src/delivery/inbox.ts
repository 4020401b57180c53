import type { BusMessage } from '#bus/bus.ts'
import { HubError } from '#kernel/errors.ts'
import type { JsonObject } from '#kernel/json.ts'
import { insertAck, type NewAck } from '#store/ack-outbox-queries.ts'
import type { Db } from '#store/db.ts'
import { insertUnverified, type UnverifiedLetter } from '#store/dead-letter-queries.ts'
import { type LandingRow, landRows } from '#store/inbox-queries.ts'
import { isEncrypted } from '#trust/jwe.ts'
import type { Vault } from '#trust/vault.ts'
import { type AckSigner, signAck } from './acknowledgement.ts'

/** What a recipient verified: the claims without `data`, and `data`. */
interface VerifiedDelivery {
  readonly claims: JsonObject
  readonly data: JsonObject
}

/**
 * Checks token and receipt against the hub's and the issuer's keys. A message that is wrong for ever throws a
 * HubError that is not retriable; anything else thrown means "not now", and the batch comes again.
 */
export type VerifyDelivery = (input: {
  readonly token: string
  readonly receipt: string
}) => Promise<VerifiedDelivery> | VerifiedDelivery

export type FaultPoints = (point: string) => Promise<void> | void

interface InboxOptions {
  readonly db: Db
  readonly consumer: string
  readonly verifyDelivery: VerifyDelivery
  readonly signer: AckSigner
  readonly vault: Vault
  readonly decrypt: (value: string) => Promise<string>
  readonly faults?: FaultPoints
}

const DELIVERY_ID = /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/
const utf8 = new TextDecoder('utf-8', { fatal: true })

/**
 * Lands a batch: verified deliveries go into the inbox, the others become dead letters with a rejection for the
 * hub, all in one transaction. Resolves when that is committed, so the caller may commit the offset.
 */
export async function land(options: InboxOptions, messages: readonly BusMessage[]): Promise<void> {
  const { db, consumer, signer, vault, faults } = options
  const rows: LandingRow[] = []
  const letters: UnverifiedLetter[] = []
  for (const outcome of await Promise.all(messages.map((message) => readMessage(options, message)))) {
    if ('offset' in outcome) letters.push(outcome)
    else rows.push(outcome)
  }
  const rejections: NewAck[] = []
  for (const letter of letters) {
    if (letter.eventId === undefined) continue
    // `.v`: should the same delivery come again intact, its acknowledgement needs the plain jti.
    const outcome = { delivery: letter.eventId, outcome: 'rejected', code: letter.code } as const
    rejections.push(await signAck({ signer, vault }, `${letter.eventId}.v`, [outcome]))
  }
  await faults?.('host.before-land')
  await db.transaction().execute(async (tx) => {
    await landRows(tx, consumer, rows)
    for (const letter of letters) await insertUnverified(tx, consumer, letter)
    for (const rejection of rejections) await insertAck(tx, consumer, rejection)
  })
  await faults?.('host.after-land')
}

async function readMessage(options: InboxOptions, message: BusMessage): Promise<LandingRow | UnverifiedLetter> {
  const { headers, topic, partition, offset, value } = message
  const eventId = DELIVERY_ID.test(headers['ce_id'] ?? '') ? headers['ce_id'] : undefined
  try {
    const receipt = headers['dx-receipt']
    if (eventId === undefined || receipt === undefined) throw new HubError('delivery.receipt_invalid')
    const text = decode(value)
    const token = isEncrypted(text) ? await options.decrypt(text) : text
    const { claims } = await options.verifyDelivery({ token, receipt })
    const contract = claims['contract']
    if (typeof contract !== 'string') throw new HubError('delivery.receipt_invalid')
    return {
      eventId,
      source: headers['ce_source'] ?? topic,
      orderKey: headers['dx-order-key'] ?? message.key,
      contract,
      token: options.vault.seal('delivered', token),
      receipt,
      deliverBy: isoOrNothing(headers['dx-deliver-by']),
    }
  } catch (error) {
    if (!(error instanceof HubError) || error.retriable) throw error
    return {
      eventId,
      topic,
      partition,
      offset,
      code: error.code,
      value: options.vault.seal('delivered', value),
      headers,
    }
  }
}

function decode(value: Buffer): string {
  try {
    return utf8.decode(value)
  } catch (cause) {
    throw new HubError('token.malformed', { cause })
  }
}

const isoOrNothing = (value: string | undefined): string | undefined => {
  const at = value === undefined ? Number.NaN : Date.parse(value)
  return Number.isNaN(at) ? undefined : new Date(at).toISOString()
}
