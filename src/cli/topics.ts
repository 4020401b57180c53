import type { KafkaSettings } from '#bus/kafka-settings.ts'
import { inTopic, outTopic, receiptTopic } from '#bus/topic-names.ts'
import { type AppliedTopic, applyTopics, grantTopics, type TopicPlan } from '#bus/topics.ts'
import { kafkaSettings } from '#compose-bus.ts'
import { configFromProcess } from '#config.ts'
import { HubError } from '#kernel/errors.ts'
import type { Db } from '#store/db.ts'
import { readRegister } from '#store/party-queries.ts'
import { openGeneration, openGenerations, topicGenerations } from '#store/topic-queries.ts'
import { printJson } from './output.ts'
import { withDb } from './with-store.ts'

export interface TopicOptions {
  /** Absent: what a topic has, and 6 for a new one. */
  readonly partitions?: number
  readonly replication: number
  readonly retentionDays: number
  /** Parties whose deliveries shall go to a new topic. */
  readonly newGeneration: readonly string[]
  /** Each party's Kafka user bears the party's id. */
  readonly acls: boolean
}

const DEFAULT_PARTITIONS = 6
const DAY_MS = 86_400_000

/**
 * Brings the topics of every party that uses Kafka to the plan, a JSON line each on stdout. A new generation's topic and
 * the rights to it are made before the relay hears of it.
 */
export async function apply(options: TopicOptions): Promise<void> {
  const settings = requireKafka()
  await withDb(async (db) => {
    const { parties } = await readRegister(db)
    const receivers = parties.filter(({ channel }) => channel === 'bus').map(({ id }) => id)
    const unknown = options.newGeneration.find((party) => !receivers.includes(party))
    if (unknown !== undefined) throw notOnBus(unknown)
    const plan: TopicPlan = {
      partitions: options.partitions ?? DEFAULT_PARTITIONS,
      keepsPartitions: options.partitions === undefined,
      replicationFactor: options.replication,
      retentionMs: options.retentionDays * DAY_MS,
    }
    const doors = parties.filter(({ bus_door }) => bus_door).flatMap(({ id }) => [inTopic(id), receiptTopic(id)])
    report(await applyTopics(settings, doors, { ...plan, keepsPartitions: true }))
    const generations = new Map<string, readonly number[]>()
    for (const party of receivers) {
      const opensNew = options.newGeneration.includes(party)
      generations.set(party, await applyOutTopics(db, settings, party, plan, opensNew))
    }
    if (options.acls) {
      const users = parties.filter(({ channel, bus_door }) => channel === 'bus' || bus_door).map(({ id }) => id)
      await grantTopics(
        settings,
        users.map((id) => ({ party: id, user: id, generations: generations.get(id) ?? [] })),
      )
    }
    for (const party of options.newGeneration) {
      await openGeneration(db, party, Math.max(...(generations.get(party) ?? [])))
    }
  })
}

/** Every generation of every recipient's topic, a JSON line each: open, draining with so many deliveries, or drained. */
export async function list(): Promise<void> {
  await withDb(async (db) => {
    const { parties } = await readRegister(db)
    const receivers = parties.filter(({ channel }) => channel === 'bus').map(({ id }) => id)
    const listed = Map.groupBy(await topicGenerations(db, receivers), ({ recipient }) => recipient)
    for (const party of receivers) {
      const generations = listed.get(party) ?? []
      if (generations.length === 0) printJson({ topic: outTopic(party), generation: 1, state: 'open' })
      const newest = generations.at(-1)?.generation
      for (const { generation, closed_at, unsettled } of generations) {
        const state = closed_at !== null ? 'drained' : generation === newest ? 'open' : 'draining'
        printJson({ topic: outTopic(party, generation), generation, state, unsettled })
      }
    }
  })
}

/** The generations that the party reads from now on, the newest last. */
async function applyOutTopics(
  db: Db,
  settings: KafkaSettings,
  party: string,
  plan: TopicPlan,
  opensNew: boolean,
): Promise<readonly number[]> {
  const open = await openGenerations(db, party)
  const newest = Math.max(...open)
  const target = opensNew ? newest + 1 : newest
  const older = open.filter((generation) => generation < target)
  const olderTopics = older.map((generation) => outTopic(party, generation))
  report(await applyTopics(settings, olderTopics, { ...plan, keepsPartitions: true }))
  report(await applyTopics(settings, [outTopic(party, target)], plan))
  return [...older, target]
}

const report = (applied: readonly AppliedTopic[]): void => {
  for (const topic of applied) printJson(topic)
}

function requireKafka(): KafkaSettings {
  const config = configFromProcess()
  if (config.kafka !== undefined) return kafkaSettings(config.kafka, `${config.hubId}-topics`)
  throw new HubError('config.invalid', {
    detail: { zh: '未设置 KAFKA_BROKERS：没有 Kafka 就没有主题', en: 'KAFKA_BROKERS is not set: no Kafka, no topics' },
  })
}

const notOnBus = (party: string): HubError =>
  new HubError('cli.usage', {
    detail: {
      zh: `${party} 不是以 Kafka 接收的单位`,
      en: `${party} is no party that receives through Kafka`,
    },
  })
