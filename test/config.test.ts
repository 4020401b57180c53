import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { kafkaSettings } from '#compose-bus.ts'
import { readConfig } from '#config.ts'

test('without brokers the bus stays in the database', () => {
  expect(readConfig({ KAFKA_BROKERS: '' }, false).kafka).toBeUndefined()
})

test('brokers, a password file and an authority make a Kafka client with TLS and SCRAM', () => {
  const dir = mkdtempSync(join(tmpdir(), 'dianqiao-config-'))
  const passwordFile = join(dir, 'password')
  const caFile = join(dir, 'ca.pem')
  writeFileSync(passwordFile, 'secret\n')
  writeFileSync(caFile, 'PEM\n')
  const { kafka } = readConfig(
    {
      KAFKA_BROKERS: 'one:9092, two:9092',
      KAFKA_SASL_USERNAME: 'hub',
      KAFKA_SASL_PASSWORD_FILE: passwordFile,
      KAFKA_TLS_CA_FILE: caFile,
      KAFKA_SESSION_TIMEOUT_MS: '6000',
    },
    false,
  )
  expect(kafka && kafkaSettings(kafka, 'dianqiao')).toEqual({
    brokers: ['one:9092', 'two:9092'],
    clientId: 'dianqiao',
    times: { sessionTimeoutMs: 6_000, heartbeatMs: 2_000, rebalanceTimeoutMs: 12_000, retryMaxMs: 10_000 },
    tls: { ca: 'PEM' },
    sasl: { username: 'hub', password: 'secret' },
  })
  rmSync(dir, { recursive: true })
  expect(() => kafka && kafkaSettings(kafka, 'dianqiao')).toThrow(/KAFKA_TLS_CA_FILE|KAFKA_SASL_PASSWORD_FILE/)
})

test('retention is that of the defaults but for the classes that are named', () => {
  const { retentionDays } = readConfig({ RETENTION_DAYS: 'delivered=90, archive=10950,access=keep' }, false)
  expect(retentionDays).toEqual({
    ...{ query: 0, assertion: 30, precase: 7 },
    ...{ delivered: 90, access: 'keep', archive: 10_950 },
  })
})

test.each([
  [{ RETENTION_DAYS: 'delivered' }],
  [{ RETENTION_DAYS: 'delivered=-1' }],
  [{ RETENTION_DAYS: 'delivered=ever' }],
  [{ RETENTION_DAYS: 'letters=30' }],
  [{ KAFKA_BROKERS: 'no-port' }],
  [{ KAFKA_BROKERS: 'a:9092,,b:9092' }],
  [{ KAFKA_BROKERS: 'a:9092', KAFKA_SASL_USERNAME: 'hub' }],
  [{ KAFKA_BROKERS: 'a:9092', KAFKA_SASL_PASSWORD_FILE: '/x' }],
  [{ KAFKA_BROKERS: 'a:9092', KAFKA_SESSION_TIMEOUT_MS: '10' }],
])('%o is refused', (env) => {
  expect(() => readConfig(env, false)).toThrow(/config\.invalid/)
})
