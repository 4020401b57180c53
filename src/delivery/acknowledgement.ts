import { type Clock, isoTime, numericDate } from '#kernel/clock.ts'
import { HubError } from '#kernel/errors.ts'
import type { JsonObject } from '#kernel/json.ts'
import type { NewAck } from '#store/ack-outbox-queries.ts'
import type { Vault } from '#trust/vault.ts'

/** One delivery's final state, as `delivery-ack@1` carries it. */
export interface DeliveryOutcome {
  readonly delivery: string
  readonly outcome: 'applied' | 'duplicate' | 'rejected'
  readonly recipientRef?: string | undefined
  readonly code?: string | undefined
}

/** Who signs acknowledgements, for whom and to whom. */
export interface AckSigner {
  /** The connector's own party id (`iss`). */
  readonly party: string
  /** The utility on whose behalf it acts (`obo`). */
  readonly recipient: string
  /** The hub's id (`aud`). */
  readonly hub: string
  readonly clock: Clock
  /** Claims of an `exchange+jwt` → compact JWS. */
  readonly signExchange: (claims: JsonObject) => Promise<string> | string
}

/** `delivery-ack@1` allows seven days from iat to exp. */
export const ACK_MAX_AGE_S = 7 * 86_400
/** How many outcomes one acknowledgement may carry (DESIGN §4). */
export const ACK_MAX_OUTCOMES = 500

/** A signed and sealed acknowledgement of up to 500 outcomes; its subject is the first delivery. */
export async function signAck(
  { signer, vault }: { readonly signer: AckSigner; readonly vault: Vault },
  jti: string,
  outcomes: readonly DeliveryOutcome[],
): Promise<NewAck> {
  const at = isoTime(signer.clock())
  const data = {
    outcomes: outcomes.map(({ delivery, outcome, recipientRef, code }) => ({
      delivery,
      outcome,
      at,
      ...(recipientRef === undefined ? {} : { recipientRef }),
      ...(code === undefined ? {} : { code }),
    })),
  }
  const { token, expiresAtMs } = await signAckData(signer, jti, data)
  const sealed = (text: string): Buffer => vault.seal('delivered', text)
  return { jti, data: sealed(JSON.stringify(data)), token: sealed(token), expiresAtMs }
}

/** The same jti and content under a new signature: what is sent again after the first token has expired. */
export async function signAckData(
  signer: AckSigner,
  jti: string,
  data: JsonObject,
): Promise<{ readonly token: string; readonly expiresAtMs: number }> {
  const iat = numericDate(signer.clock())
  const exp = iat + ACK_MAX_AGE_S
  const token = await signer.signExchange({
    iss: signer.party,
    aud: signer.hub,
    iat,
    exp,
    jti,
    contract: 'delivery-ack@1',
    sub: firstDelivery(data),
    obo: signer.recipient,
    data,
  })
  return { token, expiresAtMs: exp * 1_000 }
}

function firstDelivery(data: JsonObject): string {
  const outcomes = data['outcomes']
  const first: unknown = Array.isArray(outcomes) ? outcomes[0] : undefined
  const delivery = typeof first === 'object' && first !== null && 'delivery' in first ? first.delivery : undefined
  if (typeof delivery !== 'string') throw new HubError('hub.internal')
  return delivery
}
