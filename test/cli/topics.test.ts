import { spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import type { Bus } from '#bus/bus.ts'
import { openKafkaBus } from '#bus/kafka.ts'
import { prepare } from '#cli/boot.ts'
import { openStore } from '#cli/with-store.ts'
import { PROJECT_ROOT } from '#compose.ts'
import { kafkaSettings } from '#compose-bus.ts'
import { readConfig } from '#config.ts'
import type { JsonObject } from '#kernel/json.ts'
import { withDatabase } from '../support/database.ts'
import { ndjson } from '../support/hub.ts'
import { asAdmin, withLocalKafka } from '../support/kafka.ts'

const USERS = { 'platform-nmg': 'secret-of-the-platform', 'state-grid-east': 'secret-of-the-utility' }

withDatabase('dianqiao topics', (databaseUrl) => {
  withLocalKafka('against a broker', { users: USERS }, (kafka) => {
    const dataDir = mkdtempSync(join(tmpdir(), 'dianqiao-topics-'))
    beforeAll(async () => {
      const config = readConfig({ DATA_DIR: dataDir, DATABASE_URL: databaseUrl }, false)
      const store = await openStore(config, () => {})
      await prepare(config, store.url)
    })
    afterAll(() => rmSync(dataDir, { recursive: true, force: true }))

    const run = (...args: string[]): { status: number | null; lines: JsonObject[]; stderr: string } => {
      const { status, stdout, stderr } = spawnSync(
        process.execPath,
        [join(PROJECT_ROOT, 'src/main.ts'), 'topics', ...args],
        {
          encoding: 'utf8',
          env: { ...process.env, DATA_DIR: dataDir, DATABASE_URL: databaseUrl, KAFKA_BROKERS: kafka().brokers.join() },
        },
      )
      return { status, lines: ndjson(stdout), stderr }
    }
    const outcomes = (lines: readonly JsonObject[]) =>
      Object.fromEntries(lines.map(({ topic, outcome }) => [topic, outcome]))

    test('apply makes the topics of every party that uses Kafka, and a second time changes nothing', async () => {
      const first = run('apply', '--replication', '1')
      expect([first.status, first.stderr]).toEqual([0, ''])
      const expected = [
        'dx.in.platform-nmg',
        'dx.receipt.platform-nmg',
        'dx.out.state-grid-east',
        'dx.out.inner-mongolia-power',
      ]
      expect(outcomes(first.lines)).toEqual(Object.fromEntries(expected.map((topic) => [topic, 'created'])))
      expect(await asAdmin(kafka().brokers, (admin) => admin.listTopics())).toEqual(expect.arrayContaining(expected))
      const second = run('apply', '--replication', '1')
      expect(outcomes(second.lines)).toEqual(Object.fromEntries(expected.map((topic) => [topic, 'unchanged'])))
    })

    test('a new generation may have other partitions; the old topic keeps its own', async () => {
      const refused = run('apply', '--replication', '1', '--partitions', '12')
      expect([refused.status, refused.stderr]).toEqual([1, expect.stringContaining('bus.topic_faulty')])
      const opened = run('apply', '--replication', '1', '--new-generation', 'state-grid-east')
      expect(outcomes(opened.lines)).toMatchObject({
        'dx.out.state-grid-east': 'unchanged',
        'dx.out.state-grid-east.G2': 'created',
      })
      expect(run('ls').lines).toEqual([
        { topic: 'dx.out.inner-mongolia-power', generation: 1, state: 'open' },
        { topic: 'dx.out.state-grid-east', generation: 1, state: 'draining', unsettled: 0 },
        { topic: 'dx.out.state-grid-east.G2', generation: 2, state: 'open', unsettled: 0 },
      ])
    })

    test('--acls lets each party reach its own topics and no others, by the variables that name its TLS and password', async () => {
      expect(run('apply', '--replication', '1', '--acls').status).toBe(0)
      const busOf = (user: keyof typeof USERS): Bus => {
        const files = { ca: join(dataDir, 'ca.pem'), password: join(dataDir, `${user}.password`) }
        writeFileSync(files.ca, kafka().secure?.ca ?? '')
        writeFileSync(files.password, `${USERS[user]}\n`)
        const config = readConfig(
          {
            KAFKA_BROKERS: kafka().secure?.brokers.join(),
            KAFKA_TLS_CA_FILE: files.ca,
            KAFKA_SASL_USERNAME: user,
            KAFKA_SASL_PASSWORD_FILE: files.password,
          },
          false,
        )
        if (config.kafka === undefined) throw new Error('no Kafka is configured')
        return openKafkaBus(kafkaSettings(config.kafka, user))
      }
      const record = { key: 'k', value: 'v', headers: {} }
      const [platform, utility] = [busOf('platform-nmg'), busOf('state-grid-east')]
      await platform.publish('dx.in.platform-nmg', [record])
      const refused = { code: 'bus.not_authorised' }
      await expect(platform.publish('dx.receipt.platform-nmg', [record])).rejects.toMatchObject(refused)
      await expect(utility.publish('dx.in.platform-nmg', [record])).rejects.toMatchObject(refused)
      expect(await utility.lag('dx.out.state-grid-east', 'state-grid-east.own')).toBe(0)
      await expect(utility.lag('dx.out.inner-mongolia-power', 'state-grid-east.own')).rejects.toMatchObject(refused)
      await Promise.all([platform.close(), utility.close()])
    })

    test('a party that does not receive by Kafka gets no topic, and the refusal says so', () => {
      const { status, stderr } = run('apply', '--new-generation', 'platform-hohhot')
      expect(status).toBe(2)
      expect(stderr).toContain('platform-hohhot')
    })
  })
})
