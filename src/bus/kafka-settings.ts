/** Where the brokers are and how we prove who we are. */
export interface KafkaSettings {
  readonly brokers: readonly string[]
  readonly clientId: string
  /** TLS with the system's authorities, or with these (PEM). */
  readonly tls?: { readonly ca?: string }
  /** SCRAM-SHA-512 (RFC 5802, RFC 7677's larger sibling as Kafka has it). */
  readonly sasl?: { readonly username: string; readonly password: string }
  readonly times?: Partial<KafkaTimes>
}

/** Milliseconds. kafkajs waits for ever where it is given no limit. */
export interface KafkaTimes {
  readonly connectionTimeoutMs: number
  readonly requestTimeoutMs: number
  readonly sessionTimeoutMs: number
  readonly heartbeatMs: number
  readonly rebalanceTimeoutMs: number
  readonly maxWaitMs: number
  readonly retryInitialMs: number
  readonly retryMaxMs: number
  /** The longest that one call may take with all its retries. */
  readonly callTimeoutMs: number
}

export const KAFKA_TIMES: KafkaTimes = Object.freeze({
  connectionTimeoutMs: 3_000,
  requestTimeoutMs: 30_000,
  sessionTimeoutMs: 30_000,
  heartbeatMs: 3_000,
  rebalanceTimeoutMs: 60_000,
  maxWaitMs: 200,
  retryInitialMs: 200,
  retryMaxMs: 10_000,
  callTimeoutMs: 60_000,
})
