import { randomUUID } from 'node:crypto'
import { sql } from 'kysely'
import { composeGateway } from '#compose.ts'
import { type Answer, HUB_URL, openTestHub, readAnswer, type TestHub, type TestParty } from '../support/hub.ts'
import { application, licence, newNumber, result } from './messages.ts'
import { type Line, openLine } from './outage.ts'

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
  /** A suspended party. */
  readonly suspended: TestParty
  /** An accepted exchange of the platform, and the number of its case. */
  readonly exchange: string
  readonly number: string
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
  getTime: { 200: (w) => w.hub.request('/v1/time') },
  getJwks: { 200: (w) => w.hub.request('/.well-known/jwks.json') },
  getLive: { 200: (w) => w.hub.request('/health/live') },
  getReady: {
    200: (w) => w.hub.request('/health/ready'),
    503: (w) => whileCut(w, () => w.hub.request('/health/ready')),
  },
  listLedgerTasks: { 200: (w) => w.hub.request('/v1/ledger-tasks') },
  listContracts: { 200: (w) => w.hub.request('/v1/contracts') },
  getSchema: {
    200: (w) => w.hub.request('/v1/contracts/approval-result@1/schema'),
    400: (w) => w.hub.request(`/v1/contracts/${'x'.repeat(81)}/schema`),
    404: (w) => w.hub.request('/v1/contracts/nothing@1/schema'),
  },
}

/** A seeded hub with an open case, behind a line that can be cut. */
export async function openWorld(databaseUrl: string): Promise<World> {
  const line = await openLine(databaseUrl)
  const hub = await openTestHub(line.url)
  const { core } = hub
  const none = composeGateway(
    { ...core, config: { ...core.config, unprovenBurst: 0, unprovenPerSecond: 0 } },
    () => HUB_URL,
  )
  const platform = hub.party('platform-chifeng')
  const utility = hub.party('state-grid-east')
  const suspended = hub.party('platform-baotou')
  const number = newNumber('ME')
  const opened = await platform.push(application(number))
  await hub.party('market-regulation-nmg').push(licence(COMPANY))
  await hub.settle()
  await sql`UPDATE party SET status = 'suspended' WHERE id = ${suspended.id}`.execute(core.db)
  await core.register.refresh()
  return {
    hub,
    line,
    platform,
    utility,
    suspended,
    number,
    exchange: String((await hub.verified(opened.text))['exchange']),
    exhausted: async (path, init) => readAnswer(await none.request(`${HUB_URL}${path}`, init)),
  }
}
