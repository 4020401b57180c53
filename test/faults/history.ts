/** What an outsider knows after a run: what the parties sent and were answered, what the peers did, what the hub says. */
export interface History {
  readonly messages: readonly SentMessage[]
  /** Every attempt to hand a message over, in the order in which they were begun. */
  readonly pushes: readonly Push[]
  /** From the peers' own append-only files, in the order of each. */
  readonly effects: readonly PeerEffect[]
  /** `GET /v1/exchanges/{id}` of every exchange that a receipt named, after all came to rest. */
  readonly statuses: readonly ExchangeStatus[]
}

export interface SentMessage {
  /** `iss jti`: the replay key. */
  readonly id: string
  /** What the peer must have taken in. */
  readonly content: string
  readonly orderKey: string
  /** The utility that it must reach. */
  readonly recipient: string
}

export interface Push {
  readonly message: string
  /** Ticks of the client's own clock: what ended before another began, came before it. */
  readonly begun: number
  readonly ended: number
  /** Undefined when the connection broke, or the hub said "try again": the outcome is unknown. */
  readonly answer: Answer | undefined
}

export interface Answer {
  readonly status: number
  readonly receipt: string
  readonly exchange: string
  /** By public keys alone: the hub's signature, for this sender, about this message. */
  readonly verified: boolean
}

export interface PeerEffect {
  readonly peer: string
  readonly effectKey: string
  readonly content: string
}

export interface ExchangeStatus {
  readonly exchange: string
  readonly message: string
  readonly pos: number
  readonly receipt: string
  readonly deliveries: readonly { readonly id: string; readonly recipient: string | null; readonly state: string }[]
}
