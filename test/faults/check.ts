import type { Answer, ExchangeStatus, History, PeerEffect, Push, SentMessage } from './history.ts'

/** What is wrong with a history, a sentence each; all lists are empty when every promise was kept. */
export interface Violations {
  /** Acknowledged, and then gone. */
  readonly lost: readonly string[]
  /** One message, two effects. */
  readonly doubled: readonly string[]
  /** An effect that nothing accepted explains. */
  readonly phantom: readonly string[]
  /** An effect with another content than the message. */
  readonly corrupt: readonly string[]
  /** Positions against the order of the sender, or effects against positions, within one order key. */
  readonly reordered: readonly string[]
  /** Not exactly one receipt for one (iss, jti), or one that proves nothing. */
  readonly receipt: readonly string[]
  /** Never answered, or never acknowledged by its recipient. */
  readonly stuck: readonly string[]
}

export const NONE: Violations = Object.freeze({
  lost: [],
  doubled: [],
  phantom: [],
  corrupt: [],
  reordered: [],
  receipt: [],
  stuck: [],
})

/** Judges a history from outside: pure, and without any knowledge of how the hub works. */
export function check(history: History): Violations {
  const index = indexOf(history)
  return {
    lost: history.messages.flatMap((message) => lost(index, message)),
    doubled: doubled(history.effects),
    phantom: history.effects.flatMap((effect) => phantom(index, effect)),
    corrupt: history.effects.flatMap((effect) => corrupt(index, effect)),
    reordered: [...sentOutOfOrder(index), ...takenOutOfOrder(index)],
    receipt: [...history.messages.flatMap((message) => receipts(index, message)), ...sharedPositions(history)],
    stuck: history.messages.flatMap((message) => stuck(index, message)),
  }
}

interface Index extends History {
  readonly byId: ReadonlyMap<string, SentMessage>
  readonly answered: ReadonlyMap<string, readonly (Push & { readonly answer: Answer })[]>
  readonly statusOf: ReadonlyMap<string, ExchangeStatus>
  readonly deliveryById: ReadonlyMap<string, { readonly status: ExchangeStatus; readonly recipient: string | null }>
}

function indexOf(history: History): Index {
  const answered = history.pushes.flatMap((push) =>
    push.answer === undefined ? [] : [{ ...push, answer: push.answer }],
  )
  return {
    ...history,
    byId: new Map(history.messages.map((message) => [message.id, message])),
    answered: Map.groupBy(answered, (push) => push.message),
    statusOf: new Map(history.statuses.map((status) => [status.message, status])),
    deliveryById: new Map(
      history.statuses.flatMap((status) =>
        status.deliveries.map(({ id, recipient }) => [id, { status, recipient }] as const),
      ),
    ),
  }
}

function lost(index: Index, { id, recipient }: SentMessage): string[] {
  if (!index.answered.has(id)) return []
  const status = index.statusOf.get(id)
  if (status === undefined) return [`${id}: the hub does not know the exchange of its receipt`]
  const own = status.deliveries.filter((delivery) => delivery.recipient === recipient)
  if (own.length === 0 && status.deliveries.every((delivery) => delivery.recipient !== null)) {
    return [`${id}: no delivery to ${recipient}`]
  }
  return own
    .filter(({ state }) => state === 'acknowledged')
    .filter((delivery) => !index.effects.some(({ peer, effectKey }) => peer === recipient && effectKey === delivery.id))
    .map((delivery) => `${id}: delivery ${delivery.id} is acknowledged, and ${recipient} did nothing`)
}

function doubled(effects: readonly PeerEffect[]): string[] {
  const twice = (kind: string, keyOf: (effect: PeerEffect) => string): string[] =>
    [...Map.groupBy(effects, keyOf)]
      .filter(([, same]) => same.length > 1)
      .map(([key, same]) => `${kind} ${key}: ${same.length} effects`)
  return [...twice('key', ({ effectKey }) => effectKey), ...twice('content', ({ content }) => content)]
}

function phantom(index: Index, { peer, effectKey, content }: PeerEffect): string[] {
  const delivery = index.deliveryById.get(effectKey)
  if (delivery !== undefined) {
    return delivery.recipient === peer ? [] : [`${effectKey}: an effect at ${peer}, not at ${delivery.recipient}`]
  }
  // A message without an answer may have been accepted all the same: its sender cannot know.
  const unanswered = index.messages.some((message) => message.content === content && !index.answered.has(message.id))
  return unanswered ? [] : [`${effectKey}: an effect at ${peer} of no delivery`]
}

function corrupt(index: Index, { effectKey, content }: PeerEffect): string[] {
  const status = index.deliveryById.get(effectKey)?.status
  const message = status && index.byId.get(status.message)
  return message === undefined || message.content === content
    ? []
    : [`${effectKey}: the peer took in ${content} instead of ${message.content}`]
}

/** What was answered before the next one of its key was begun stands before it in the log. */
function sentOutOfOrder(index: Index): string[] {
  const known = index.messages.flatMap((message) => {
    const [first] = index.answered.get(message.id) ?? []
    const status = index.statusOf.get(message.id)
    const begun = index.pushes.find((push) => push.message === message.id)?.begun
    return first === undefined || status === undefined || begun === undefined
      ? []
      : [{ ...message, begun, answered: first.ended, pos: status.pos }]
  })
  return [...Map.groupBy(known, ({ orderKey }) => orderKey).values()].flatMap((same) =>
    same.flatMap((earlier) =>
      same
        .filter((later) => earlier.answered < later.begun && earlier.pos > later.pos)
        .map((later) => `${earlier.id} was answered before ${later.id} was sent, and stands behind it`),
    ),
  )
}

/** A peer takes in the messages of one key in the order of the log. */
function takenOutOfOrder(index: Index): string[] {
  const last = new Map<string, number>()
  return index.effects.flatMap(({ peer, effectKey }) => {
    const status = index.deliveryById.get(effectKey)?.status
    const message = status && index.byId.get(status.message)
    if (status === undefined || message === undefined) return []
    const key = `${peer} ${message.orderKey}`
    const before = last.get(key) ?? 0
    last.set(key, status.pos)
    return status.pos < before ? [`${message.id}: position ${status.pos} took effect after ${before}`] : []
  })
}

function receipts(index: Index, { id }: SentMessage): string[] {
  const answers = (index.answered.get(id) ?? []).map(({ answer }) => answer)
  const stored = index.statusOf.get(id)?.receipt
  const distinct = new Set([...answers.map(({ receipt }) => receipt), ...(stored === undefined ? [] : [stored])])
  const faults: string[] = []
  if (distinct.size > 1) faults.push(`${id}: ${distinct.size} different receipts`)
  if (answers.some(({ verified }) => !verified)) faults.push(`${id}: a receipt that does not verify`)
  if (answers.filter(({ status }) => status === 202).length > 1) faults.push(`${id}: accepted anew`)
  return faults
}

function sharedPositions({ statuses }: History): string[] {
  return [...Map.groupBy(statuses, ({ pos }) => pos)]
    .filter(([, same]) => same.length > 1)
    .map(([pos, same]) => `position ${pos} stands in the status of ${same.map(({ message }) => message).join(' and ')}`)
}

function stuck(index: Index, { id }: SentMessage): string[] {
  if (!index.answered.has(id)) return [`${id}: never answered`]
  return (index.statusOf.get(id)?.deliveries ?? [])
    .filter(({ state }) => state !== 'acknowledged')
    .map((delivery) => `${id}: delivery ${delivery.id} is ${delivery.state}`)
}
