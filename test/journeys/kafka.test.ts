import { setTimeout as sleep } from 'node:timers/promises'
import { beforeAll, expect, test } from 'vitest'
import { openKafkaBus } from '#bus/kafka.ts'
import { applyTopics, partyTopics } from '#bus/topics.ts'
import { NONE } from '../faults/check.ts'
import { CHIFENG, caseMessages, HOHHOT, type Message, type Place } from '../faults/messages.ts'
import { openWorld } from '../faults/world.ts'
import { withDatabase } from '../support/database.ts'
import { plainKafka, withLocalKafka } from '../support/kafka.ts'

const CASES = 8

/** The region's platform, the one that may send by Kafka. */
const REGION: Place = { ...CHIFENG, sender: 'platform-nmg' }

/** An application and two results of each case, for both utilities. */
const cases = Array.from({ length: CASES }, (_, n) => caseMessages(n % 2 === 0 ? CHIFENG : HOHHOT, `kafka-${n}`))
const round = (of: (one: (typeof cases)[number]) => Message): readonly Message[] => cases.map(of)

withDatabase('the crossing over Kafka', () => {
  withLocalKafka('with a broker of its own', {}, (kafka) => {
    const env = (): Record<string, string> => ({
      KAFKA_BROKERS: kafka().brokers.join(','),
      KAFKA_SESSION_TIMEOUT_MS: '2000',
    })
    beforeAll(async () => {
      const parties = [CHIFENG.utility, HOHHOT.utility, REGION.sender]
      const plan = { partitions: 3, replicationFactor: 1, retentionMs: 86_400_000 }
      await applyTopics({ brokers: kafka().brokers, clientId: 'journey' }, parties.flatMap(partyTopics), plan)
    })

    test('applications and results reach both utilities once and are acknowledged, though the broker and the hub are killed in between', {
      timeout: 150_000,
    }, async (context) => {
      const world = await openWorld(context)
      await world.hub.start(env())
      for (const message of round(({ application }) => application)) await world.pushUntilAnswered(message)
      for (const message of round(({ result }) => result(1)).slice(0, CASES / 2)) await world.pushUntilAnswered(message)

      // Acceptance goes on without the broker; what it cannot carry waits in the log.
      await kafka().stopNode(0, 'SIGKILL')
      for (const message of round(({ result }) => result(1)).slice(CASES / 2)) await world.pushUntilAnswered(message)
      await kafka().startNode(0)
      await world.hub.kill9()
      await world.hub.start(env())
      for (const message of round(({ result }) => result(2))) await world.pushUntilAnswered(message)

      expect(await world.judge(), world.hub.log()).toEqual(NONE)
      const hub = openKafkaBus({ brokers: kafka().brokers, clientId: 'journey' })
      expect(await hub.lag(`dx.out.${CHIFENG.utility}`, 'state-grid-east-marketing')).toBe(0)
      await hub.close()
    })

    test('a party that sends by Kafka without a key gets its receipt by Kafka', {
      timeout: 60_000,
    }, async (context) => {
      const world = await openWorld(context)
      await world.hub.start(env())
      const sender = await world.client(REGION.sender)
      const { application } = caseMessages(REGION, 'kafka-door')
      const party = plainKafka(kafka().brokers)
      const producer = party.producer()
      await producer.connect()
      const [sent] = await producer.send({
        topic: `dx.in.${REGION.sender}`,
        messages: [{ value: await sender.wrapped(sender.exchangeToken(application.input)) }],
      })
      await producer.disconnect()

      const answers: { value: string; of: string }[] = []
      const bus = openKafkaBus({ brokers: kafka().brokers, clientId: 'journey' })
      await bus.subscribe({
        topics: [`dx.receipt.${REGION.sender}`],
        group: `${REGION.sender}.test`,
        onBatch: async (batch) =>
          void answers.push(
            ...batch.map(({ value, headers }) => ({ value: value.toString(), of: headers['dx-of'] ?? '' })),
          ),
      })
      await expect.poll(() => answers.length, { timeout: 30_000 }).toBe(1)
      await sleep(500)
      expect(answers).toHaveLength(1)
      expect(answers[0]?.of).toBe(`dx.in.${REGION.sender}/${sent?.partition}/${sent?.baseOffset}`)
      const again = await sender.push(application.input)
      expect([again.status, again.token]).toEqual([200, answers[0]?.value])
      await bus.close()
    })
  })
})
