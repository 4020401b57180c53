import { randomUUID } from 'node:crypto'
import { chmodSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { sql } from 'kysely'
import { expect, inject, onTestFinished, test } from 'vitest'
import { openEmbeddedBus } from '#bus/embedded.ts'
import { openKafkaBus } from '#bus/kafka.ts'
import { applyTopics, partyTopics } from '#bus/topics.ts'
import { PROJECT_ROOT } from '#compose.ts'
import { busSeal, openConfiguredVault } from '#compose-vault.ts'
import { readConfig } from '#config.ts'
import { residentIdFault } from '#contracts/formats.ts'
import { systemClock } from '#kernel/clock.ts'
import type { JsonObject } from '#kernel/json.ts'
import { addAppKey } from '#parties/app-keys.ts'
import { readPartySigner } from '#parties/key-files.ts'
import { startLocalKafka } from '#sandbox/kafka-broker.ts'
import { type HubAnswer, openPartyClient, type PartyClient } from '#sandbox/party-client.ts'
import { type Db, openDb } from '#store/db.ts'
import { runningEmbeddedUrl } from '#store/embedded.ts'
import { openKeyRing } from '#trust/key-ring.ts'
import { appKeySecret } from '#trust/mac.ts'
import { signedHeaders } from '../gateway/plain-client.ts'
import { type HubProcess, openHubProcess } from '../support/hub-process.ts'
import { leaksIn, leaksInFiles, leaksInTables, needlesFor } from '../support/leaks.ts'

/** Synthetic, and like nothing else in this house. */
const PERSON = {
  name: '贺希格巴雅尔',
  idNumber: residentId('15040219870311914'),
  phone: '13904766781',
  address: '内蒙古自治区赤峰市松山区槐香里七号院九单元',
  handler: '乌云其其格',
  owner: '额尔敦仓布',
}
const NEEDLES = needlesFor(Object.values(PERSON))

const REGION = 'platform-nmg'
const CHIFENG = 'platform-chifeng'
const EAST = 'state-grid-east'
const COMPANY = '91150402MADEM002XN'

function residentId(first17: string): string {
  const found = [...'0123456789X']
    .map((last) => first17 + last)
    .find((id) => residentIdFault(id, Date.now()) === undefined)
  if (found === undefined) throw new Error('no check character fits')
  return found
}

const example = (file: string): JsonObject =>
  JSON.parse(readFileSync(join(PROJECT_ROOT, 'schemas', file), 'utf8')) as JsonObject

const PAST = new Date(Date.now() - 3_600_000).toISOString()

function application(applicationNo: string, affairNo: string, more: JsonObject = {}) {
  const data = {
    ...example('power-application/examples/valid/resident.json'),
    applicationNo,
    appliedAt: PAST,
    supplyAddress: PERSON.address,
    aliases: [
      { scheme: 'application-no', issuer: EAST, number: applicationNo },
      { scheme: 'affair-no', issuer: CHIFENG, number: affairNo },
    ],
    applicant: { name: PERSON.name, idTypeCode: '111', idNumber: PERSON.idNumber, phone: PERSON.phone },
    ...more,
  }
  return { contract: 'power-application@1', sub: applicationNo, data, jti: randomUUID() }
}

const result = (affairNo: string) => ({
  contract: 'approval-result@1',
  sub: affairNo,
  data: {
    ...example('approval-result/examples/valid/approved.json'),
    affairNo,
    finishedAt: PAST,
    handler: PERSON.handler,
  },
})

/** A utility's system that fails, and says so with everything it was sent. */
async function startEcho(): Promise<string> {
  let count = 0
  const server = createServer((request, response) => {
    const chunks: Buffer[] = []
    request.on('data', (chunk: Buffer) => chunks.push(chunk))
    request.on('end', () => {
      const body = Buffer.concat(chunks)
      // The names first: what is kept of an answer is its beginning.
      const text = `${PERSON.name} ${PERSON.address} ${body.toString()}`
      response.writeHead(++count % 3 === 0 ? 400 : 503, { 'content-type': 'text/plain' }).end(text)
    })
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  onTestFinished(() => {
    server.closeAllConnections()
    server.close()
  })
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`
}

interface Stage {
  readonly dataDir: string
  readonly hub: HubProcess
  readonly db: Db
  readonly client: (party: string) => Promise<PartyClient>
  /** What the hub answered to what it refused. */
  readonly refused: string[]
}

async function openStage(env: Record<string, string>): Promise<Stage> {
  const dataDir = mkdtempSync(join(tmpdir(), 'dianqiao-personal-'))
  chmodSync(dataDir, 0o711)
  const echo = await startEcho()
  const hub = await openHubProcess({
    dataDir,
    env: { LOG_LEVEL: 'debug', CONNECTOR_SCHEDULE_MS: '20,20', ...env },
    endpoints: { 'state-grid-east-marketing': echo, 'inner-mongolia-power-marketing': echo },
  })
  onTestFinished(async () => {
    await hub.close()
    rmSync(dataDir, { recursive: true, force: true })
  })
  await hub.start()
  const db = openDb((await runningEmbeddedUrl(join(dataDir, 'postgres'))) ?? '', { max: 2 })
  onTestFinished(() => db.destroy())
  const client = async (party: string): Promise<PartyClient> => {
    const signer = readPartySigner(hub.keysDir, party)
    if (signer === undefined) throw new Error(`no key of ${party}`)
    return openPartyClient(hub.url, 'dianqiao', party, signer)
  }
  return { dataDir, hub, db, client, refused: [] }
}

/** The same people through every door, and every way that a message can go wrong. */
async function play(stage: Stage, sendByBus: (token: string) => Promise<void>): Promise<void> {
  const { hub, db, client, refused } = stage
  const [chifeng, region, east, market] = await Promise.all(
    [CHIFENG, REGION, EAST, 'market-regulation-nmg'].map(client),
  )
  if (!chifeng || !region || !east || !market) throw new Error('a client is missing')
  const accepted = async (sent: Promise<HubAnswer>): Promise<void> => expect((await sent).status).toBe(202)
  const refusedAs = async (status: number, sent: Promise<HubAnswer>): Promise<void> => {
    const answer = await sent
    expect(answer.status).toBe(status)
    refused.push(JSON.stringify(answer.body), JSON.stringify(answer.claims ?? {}))
  }

  await accepted(chifeng.push(application('PD-1', 'PA-1')))
  await accepted(chifeng.push(result('PA-1')))
  await accepted(chifeng.push(application('PD-C', 'PA-C', companyApplicant())))
  await accepted(market.push(licence()))

  const lines = [result('PA-1'), application('PD-2', 'PA-2')].map((message) =>
    JSON.stringify({ token: chifeng.exchangeToken(message) }),
  )
  const headers = { 'content-type': 'application/x-ndjson' }
  const batch = await fetch(`${hub.url}/v1/exchanges/batch`, { method: 'POST', headers, body: lines.join('\n') })
  expect((await batch.text()).match(/"receipt"/g)).toHaveLength(2)

  await sendByBus(await region.wrapped(region.exchangeToken(application('PD-3', 'PA-3'))))

  refused.push(await sendByAppKey(stage))

  const wrong = application('PD-4', 'PA-4')
  await refusedAs(422, chifeng.push({ ...wrong, data: { ...wrong.data, category: PERSON.name } }))
  await refusedAs(422, chifeng.push({ ...wrong, data: { ...wrong.data, applicant: { name: PERSON.name } } }))
  const again = application('PD-5', 'PA-5')
  await accepted(chifeng.push(again))
  await refusedAs(409, chifeng.push({ ...again, data: { ...again.data, supplyAddress: `${PERSON.address} 2` } }))
  await refusedAs(401, chifeng.pushToken(chifeng.exchangeToken(wrong).slice(0, -4)))

  await expect
    .poll(
      () => east.ask({ contract: 'business-licence-query@1', sub: COMPANY, caseNo: 'PD-C' }).then((a) => a.status),
      {
        timeout: 20_000,
      },
    )
    .toBe(200)
  const ask = east.ask({ contract: 'business-licence-query@1', sub: COMPANY, caseNo: 'PD-1' })
  await refusedAs(403, ask)

  await expect
    .poll(async () => ((await chifeng.get('/v1/inbox?limit=10')).body['deliveries'] as unknown[]).length, {
      timeout: 20_000,
    })
    .toBeGreaterThan(0)
  const count = async (table: string): Promise<number> =>
    (await sql`SELECT FROM ${sql.table(table)}`.execute(db)).rows.length
  await expect.poll(() => count('dead_letter'), { timeout: 30_000 }).toBeGreaterThan(1)
  for (const table of [
    'exchange',
    'document',
    'access_record',
    'inbox',
    'inbox_attempt',
    'ack_outbox',
    'refusal',
    'plain_evidence',
  ]) {
    expect(await count(table), table).toBeGreaterThan(0)
  }
  const { rows } = await sql<{ n: number }>`
    SELECT count(*)::int AS n FROM exchange WHERE iss = ${REGION}`.execute(db)
  expect(rows[0]?.n).toBe(1)
}

/** One accepted and one refused request of the plain door; the refusal's text. */
async function sendByAppKey({ hub, db, dataDir }: Stage): Promise<string> {
  const networks = ['127.0.0.0/8']
  const id = await addAppKey(
    db,
    { party: CHIFENG, method: 'HMAC-SHA256', networks, contracts: undefined },
    { by: 'test' },
  )
  const { digestKey } = openKeyRing(join(dataDir, 'keys', 'hub.json'), false)
  const key = { id, secret: appKeySecret(digestKey, id), method: 'HMAC-SHA256' } as const
  const contract = 'power-application@1'
  const send = (data: JsonObject): Promise<Response> => {
    const body = JSON.stringify(data)
    const headers = signedHeaders(key, { contract, body })
    return fetch(`${hub.url}/v1/plain/${contract}`, { method: 'POST', headers, body })
  }
  const { data } = application('PD-6', 'PA-6')
  // Every gateway knows a new AppKey within 5 s.
  await expect.poll(async () => (await send(data)).status, { timeout: 10_000 }).toBe(202)
  const refused = await send({ ...data, category: PERSON.name })
  expect(refused.status).toBe(422)
  return refused.text()
}

const companyApplicant = (): JsonObject => ({
  applicant: { name: PERSON.name, idTypeCode: '001', idNumber: COMPANY, phone: PERSON.phone },
})

function licence() {
  const data = {
    ...example('business-licence/examples/valid/company.json'),
    certificateNumber: COMPANY,
    responsiblePerson: { label: '法定代表人', name: PERSON.owner },
  } as JsonObject
  const holders = [{ name: '示例公司', code: COMPANY, codeTypeName: '统一社会信用代码', codeTypeCode: '001' }]
  return { contract: 'business-licence@1', sub: COMPANY, data: { ...data, holders } }
}

/** Everything that a thief of disks, dumps and logs would have. */
async function leaksOf({ dataDir, hub, db, refused }: Stage): Promise<string[]> {
  await sql`CHECKPOINT`.execute(db)
  const metrics = await (await fetch(`${hub.url}/metrics`)).text()
  expect(metrics).toContain('dianqiao_exchanges_total')
  expect(hub.log()).toContain('"level":"debug"')
  return [
    ...(await leaksInTables(db, NEEDLES)),
    ...leaksInFiles(dataDir, NEEDLES),
    ...leaksIn('log', hub.log(), NEEDLES),
    ...leaksIn('metrics', metrics, NEEDLES),
    ...refused.flatMap((body) => leaksIn('refusal', body, NEEDLES)),
  ]
}

test('no byte of a person is in tables, data files, write-ahead log, logs, metrics or errors; one seal left out is found', {
  timeout: 180_000,
}, async () => {
  const stage = await openStage({})
  const { db, dataDir } = stage
  const vault = await openConfiguredVault(readConfig({ DATA_DIR: dataDir }, false), db, systemClock, () => {})
  const bus = openEmbeddedBus(
    db,
    busSeal(vault, () => {}),
  )
  await play(stage, (value) => bus.publish(`dx.in.${REGION}`, [{ key: 'k', value, headers: {} }]))
  expect(await leaksOf(stage)).toEqual([])

  // The proof that the search finds: one value as it would stand there without its seal.
  const { rows } = await sql<{ token: Buffer }>`
    SELECT token FROM exchange WHERE contract = 'power-application@1' LIMIT 1`.execute(db)
  const token = vault.open(rows[0]?.token ?? Buffer.of(0)).toString()
  await sql`UPDATE inbox SET token = ${Buffer.concat([Buffer.of(0), Buffer.from(token)])}
            WHERE seq = (SELECT min(seq) FROM inbox)`.execute(db)
  const leaks = await leaksOf(stage)
  for (const value of [PERSON.name, PERSON.idNumber, PERSON.phone, PERSON.address]) {
    expect(leaks).toContain(`inbox.token: ${value}`)
    expect(leaks.some((leak) => leak.startsWith(`${dataDir}/postgres`) && leak.endsWith(value))).toBe(true)
  }
  await bus.close()
  await vault.close()
})

const jars = inject('kafkaJars')

test.skipIf('missing' in jars)('no byte of a person is in a segment of Kafka', { timeout: 240_000 }, async () => {
  const kafkaDir = mkdtempSync(join(tmpdir(), 'dianqiao-personal-kafka-'))
  onTestFinished(() => rmSync(kafkaDir, { recursive: true, force: true }))
  const cacheDir = 'cacheDir' in jars ? jars.cacheDir : ''
  const kafka = await startLocalKafka({ cacheDir, dataDir: kafkaDir })
  onTestFinished(() => kafka.stop())
  const settings = { brokers: kafka.brokers, clientId: 'personal' }
  const plan = { partitions: 1, replicationFactor: 1, retentionMs: 86_400_000 }
  await applyTopics(settings, [EAST, 'inner-mongolia-power', REGION].flatMap(partyTopics), plan)
  const stage = await openStage({ KAFKA_BROKERS: kafka.brokers.join(',') })
  const bus = openKafkaBus(settings)
  await play(stage, (value) => bus.publish(`dx.in.${REGION}`, [{ key: 'k', value, headers: {} }]))
  await bus.close()
  await stage.hub.close()
  await kafka.stop()
  expect(leaksInFiles(kafkaDir, NEEDLES)).toEqual([])
  // The messages are there: what names no person is in the clear.
  expect(leaksInFiles(kafkaDir, needlesFor(['power-application@1'])).length).toBeGreaterThan(0)
})

test('fixtures and examples of this house hold nobody of these', () => {
  for (const folder of ['schemas', 'seeds', 'connectors', 'contracts', 'test/vectors']) {
    expect(leaksInFiles(join(PROJECT_ROOT, folder), NEEDLES)).toEqual([])
  }
})
