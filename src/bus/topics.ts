import { setTimeout as sleep } from 'node:timers/promises'
import { HubError } from '#kernel/errors.ts'
import { openKafkaClient } from './kafka-client.ts'
import { topicFaulty, unavailable } from './kafka-errors.ts'
import type { Grant, KafkaAdmin, KafkaClient } from './kafka-port.ts'
import type { KafkaSettings } from './kafka-settings.ts'
import { inTopic, outTopic, receiptTopic } from './topic-names.ts'

export interface TopicPlan {
  /** Fixed for the life of a topic: another count would move keys, and with them their order. */
  readonly partitions: number
  /** Whether a topic that exists may have another count; default: that is an error. */
  readonly keepsPartitions?: boolean
  readonly replicationFactor: number
  /** At most the window in which an inbox recognises what it has seen. */
  readonly retentionMs: number
}

export interface AppliedTopic {
  readonly topic: string
  readonly outcome: 'created' | 'adjusted' | 'unchanged'
}

/** The three topics of a party that uses Kafka both ways (PROTOCOL, Kafka). */
export const partyTopics = (party: string): readonly string[] => [inTopic(party), outTopic(party), receiptTopic(party)]

export interface TopicUser {
  readonly party: string
  /** The name it logs in with. */
  readonly user: string
  /** Generations of its outbound topic, default the first. */
  readonly generations?: readonly number[]
}

/**
 * Gives each party's user its own topics and the groups whose names begin with the party's id and a dot, and nothing
 * else. The brokers must run with an authorizer.
 */
export async function grantTopics(
  settings: KafkaSettings,
  users: readonly TopicUser[],
  client: KafkaClient = openKafkaClient(settings),
): Promise<void> {
  const admin = client.admin()
  try {
    const grants = users.flatMap(grantsOf)
    await admin.grant(grants)
    for (const grant of grants) await untilKnown('acls', 'the new rights', () => admin.holds(grant))
  } finally {
    await admin.close()
  }
}

const grantsOf = ({ party, user: principal, generations = [1] }: TopicUser): readonly Grant[] => [
  { principal, operation: 'write', on: { topic: inTopic(party) } },
  ...generations.map(
    (generation): Grant => ({ principal, operation: 'read', on: { topic: outTopic(party, generation) } }),
  ),
  { principal, operation: 'read', on: { topic: receiptTopic(party) } },
  { principal, operation: 'read', on: { groupPrefix: `${party}.` } },
]

/** A token of 1 MiB, wrapped for its recipient, with its receipt. */
const MAX_MESSAGE_BYTES = 2 * 1024 * 1024

/**
 * Brings these topics to the plan: creates what is missing, sets what differs. Rejects with `bus.topic_faulty` when a
 * topic has another partition count, and changes nothing of that topic.
 */
export async function applyTopics(
  settings: KafkaSettings,
  topics: readonly string[],
  plan: TopicPlan,
  client: KafkaClient = openKafkaClient(settings),
): Promise<readonly AppliedTopic[]> {
  const admin = client.admin()
  try {
    const existing = new Set(await admin.topics())
    const config = configOf(plan)
    const missing = topics.filter((topic) => !existing.has(topic))
    await admin.createTopics(missing.map((topic) => ({ topic, config, ...plan })))
    for (const topic of missing) await untilKnown(topic, 'the new topic', () => exists(admin, topic))
    const applied: AppliedTopic[] = []
    for (const topic of topics) {
      const outcome = existing.has(topic) ? await adjust(admin, topic, plan, config) : 'created'
      applied.push({ topic, outcome })
    }
    return applied
  } finally {
    await admin.close()
  }
}

const KNOWN_WITHIN_MS = 15_000
const KNOWN_POLL_MS = 50

/** The controller takes a change, the brokers follow: until then they answer as if it had not been made. */
async function untilKnown(about: string, change: string, known: () => Promise<boolean>): Promise<void> {
  const deadline = performance.now() + KNOWN_WITHIN_MS
  while (!(await known())) {
    if (performance.now() > deadline) throw unavailable(about, `the brokers do not know ${change}`)
    await sleep(KNOWN_POLL_MS)
  }
}

async function exists(admin: KafkaAdmin, topic: string): Promise<boolean> {
  try {
    return (await admin.partitions(topic)) > 0
  } catch (error) {
    if (error instanceof HubError && error.code === 'bus.topic_faulty') return false
    throw error
  }
}

async function isSet(admin: KafkaAdmin, topic: string, wanted: Readonly<Record<string, string>>): Promise<boolean> {
  const actual = new Map(Object.entries(await admin.config(topic)))
  return Object.entries(wanted).every(([name, value]) => actual.get(name) === value)
}

async function adjust(
  admin: KafkaAdmin,
  topic: string,
  plan: TopicPlan,
  wanted: Readonly<Record<string, string>>,
): Promise<'adjusted' | 'unchanged'> {
  const partitions = await admin.partitions(topic)
  if (partitions !== plan.partitions && plan.keepsPartitions !== true) {
    throw topicFaulty(
      topic,
      `分区数为 ${partitions}，计划为 ${plan.partitions}；更改须以 --new-generation 启用新一代主题`,
      `has ${partitions} partitions, the plan says ${plan.partitions}; a change needs --new-generation`,
    )
  }
  if (await isSet(admin, topic, wanted)) return 'unchanged'
  await admin.setConfig(topic, wanted)
  await untilKnown(topic, 'its new settings', () => isSet(admin, topic, wanted))
  return 'adjusted'
}

function configOf({ retentionMs, replicationFactor }: TopicPlan): Readonly<Record<string, string>> {
  return {
    // Freshness is judged at the time when the broker took the record, so an outage of the hub expires nothing.
    'message.timestamp.type': 'LogAppendTime',
    // Whatever codec a party's client uses, the broker stores what every reader can read.
    'compression.type': 'uncompressed',
    'cleanup.policy': 'delete',
    'retention.ms': String(retentionMs),
    'max.message.bytes': String(MAX_MESSAGE_BYTES),
    'min.insync.replicas': String(Math.min(2, replicationFactor)),
  }
}
