import { randomBytes, randomUUID } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import { sql } from 'kysely'
import { composeGateway } from '#compose-gateway.ts'
import { licenceCopy } from '#sandbox/ofd.ts'
import { bearerOf, certificate, digestOf, fileObject, pathOf, upload } from '../support/files.ts'
import { type Answer, HUB_URL, openTestHub, readAnswer, type TestHub, type TestParty } from '../support/hub.ts'
import { affair, application, licence, newNumber, result } from './messages.ts'
import { type Line, openLine } from './outage.ts'
import { issue, type PlainKey, type PlainParts, sendPlain, signedHeaders } from './plain-client.ts'

const JWT = 'application/jwt'
export const NDJSON = 'application/x-ndjson'
const COMPANY = '91150402MADEM002XN'
const PROOF = '/v1/keys/proof'
const TOO_LONG = 'x'.repeat(65)

export interface World {
  readonly hub: TestHub
  readonly line: Line
  readonly platform: TestParty
  readonly utility: TestParty
  /** The platform's. */
  readonly plainKey: PlainKey
  /** A suspended party. */
  readonly suspended: TestParty
  /** An accepted exchange of the platform, and the number of its case. */
  readonly exchange: string
  readonly number: string
  /** A file that the platform sent to the utility. */
  readonly file: Buffer
  /** The same hub with nothing left of its allowance for what proves nobody. */
  readonly exhausted: (path: string, init?: RequestInit) => Promise<Answer>
}

const post = (type: string, body: string): RequestInit => ({ method: 'POST', body, headers: { 'content-type': type } })

async function whileCut(world: World, ask: () => Promise<Answer>): Promise<Answer> {
  await world.line.cut()
  try {
    return await ask()
  } finally {
    await world.line.mend()
  }
}

const PLAIN = '/v1/plain/approval-result@1'

function plain({ hub, plainKey }: World, parts: Partial<PlainParts> = {}, headers: Record<string, string> = {}) {
  const whole = { contract: 'approval-result@1', body: JSON.stringify(result(newNumber()).data), ...parts }
  return sendPlain(hub.app, PLAIN, { ...signedHeaders(plainKey, whole), ...headers }, whole.body)
}

const question = (world: World, change: object = {}): object => ({
  contract: 'business-licence-query@1',
  sub: COMPANY,
  purpose: 'power-connection',
  legalBasis: 'duty',
  item: '11150000MB0000000X2000199001000',
  operator: 'staff-0042',
  caseNo: world.number,
  ...change,
})

async function twice(ask: () => Promise<Answer>): Promise<Answer> {
  await ask()
  return ask()
}

/** The statuses of a GET with a request token, alike for each of them. */
const bearerCases = (path: (world: World) => string, inParameter: string) => ({
  200: (w: World) => w.platform.get(path(w)),
  400: (w: World) => w.platform.get(inParameter),
  401: (w: World) => w.hub.request(path(w)),
  403: (w: World) => w.suspended.get(path(w)),
  413: (w: World) => w.platform.get(path(w), { padding: 'x'.repeat(5_000) }),
  422: (w: World) => w.platform.get(path(w), { htm: 'POST' }),
  429: (w: World) => w.exhausted(path(w)),
  503: (w: World) => whileCut(w, () => w.platform.get(path(w))),
})

/** Content-Length is what the hub plans an upload by. */
const put = (w: World, file: Buffer, deviations: Parameters<typeof upload>[3] = {}, party = w.platform) =>
  upload(w.hub, party, file, deviations)
const png = (size = 20): Buffer => Buffer.concat([Buffer.from('\u0089PNG\r\n\u001a\n', 'latin1'), randomBytes(size)])
const PNG = { mediaType: 'image/png' }

/** The file that the world's platform sent to its utility. */
const fetched = (w: World, party: TestParty, digest = digestOf(w.file), headers: Record<string, string> = {}) =>
  w.hub.request(pathOf(digest), { headers: { authorization: bearerOf(party, 'GET', digest), ...headers } })

const COMPATIBILITY = '/v1/contracts/compatibility'
const VALIDATION = '/v1/contracts/validate'
const JSON_TYPE = 'application/json'
const sent = (w: World, path: string, body: object, party = w.platform) => party.command(path, {}, body)

/** The first answer with this status among many at once, else the last. */
async function firstOf(status: number, ask: () => Promise<Answer>[]): Promise<Answer> {
  const answers = await Promise.all(ask())
  const found = answers.find((answer) => answer.status === status) ?? answers.at(-1)
  if (found === undefined) throw new Error('nothing was asked')
  return found
}

type Cases = Readonly<Record<number, (world: World) => Promise<Answer>>>

/** For every operation and every status that it declares, a request that is answered so. */
export const CASES: Readonly<Record<string, Cases>> = {
  proveKey: {
    200: (w) => w.platform.command(PROOF),
    401: (w) => w.hub.request(PROOF, { method: 'POST' }),
    403: (w) => w.suspended.command(PROOF),
    413: (w) => w.platform.command(PROOF, { padding: 'x'.repeat(5_000) }),
    422: (w) => w.platform.command(PROOF, { htm: 'GET' }),
    429: (w) => w.exhausted(PROOF, { method: 'POST' }),
    503: (w) => whileCut(w, () => w.platform.command(PROOF)),
  },
  pushExchange: {
    202: (w) => w.platform.push(result(newNumber())),
    200: (w) => {
      const token = w.platform.exchange(result(newNumber()))
      return twice(() => w.hub.post('/v1/exchanges', token, { accept: 'application/json' }))
    },
    401: (w) => w.hub.post('/v1/exchanges', 'a.b.c'),
    403: (w) => w.platform.push(licence(COMPANY)),
    409: (w) => {
      const jti = randomUUID()
      return twice(() => w.platform.push(result(newNumber()), { jti }))
    },
    413: (w) => w.hub.post('/v1/exchanges', 'x'.repeat(1_048_577)),
    415: (w) => w.hub.post('/v1/exchanges', 'x', { 'content-type': 'text/plain' }),
    422: (w) => w.platform.push(result(newNumber(), { resultState: 'yes' })),
    429: (w) => w.exhausted('/v1/exchanges', post(JWT, 'a.b.c')),
    503: (w) => whileCut(w, () => w.platform.push(result(newNumber()))),
  },
  pushBatch: {
    200: (w) =>
      w.hub.request(
        '/v1/exchanges/batch',
        post(
          NDJSON,
          [w.platform.exchange(result(newNumber())), 'x'].map((token) => JSON.stringify({ token })).join('\n'),
        ),
      ),
    413: (w) => w.hub.request('/v1/exchanges/batch', post(NDJSON, '{}\n'.repeat(5_001))),
    415: (w) => w.hub.request('/v1/exchanges/batch', post(JWT, '{}')),
  },
  pushPlain: {
    202: (w) => plain(w),
    200: (w) => {
      const parts = { body: JSON.stringify(result(newNumber()).data), requestId: randomUUID() }
      return twice(() => plain(w, parts))
    },
    400: (w) => plain(w, { body: '[]' }),
    401: (w) => plain(w, { sign: '0'.repeat(64) }),
    403: (w) => {
      const parts = { contract: 'approval-result@1', body: '{}' }
      return sendPlain(w.hub.app, PLAIN, signedHeaders(w.plainKey, parts), parts.body, '10.9.8.7')
    },
    409: (w) => {
      const requestId = randomUUID()
      return twice(() => plain(w, { requestId }))
    },
    413: (w) => plain(w, { body: 'x'.repeat(1_048_577) }),
    415: (w) => plain(w, {}, { 'content-type': 'application/jwt' }),
    422: (w) => plain(w, { body: '{}' }),
    429: (w) => w.exhausted(PLAIN, post('application/json', '{}')),
    503: (w) => whileCut(w, () => plain(w)),
  },
  askQuery: {
    200: (w) => w.utility.ask(question(w)),
    401: (w) => w.hub.post('/v1/queries', 'a.b.c'),
    403: (w) => w.utility.ask(question(w, { caseNo: 'NOTHING' })),
    409: (w) => {
      const jti = randomUUID()
      return twice(() => w.utility.ask(question(w, { jti })))
    },
    413: (w) => w.hub.post('/v1/queries', 'x'.repeat(1_048_577)),
    415: (w) => w.hub.post('/v1/queries', 'x', { 'content-type': 'text/plain' }),
    422: (w) => w.utility.ask(question(w, { sub: 'nobody' })),
    429: (w) => w.exhausted('/v1/queries', post(JWT, 'a.b.c')),
    503: (w) => whileCut(w, () => w.utility.ask(question(w))),
  },
  getExchange: {
    ...bearerCases((w) => `/v1/exchanges/${w.exchange}`, `/v1/exchanges/${TOO_LONG}`),
    404: (w) => w.platform.get(`/v1/exchanges/${randomUUID()}`),
  },
  getCase: {
    ...bearerCases((w) => `/v1/cases/${w.number}`, `/v1/cases/${TOO_LONG}`),
    404: (w) => w.platform.get('/v1/cases/NOTHING'),
  },
  pullInbox: bearerCases(() => '/v1/inbox', '/v1/inbox?limit=x'),
  putFile: {
    200: (w) => twice(() => put(w, w.file)),
    201: (w) => put(w, png(), PNG),
    202: (w) => put(w, png(), { ...PNG, range: [0, 9] }),
    400: (w) => put(w, png(), { ...PNG, headers: { 'content-length': '0' } }),
    401: (w) => w.hub.request(pathOf(digestOf(w.file)), { method: 'PUT' }),
    403: (w) => put(w, png(), PNG, w.hub.party('housing-nmg')),
    409: (w) => put(w, png(), { ...PNG, range: [9, 20] }),
    413: (w) => put(w, png(), { ...PNG, headers: { 'content-range': 'bytes 0-27/99999999' } }),
    415: (w) => put(w, png(), { mediaType: 'text/html' }),
    422: (w) => put(w, png()),
    429: (w) => w.exhausted(pathOf(digestOf(w.file)), { method: 'PUT' }),
    503: (w) => whileCut(w, () => put(w, png(), PNG)),
    507: async (w) => {
      await put(w, png(60_000), { ...PNG, range: [0, 9] })
      return put(w, png(60_000), { ...PNG, range: [0, 9] })
    },
  },
  getFile: {
    200: (w) => fetched(w, w.utility),
    206: (w) => fetched(w, w.utility, digestOf(w.file), { range: 'bytes=0-3' }),
    400: (w) => fetched(w, w.utility, 'sha-256:x'),
    401: (w) => w.hub.request(pathOf(digestOf(w.file))),
    403: (w) => fetched(w, w.suspended),
    404: (w) => fetched(w, w.utility, digestOf(png())),
    410: async (w) => {
      const past = sql`UPDATE file_naming SET expires_at = expires_at - interval '2 hours'`
      const back = sql`UPDATE file_naming SET expires_at = expires_at + interval '2 hours'`
      await past.execute(w.hub.core.db)
      const answer = await fetched(w, w.utility)
      await back.execute(w.hub.core.db)
      return answer
    },
    413: (w) => {
      const claims = { htm: 'GET', htu: 'x', padding: 'x'.repeat(5_000) }
      const authorization = `Bearer ${w.utility.sign('request+jwt', claims)}`
      return w.hub.request(pathOf(digestOf(w.file)), { headers: { authorization } })
    },
    416: (w) => fetched(w, w.utility, digestOf(w.file), { range: 'bytes=9999999-' }),
    422: (w) => {
      const authorization = bearerOf(w.utility, 'PUT', digestOf(w.file))
      return w.hub.request(pathOf(digestOf(w.file)), { headers: { authorization } })
    },
    429: (w) => w.exhausted(pathOf(digestOf(w.file))),
    503: (w) => whileCut(w, () => fetched(w, w.utility)),
  },
  compareSchemas: {
    200: (w) => sent(w, COMPATIBILITY, { earlier: [{}], next: { type: 'object' } }),
    400: (w) => sent(w, COMPATIBILITY, { next: {}, mode: 'sideways' }),
    401: (w) => w.hub.request(COMPATIBILITY, post(JSON_TYPE, '{}')),
    403: (w) => sent(w, COMPATIBILITY, { next: {} }, w.suspended),
    404: (w) => sent(w, COMPATIBILITY, { contract: 'nothing@1', next: {} }),
    413: (w) => sent(w, COMPATIBILITY, { next: { title: 'x'.repeat(1_100_000) } }),
    415: (w) => w.hub.request(COMPATIBILITY, post('text/plain', '{}')),
    422: (w) => w.platform.command(COMPATIBILITY, { htm: 'GET' }, {}),
    429: (w) => w.exhausted(COMPATIBILITY, post(JSON_TYPE, '{}')),
    503: (w) =>
      firstOf(503, () => Array.from({ length: 40 }, () => sent(w, COMPATIBILITY, { earlier: [{}], next: {} }))),
  },
  validateData: {
    200: (w) => sent(w, VALIDATION, { contract: 'approval-result@1', data: {} }),
    400: (w) => sent(w, VALIDATION, { contract: 1 }),
    401: (w) => w.hub.request(VALIDATION, post(JSON_TYPE, '{}')),
    403: (w) => sent(w, VALIDATION, { contract: 'approval-result@1', data: {} }, w.suspended),
    404: (w) => sent(w, VALIDATION, { contract: 'nothing@1', data: {} }),
    413: (w) => sent(w, VALIDATION, { contract: 'x', data: 'x'.repeat(1_100_000) }),
    415: (w) => w.hub.request(VALIDATION, post('text/plain', '{}')),
    422: (w) => w.platform.command(VALIDATION, { htm: 'GET' }, {}),
    429: (w) => w.exhausted(VALIDATION, post(JSON_TYPE, '{}')),
    // The register is unread for 5 s: nobody is let in on stale rights.
    503: async (w) => {
      const answer = await whileCut(w, async () => {
        await sleep(6_500)
        return sent(w, VALIDATION, { contract: 'approval-result@1', data: {} })
      })
      // What follows is asked of a hub that knows its register again.
      for (let turn = 0; turn < 50 && (await w.hub.request('/health/ready')).status !== 200; turn++) await sleep(200)
      return answer
    },
  },
  listClients: { 200: (w) => w.hub.request('/docs/clients') },
  getClient: {
    200: (w) => w.hub.request('/docs/clients/DianqiaoClient.java'),
    404: (w) => w.hub.request('/docs/clients/nothing.c'),
  },
  getTime: { 200: (w) => w.hub.request('/v1/time') },
  getJwks: { 200: (w) => w.hub.request('/.well-known/jwks.json') },
  getLive: { 200: (w) => w.hub.request('/health/live') },
  getReady: {
    200: (w) => w.hub.request('/health/ready'),
    503: (w) => whileCut(w, () => w.hub.request('/health/ready')),
  },
  listLedgerTasks: { 200: (w) => w.hub.request('/v1/ledger-tasks') },
  listContracts: { 200: (w) => w.hub.request('/v1/contracts') },
  listContractVersions: {
    200: (w) => w.hub.request('/v1/contracts/approval-result'),
    400: (w) => w.hub.request(`/v1/contracts/${'x'.repeat(81)}`),
    404: (w) => w.hub.request('/v1/contracts/nothing'),
  },
  getContract: {
    200: (w) => w.hub.request('/v1/contracts/approval-result/1'),
    400: (w) => w.hub.request(`/v1/contracts/${'x'.repeat(81)}/1`),
    404: (w) => w.hub.request('/v1/contracts/approval-result/9.9.9'),
  },
  getSchemaFile: {
    200: (w) => w.hub.request('/v1/schemas/approval-result/1.0.0.json'),
    400: (w) => w.hub.request(`/v1/schemas/approval-result/${'1'.repeat(25)}`),
    404: (w) => w.hub.request('/v1/schemas/approval-result/..%2Freleased.yaml'),
  },
  listContractPages: {
    200: (w) => w.hub.request('/docs/contracts?lang=en'),
    400: (w) => w.hub.request('/docs/contracts?lang=fr'),
  },
  getContractPage: {
    200: (w) => w.hub.request('/docs/contracts/approval-result@1'),
    400: (w) => w.hub.request('/docs/contracts/approval-result@1?lang=fr'),
    404: (w) => w.hub.request('/docs/contracts/nothing@1'),
  },
  getContractFormatPage: {
    200: (w) => w.hub.request('/docs/contract-format'),
    400: (w) => w.hub.request('/docs/contract-format?lang=fr'),
  },
  getSchema: {
    200: (w) => w.hub.request('/v1/contracts/approval-result@1/schema'),
    400: (w) => w.hub.request(`/v1/contracts/${'x'.repeat(81)}/schema`),
    404: (w) => w.hub.request('/v1/contracts/nothing@1/schema'),
  },
}

/** A seeded hub with an open case, behind a line that can be cut. */
export async function openWorld(databaseUrl: string): Promise<World> {
  const line = await openLine(databaseUrl)
  const hub = await openTestHub(line.url, { FILE_QUOTA_BYTES: '100000' })
  const { core } = hub
  const none = composeGateway(
    { ...core, config: { ...core.config, unprovenBurst: 0, unprovenPerSecond: 0 } },
    () => HUB_URL,
  )
  const platform = hub.party('platform-chifeng')
  const utility = hub.party('state-grid-east')
  const suspended = hub.party('platform-baotou')
  const number = newNumber('ME')
  const affairNo = newNumber()
  const opened = await platform.push(application(number, { aliases: [affair(platform.id, affairNo)] }))
  const file = licenceCopy('a licence')
  await upload(hub, platform, file)
  await platform.push(result(affairNo, certificate(fileObject(file)) as never))
  await hub.party('market-regulation-nmg').push(licence(COMPANY))
  await hub.settle()
  await sql`UPDATE party SET status = 'suspended' WHERE id = ${suspended.id}`.execute(core.db)
  await core.register.refresh()
  return {
    hub,
    line,
    platform,
    utility,
    plainKey: await issue(hub, platform.id),
    suspended,
    number,
    file,
    exchange: String((await hub.verified(opened.text))['exchange']),
    exhausted: async (path, init) => readAnswer(await none.request(`${HUB_URL}${path}`, init)),
  }
}
