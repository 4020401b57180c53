import { afterAll, beforeAll, expect, test } from 'vitest'
import { applyTopics } from '#bus/topics.ts'
import { NONE } from '../faults/check.ts'
import { type Cluster, openCluster } from '../faults/cluster.ts'
import { CHIFENG, caseMessages } from '../faults/messages.ts'
import { type Outside, openOutside } from '../faults/outside.ts'
import { asAdmin, needsKafkaJars } from '../support/kafka.ts'

const TOPIC = `dx.out.${CHIFENG.utility}`
const GROUP = 'state-grid-east-marketing'
const PROCESSES = ['gateway-1', 'relay-1', 'connect-1'] as const
const CASES = 5

/** What the broker forgets while the only connector of a utility is dead; the hub's sweeper knows better. */
needsKafkaJars('a delivery whose record or place on the broker is gone', () => {
  let cluster: Cluster
  beforeAll(async () => {
    cluster = await openCluster({ processes: PROCESSES })
  }, 120_000)
  afterAll(() => cluster.close(false))

  const brokers = (): readonly string[] => cluster.broker.brokers
  const ends = (): Promise<number> =>
    asAdmin(brokers(), async (admin) =>
      (await admin.fetchTopicOffsets(TOPIC)).reduce((sum, { high }) => sum + Number(high), 0),
    )

  /** Deliveries are published, and nobody reads them. */
  async function publishUnread(name: string): Promise<Outside> {
    const outside = openOutside({
      keysDir: cluster.keysDir,
      peers: cluster.peers,
      historyDir: cluster.dir,
      statusUrl: () => cluster.directUrl('gateway-1'),
      quietWithinMs: 60_000,
    })
    await cluster.role('connect-1').kill()
    const before = await ends()
    for (let n = 0; n < CASES; n++) {
      const { application, result } = caseMessages(CHIFENG, `${name}-${n}`)
      for (const message of [application, result(1)]) {
        await outside.pushUntilAnswered(message, () => cluster.directUrl('gateway-1'))
      }
    }
    await expect.poll(ends, { timeout: 20_000 }).toBeGreaterThanOrEqual(before + 2 * CASES)
    return outside
  }

  async function takenUp(outside: Outside): Promise<void> {
    expect(await cluster.recover()).toEqual([])
    expect(await outside.judge(), cluster.role('connect-1').log().slice(-5).join('\n')).toEqual(NONE)
  }

  test('a host that was dead for longer than the broker keeps records takes up everything', {
    timeout: 120_000,
  }, async () => {
    await takenUp(await publishUnread('first'))
    const outside = await publishUnread('retention')
    await asAdmin(brokers(), async (admin) => {
      const offsets = await admin.fetchTopicOffsets(TOPIC)
      // What retention does, at once: the log begins where it ends now, behind what the group has committed.
      const partitions = offsets.map(({ partition, high }) => ({ partition, offset: high }))
      await admin.deleteTopicRecords({ topic: TOPIC, partitions })
    })
    await takenUp(outside)
  })

  test('a group whose offsets are gone takes up everything, and nothing twice', { timeout: 120_000 }, async () => {
    const outside = await publishUnread('offsets')
    await expect
      .poll(
        () =>
          asAdmin(brokers(), (admin) => admin.deleteGroups([GROUP])).then(
            () => true,
            () => false,
          ),
        { timeout: 20_000 },
      )
      .toBe(true)
    await takenUp(outside)
  })

  test('a topic that was deleted and made anew brings everything that was in it', { timeout: 120_000 }, async () => {
    const outside = await publishUnread('recreated')
    await asAdmin(brokers(), (admin) => admin.deleteTopics({ topics: [TOPIC] }))
    const settings = { brokers: brokers(), clientId: 'recovery' }
    const plan = { partitions: 3, replicationFactor: 1, retentionMs: 86_400_000 }
    await expect
      .poll(async () => (await applyTopics(settings, [TOPIC], plan).catch(() => undefined)) !== undefined, {
        timeout: 20_000,
      })
      .toBe(true)
    await takenUp(outside)
  })
})
