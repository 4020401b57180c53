import type { Bus, BusMessage, BusRecord, Subscription } from '#bus/bus.ts'
import { inTopic, receiptTopic } from '#bus/topic-names.ts'
import type { Acceptance, Arrival } from '#exchange/accept.ts'
import { asHubError } from '#kernel/errors.ts'
import { uuidv7 } from '#kernel/ids.ts'
import { readTraceparent } from '#kernel/traceparent.ts'
import { isEncrypted } from '#trust/jwe.ts'
import { problemOf } from '../problem.ts'

export interface DoorDeps {
  readonly bus: Bus
  readonly hubId: string
  /** Unwraps what came as a JWE. Throws `token.encryption_invalid`. */
  readonly decrypt: (value: string) => Promise<string>
  readonly accept: (token: string, arrival: Arrival) => Promise<Acceptance>
  readonly onError: (error: unknown) => void
}

/** Messages under way at once: what one topic holds leaves the other senders their share of the hub. */
const AT_ONCE = 64

/** Its consumer group. */
export const DOOR_GROUP = 'dianqiao-gateway'

/**
 * The Kafka door: `dx.in.<party>` through the same acceptance as HTTP. iss must be the topic's party, freshness is
 * judged at the broker's append time, and lines keep their order. Receipts and refusals go to `dx.receipt.<party>`
 * before the offset moves; a hub that is busy or without its database leaves the batch where it is.
 */
export function openKafkaDoor(deps: DoorDeps, parties: readonly string[]): Promise<Subscription> {
  return deps.bus.subscribe({
    topics: parties.map(inTopic),
    group: DOOR_GROUP,
    onBatch: (messages) => acceptBatch(deps, messages),
    onError: deps.onError,
  })
}

async function acceptBatch(deps: DoorDeps, messages: readonly BusMessage[]): Promise<void> {
  for (const [topic, group] of Map.groupBy(messages, (message) => message.topic)) {
    const party = topic.slice(inTopic('').length)
    for (let from = 0; from < group.length; from += AT_ONCE) {
      const opened = await Promise.all(group.slice(from, from + AT_ONCE).map((message) => openValue(deps, message)))
      // Submitted one after the other without a pause between: acceptance queues them in this order.
      const answers = opened.map(async ({ message, token, ...wrapping }) => {
        const arrival = { party, atMs: message.timestampMs, ...wrapping }
        return answerRecords(deps, message, await deps.accept(token, arrival))
      })
      await deps.bus.publish(receiptTopic(party), (await Promise.all(answers)).flat())
    }
  }
}

interface OpenedValue extends Pick<Arrival, 'encrypted' | 'fault'> {
  readonly message: BusMessage
  readonly token: string
}

async function openValue({ decrypt }: DoorDeps, message: BusMessage): Promise<OpenedValue> {
  // Bytes outside ASCII stay what they are, so that the strict parse sees and refuses them.
  const text = message.value.toString('latin1')
  if (!isEncrypted(text)) return { message, token: text, encrypted: false }
  try {
    return { message, token: await decrypt(text), encrypted: true }
  } catch (error) {
    return { message, token: text, encrypted: true, fault: asHubError(error) }
  }
}

/** The receipt or the refusal; both where some rows of a load were not good. */
function answerRecords(deps: DoorDeps, message: BusMessage, result: Acceptance): BusRecord[] {
  if (result.kind === 'refused') {
    const unsigned = (id: string): string => JSON.stringify(problemOf(result.error, `urn:uuid:${id}`))
    return [answerRecord(deps, message, 'refusal', result.refusal, unsigned)]
  }
  const receipt = answerRecord(deps, message, 'receipt', result.receipt)
  if (result.refusal === undefined) return [receipt]
  return [receipt, answerRecord(deps, message, 'refusal', result.refusal)]
}

/** CloudEvents in binary mode; `dx-of` is the place of the message that is answered, whose trace goes on. */
function answerRecord(
  deps: DoorDeps,
  message: BusMessage,
  type: 'receipt' | 'refusal',
  signed: string | undefined,
  unsigned: (id: string) => string = () => '',
): BusRecord {
  const id = uuidv7(message.timestampMs)
  const traceparent = readTraceparent(message.headers['traceparent'])
  return {
    // A party need not give a key; Kafka places records by it, so ours always have one.
    key: message.key === '' ? message.topic : message.key,
    value: signed ?? unsigned(id),
    headers: {
      ce_id: id,
      ce_source: `urn:dianqiao:${deps.hubId}`,
      ce_type: type,
      ce_specversion: '1.0',
      'content-type': signed === undefined ? 'application/problem+json' : 'application/jwt',
      'dx-of': `${message.topic}/${message.partition}/${message.offset}`,
      ...(traceparent === undefined ? {} : { traceparent }),
    },
  }
}
