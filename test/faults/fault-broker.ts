import { join } from 'node:path'
import { applyTopics, partyTopics } from '#bus/topics.ts'
import { startLocalKafka } from '#sandbox/kafka-broker.ts'
import { createTurns } from './in-turn.ts'

export const KAFKA_CACHE = join(import.meta.dirname, '../../.cache/kafka')

/** A broker of one node that can be stopped, killed, frozen and started again on the same log. */
export interface FaultBroker {
  readonly brokers: readonly string[]
  /** Starts it where it does not run. */
  readonly ensure: () => Promise<void>
  readonly stop: (signal: 'SIGTERM' | 'SIGKILL') => Promise<void>
  readonly freeze: () => void
  readonly thaw: () => void
  readonly close: () => Promise<void>
}

/** Starts it with the topics of these parties. */
export async function openFaultBroker(dir: string, parties: readonly string[]): Promise<FaultBroker> {
  const kafka = await startLocalKafka({ cacheDir: KAFKA_CACHE, dataDir: join(dir, 'kafka') })
  const plan = { partitions: 3, replicationFactor: 1, retentionMs: 86_400_000 }
  await applyTopics({ brokers: kafka.brokers, clientId: 'faults' }, parties.flatMap(partyTopics), plan)
  const inTurn = createTurns()
  const thaw = (): void => kafka.signalNode(0, 'SIGCONT')
  return {
    brokers: kafka.brokers,
    ensure: () => inTurn(() => kafka.startNode(0)),
    stop: (signal) => {
      // A frozen process obeys no SIGTERM.
      thaw()
      return inTurn(() => kafka.stopNode(0, signal))
    },
    freeze: () => kafka.signalNode(0, 'SIGSTOP'),
    thaw,
    close: () => {
      thaw()
      return inTurn(() => kafka.stop())
    },
  }
}
