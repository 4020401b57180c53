import type { Bus } from '#bus/bus.ts'
import { type BusSeal, openEmbeddedBus } from '#bus/embedded.ts'
import { KAFKA_TIMES, type KafkaSettings } from '#bus/kafka-settings.ts'
import type { Db } from '#store/db.ts'
import type { Log } from './compose.ts'
import { type Config, type KafkaConfig, readSecret } from './config.ts'

/** Kafka where brokers are configured, else the bus in the hub's own database. */
export async function openBus(config: Config, db: Db, sealing: BusSeal, log: Log): Promise<Bus> {
  if (config.kafka === undefined) {
    return openEmbeddedBus(db, sealing, { onError: (error) => log({ level: 'error', message: 'embedded bus', error }) })
  }
  // A hub without Kafka does not pay for its client.
  const { openKafkaBus } = await import('#bus/kafka.ts')
  return openKafkaBus({
    ...kafkaSettings(config.kafka, config.hubId),
    pauseMaxMs: config.kafka.pauseMaxMs,
    onFatal: (error) => {
      log({ level: 'error', message: 'the Kafka consumer crashes again and again; this process ends', error })
      process.exitCode = 1
      // The same way as an operator's stop: what is under way is finished, and the supervisor of processes restarts us.
      process.kill(process.pid, 'SIGTERM')
    },
  })
}

/** The configuration with its files read. Throws `config.invalid` when a file cannot be read. */
export function kafkaSettings(kafka: KafkaConfig, clientId: string): KafkaSettings {
  const { brokers, sessionTimeoutMs, pauseMaxMs, tls, caFile, sasl } = kafka
  return {
    brokers,
    clientId,
    times: {
      sessionTimeoutMs,
      heartbeatMs: Math.min(KAFKA_TIMES.heartbeatMs, Math.floor(sessionTimeoutMs / 3)),
      // A handler only lands a batch: a member that takes longer than two sessions to rejoin is a dead one.
      rebalanceTimeoutMs: Math.min(KAFKA_TIMES.rebalanceTimeoutMs, 2 * sessionTimeoutMs),
      retryMaxMs: Math.min(KAFKA_TIMES.retryMaxMs, pauseMaxMs),
    },
    ...(tls ? { tls: caFile === undefined ? {} : { ca: readSecret('KAFKA_TLS_CA_FILE', caFile) } } : {}),
    ...(sasl === undefined
      ? {}
      : { sasl: { username: sasl.username, password: readSecret('KAFKA_SASL_PASSWORD_FILE', sasl.passwordFile) } }),
  }
}
