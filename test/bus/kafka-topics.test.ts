import kafkajs from 'kafkajs'
import { afterAll, beforeAll, expect, test } from 'vitest'
import type { Bus, BusMessage } from '#bus/bus.ts'
import { openKafkaBus } from '#bus/kafka.ts'
import { openKafkaClient } from '#bus/kafka-client.ts'
import type { KafkaSettings } from '#bus/kafka-settings.ts'
import { applyTopics, grantTopics, partyTopics, type TopicPlan } from '#bus/topics.ts'
import { makeTopic, plainKafka, QUICK_TIMES, withLocalKafka } from '../support/kafka.ts'
import { eventually } from './eventually.ts'

const PLAN: TopicPlan = { partitions: 3, replicationFactor: 1, retentionMs: 86_400_000 }
const USERS = { hohhot: 'secret-of-hohhot', chifeng: 'secret-of-chifeng' }
const record = (value: string) => ({ key: 'k', value, headers: {} })

withLocalKafka('topics of parties', { users: USERS }, (kafka) => {
  const settings = (): KafkaSettings => ({ brokers: kafka().brokers, clientId: 'topics', times: QUICK_TIMES })
  const secured = (username: string, password: string): KafkaSettings => {
    const { secure } = kafka()
    if (secure === undefined) throw new Error('the cluster has no secure listener')
    return { ...settings(), brokers: secure.brokers, tls: { ca: secure.ca }, sasl: { username, password } }
  }

  test('are created as planned, and a second time nothing changes', async () => {
    const created = await applyTopics(settings(), ['league', 'banner'].flatMap(partyTopics), PLAN)
    expect(created.map(({ topic }) => topic)).toEqual([...partyTopics('league'), ...partyTopics('banner')])
    expect(new Set(created.map(({ outcome }) => outcome))).toEqual(new Set(['created']))

    const admin = openKafkaClient(settings()).admin()
    expect(await admin.partitions('dx.in.league')).toBe(3)
    expect(await admin.config('dx.out.league')).toMatchObject({
      'message.timestamp.type': 'LogAppendTime',
      'compression.type': 'uncompressed',
      'retention.ms': '86400000',
      'min.insync.replicas': '1',
    })
    await admin.close()
    const again = await applyTopics(settings(), ['league', 'banner'].flatMap(partyTopics), PLAN)
    expect(new Set(again.map(({ outcome }) => outcome))).toEqual(new Set(['unchanged']))
  })

  test('follow a plan whose settings change, and refuse one with other partitions', async () => {
    await applyTopics(settings(), ['utility'].flatMap(partyTopics), PLAN)
    const longer = await applyTopics(settings(), ['utility'].flatMap(partyTopics), {
      ...PLAN,
      retentionMs: 172_800_000,
    })
    expect(new Set(longer.map(({ outcome }) => outcome))).toEqual(new Set(['adjusted']))
    const admin = openKafkaClient(settings()).admin()
    expect(await admin.config('dx.in.utility')).toMatchObject({
      'retention.ms': '172800000',
      'message.timestamp.type': 'LogAppendTime',
    })
    await admin.close()
    await expect(
      applyTopics(settings(), ['utility'].flatMap(partyTopics), { ...PLAN, partitions: 6 }),
    ).rejects.toMatchObject({
      code: 'bus.topic_faulty',
    })
  })

  test('carry the time at which the broker took a record', async () => {
    await applyTopics(settings(), ['clock'].flatMap(partyTopics), PLAN)
    const bus = openKafkaBus(settings())
    const seen: BusMessage[] = []
    const before = Date.now()
    await bus.publish('dx.in.clock', [record('1')])
    const after = Date.now()
    await bus.subscribe({ topics: ['dx.in.clock'], group: 'g', onBatch: async (batch) => void seen.push(...batch) })
    await eventually(() => expect(seen).toHaveLength(1))
    expect(seen[0]?.timestampMs).toBeGreaterThanOrEqual(before)
    expect(seen[0]?.timestampMs).toBeLessThanOrEqual(after)
    await bus.close()
  })

  test('hold what every reader can read, whatever codec a party uses', async () => {
    await applyTopics(settings(), ['codec'].flatMap(partyTopics), PLAN)
    await sendSnappy(kafka().brokers, 'dx.in.codec', 'from a foreign client')
    const seen: string[] = []
    const bus = openKafkaBus(settings())
    await bus.subscribe({
      topics: ['dx.in.codec'],
      group: 'g',
      onBatch: async (batch) => void seen.push(...batch.map(({ value }) => value.toString())),
    })
    await eventually(() => expect(seen).toEqual(['from a foreign client']))
    await bus.close()
  })

  test('made by others may hold a codec that nobody can read: the reader says so, again and again, until it is fatal', async () => {
    await makeTopic(kafka().brokers, 'foreign', { partitions: 1 })
    await sendSnappy(kafka().brokers, 'foreign', 'unreadable')
    const errors: unknown[] = []
    const fatal: unknown[] = []
    const bus = openKafkaBus({
      ...settings(),
      reader: { rebuild: { firstMs: 10, maxMs: 50 }, maxCrashes: 2 },
      onFatal: (error) => fatal.push(error),
    })
    const onError = (error: unknown): void => void errors.push(error)
    await bus.subscribe({ topics: ['foreign'], group: 'g', onBatch: async () => undefined, onError })
    await eventually(() => expect(fatal).toHaveLength(1))
    expect(errors.slice(0, 2)).toMatchObject([{ code: 'bus.topic_faulty' }, { code: 'bus.topic_faulty' }])
    await bus.close()
  })

  test('are not made by using them', async () => {
    const bus = openKafkaBus(settings())
    await expect(bus.publish('dx.in.nobody', [record('1')])).rejects.toMatchObject({ code: 'bus.topic_faulty' })
    const admin = openKafkaClient(settings()).admin()
    expect(await admin.topics()).not.toContain('dx.in.nobody')
    await admin.close()
    await bus.close()
  })

  suiteOfUsers(settings, secured)
})

/** SASL/SCRAM over TLS, with the rights that `grantTopics` gives. */
function suiteOfUsers(settings: () => KafkaSettings, secured: (username: string, password: string) => KafkaSettings) {
  const buses: Bus[] = []
  const open = (username: string, password: string): Bus => {
    const bus = openKafkaBus(secured(username, password))
    buses.push(bus)
    return bus
  }
  beforeAll(async () => {
    await applyTopics(settings(), ['hohhot', 'chifeng'].flatMap(partyTopics), PLAN)
    await grantTopics(settings(), [
      { party: 'hohhot', user: 'hohhot' },
      { party: 'chifeng', user: 'chifeng' },
    ])
  })
  afterAll(async () => {
    await Promise.all(buses.map((bus) => bus.close()))
  })

  test('a party writes its inbound topic and reads its outbound one over TLS with its password', async () => {
    const hohhot = open('hohhot', USERS.hohhot)
    await hohhot.publish('dx.in.hohhot', [record('in')])
    const hub = openKafkaBus(settings())
    buses.push(hub)
    await hub.publish('dx.out.hohhot', [record('out')])
    const seen: string[] = []
    await hohhot.subscribe({
      topics: ['dx.out.hohhot'],
      group: 'hohhot.connector',
      onBatch: async (batch) => void seen.push(...batch.map(({ value }) => value.toString())),
    })
    await eventually(() => expect(seen).toEqual(['out']))
  })

  test("another party's topics and groups are closed to it", async () => {
    const chifeng = open('chifeng', USERS.chifeng)
    const onBatch = async (): Promise<void> => undefined
    const refused = { code: 'bus.not_authorised' }
    await expect(chifeng.publish('dx.in.hohhot', [record('1')])).rejects.toMatchObject(refused)
    await expect(chifeng.publish('dx.out.chifeng', [record('1')])).rejects.toMatchObject(refused)
    await expect(chifeng.subscribe({ topics: ['dx.out.hohhot'], group: 'chifeng.x', onBatch })).rejects.toMatchObject(
      refused,
    )
  })

  test('a wrong password and an unknown authority are refused, not retried for ever', async () => {
    await expect(open('hohhot', 'wrong').publish('dx.in.hohhot', [record('1')])).rejects.toMatchObject({
      code: 'bus.not_authorised',
    })
    const { tls: _, ...trustsTheSystem } = secured('hohhot', USERS.hohhot)
    const bus = openKafkaBus({ ...trustsTheSystem, tls: {} })
    buses.push(bus)
    await expect(bus.publish('dx.in.hohhot', [record('1')])).rejects.toMatchObject({ code: 'bus.unavailable' })
  })
}

/** What a Java client with compression.type=snappy would send; kafkajs itself cannot. */
async function sendSnappy(brokers: readonly string[], topic: string, value: string): Promise<void> {
  const { Snappy } = kafkajs.CompressionTypes
  const codecs = kafkajs.CompressionCodecs
  const before = codecs[Snappy]
  codecs[Snappy] = () => ({ compress: async ({ buffer }: { buffer: Buffer }) => snappyOf(buffer) })
  try {
    const producer = plainKafka(brokers).producer()
    await producer.connect()
    await producer.send({ topic, compression: Snappy, messages: [{ key: 'k', value }] })
    await producer.disconnect()
  } finally {
    codecs[Snappy] = before
  }
}

/** The Snappy framing of the Java client around one block of literals (format description of Snappy, 1 and 2.1). */
function snappyOf(bytes: Buffer): Buffer {
  if (bytes.length > 256) throw new Error('one literal with a one-byte length holds 256 bytes')
  const length = bytes.length < 128 ? [bytes.length] : [(bytes.length & 0x7f) | 0x80, bytes.length >> 7]
  const block = Buffer.concat([Buffer.from([...length, 60 << 2, bytes.length - 1]), bytes])
  const size = Buffer.alloc(4)
  size.writeInt32BE(block.length)
  const header = Buffer.from([0x82, ...Buffer.from('SNAPPY'), 0, 0, 0, 0, 1, 0, 0, 0, 1])
  return Buffer.concat([header, size, block])
}
