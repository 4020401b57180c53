import path from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Bus } from '#bus/bus.ts'
import { inTopic, outTopic, receiptTopic } from '#bus/topic-names.ts'
import { applyTopics } from '#bus/topics.ts'
import { PROJECT_ROOT } from '#compose.ts'
import { HubError } from '#kernel/errors.ts'
import { startLocalKafka } from '#sandbox/kafka-broker.ts'
import { missingForKafka } from '#sandbox/kafka-jars.ts'
import { openDb } from '#store/db.ts'
import { startEmbeddedPostgres } from '#store/embedded.ts'
import { readRegister } from '#store/party-queries.ts'

/** A PostgreSQL and a Kafka that only this play uses. */
export interface RealBackends {
  readonly databaseUrl: string
  readonly brokers: readonly string[]
  stop(): Promise<void>
}

const CACHE = path.join(PROJECT_ROOT, '.cache/kafka')
const PLAN = { partitions: 3, replicationFactor: 1, retentionMs: 86_400_000 }

/**
 * Starts both on loopback, their data in `dataDir`. Throws `config.invalid` where no broker can run: it needs Java 17 or
 * later, and Maven the first time.
 */
export async function startBackends(dataDir: string): Promise<RealBackends> {
  const missing = await missingForKafka(CACHE)
  if (missing !== undefined) {
    const detail = { zh: `本机无法运行 Kafka：${missing}`, en: `no Kafka can run on this machine: ${missing}` }
    throw new HubError('config.invalid', { detail })
  }
  const [postgres, kafka] = await Promise.allSettled([
    startEmbeddedPostgres({ dataDir: path.join(dataDir, 'postgres') }),
    startLocalKafka({ cacheDir: CACHE, dataDir: path.join(dataDir, 'kafka') }),
  ])
  const stop = async (): Promise<void> => {
    const ends = [postgres, kafka].map((one) => (one.status === 'fulfilled' ? one.value.stop() : undefined))
    await Promise.all(ends)
  }
  if (postgres.status === 'fulfilled' && kafka.status === 'fulfilled') {
    return { databaseUrl: postgres.value.url, brokers: kafka.value.brokers, stop }
  }
  await stop()
  throw postgres.status === 'rejected' ? postgres.reason : (kafka as PromiseRejectedResult).reason
}

/** The topics of every party that receives or sends by Kafka, as `dianqiao topics apply` makes them. */
export async function makeTopics({ databaseUrl, brokers }: Omit<RealBackends, 'stop'>): Promise<void> {
  const db = openDb(databaseUrl, { max: 1 })
  try {
    const { parties } = await readRegister(db)
    const topics = parties.flatMap(({ id, channel, bus_door }) => [
      ...(channel === 'bus' ? [outTopic(id)] : []),
      ...(bus_door ? [inTopic(id), receiptTopic(id)] : []),
    ])
    await applyTopics({ brokers, clientId: 'demo' }, topics, PLAN)
  } finally {
    await db.destroy()
  }
}

const JOINED_WITHIN_MS = 30_000

/** Waits until every reader has joined its group; the play then says what is still wrong. */
export async function untilBusReads(bus: Bus): Promise<void> {
  const until = performance.now() + JOINED_WITHIN_MS
  while (bus.notReady().length > 0 && performance.now() < until) await sleep(50)
}
