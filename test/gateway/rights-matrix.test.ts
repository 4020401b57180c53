import { randomUUID } from 'node:crypto'
import type { OpenAPIHono } from '@hono/zod-openapi'
import { sql } from 'kysely'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { composeGateway } from '#compose-gateway.ts'
import type { Contract, Dataset } from '#contracts/contract.ts'
import type { JsonObject } from '#kernel/json.ts'
import { addKey } from '#parties/keys.ts'
import { licenceCopy } from '#sandbox/ofd.ts'
import { giveBack } from '#store/access-queries.ts'
import { generateKeyPair } from '#trust/keys.ts'
import { createSigner, type Signer } from '#trust/sign.ts'
import { withDatabase } from '../support/database.ts'
import { bearerOf, certificate, digestOf, fileObject, pathOf, upload } from '../support/files.ts'
import {
  type Answer,
  at,
  HUB_URL,
  ndjson,
  openTestHub,
  readAnswer,
  type TestHub,
  type TestParty,
} from '../support/hub.ts'
import { acknowledgement, affair, application, licence, newNumber, result } from './messages.ts'
import { issue, type PlainKey, sendPlain, signedHeaders } from './plain-client.ts'
import { assertion, consent, documents, withdrawal } from './rights-messages.ts'

/** What each operation answers in each situation; `-` where the two have nothing to do with each other. */
const MATRIX = `
situation         | push                   | batch                  | ack                    | query                     | inbox                  | status                 | case                   | proof                  | upload                 | download               | plain                      | compare                | validate
no token          | 401 token.malformed    | 401 token.malformed    | 401 token.malformed    | 401 token.malformed       | 401 token.malformed    | 401 token.malformed    | 401 token.malformed    | 401 token.malformed    | 401 token.malformed    | 401 token.malformed    | 401 appkey.headers_invalid | 401 token.malformed    | 401 token.malformed
unknown key       | 401 token.key_unknown  | 401 token.key_unknown  | 401 token.key_unknown  | 401 token.key_unknown     | 401 token.key_unknown  | 401 token.key_unknown  | 401 token.key_unknown  | 401 token.key_unknown  | 401 token.key_unknown  | 401 token.key_unknown  | 401 appkey.unknown         | 401 token.key_unknown  | 401 token.key_unknown
another's name    | 401 token.key_foreign  | 401 token.key_foreign  | 401 token.key_foreign  | 401 token.key_foreign     | 401 token.key_foreign  | 401 token.key_foreign  | 401 token.key_foreign  | 401 token.key_foreign  | 401 token.key_foreign  | 401 token.key_foreign  | 401 appkey.sign_invalid    | 401 token.key_foreign  | 401 token.key_foreign
pending key       | 401 token.key_inactive | 401 token.key_inactive | 401 token.key_inactive | 401 token.key_inactive    | 401 token.key_inactive | 401 token.key_inactive | 401 token.key_inactive | 200                    | 401 token.key_inactive | 401 token.key_inactive | -                          | 401 token.key_inactive | 401 token.key_inactive
revoked key       | 401 token.key_inactive | 401 token.key_inactive | 401 token.key_inactive | 401 token.key_inactive    | 401 token.key_inactive | 401 token.key_inactive | 401 token.key_inactive | 401 token.key_inactive | 401 token.key_inactive | 401 token.key_inactive | 401 appkey.revoked         | 401 token.key_inactive | 401 token.key_inactive
suspended         | 403 party.suspended    | 403 party.suspended    | 403 party.suspended    | 403 party.suspended       | 403 party.suspended    | 403 party.suspended    | 403 party.suspended    | 403 party.suspended    | 403 party.suspended    | 403 party.suspended    | 403 party.suspended        | 403 party.suspended    | 403 party.suspended
for suspended     | 403 party.suspended    | 403 party.suspended    | 403 party.suspended    | 403 party.suspended       | 200 its own            | -                      | -                      | -                      | -                      | -                      | -                          | -                      | -
without mandate   | 403 right.no_mandate   | 403 right.no_mandate   | 403 right.no_mandate   | 403 right.no_mandate      | -                      | -                      | -                      | -                      | -                      | -                      | -                          | -                      | -
another role      | 403 right.missing      | 403 right.missing      | -                      | 403 right.missing         | 200 empty              | 404 exchange.not_found | 404 case.not_found     | -                      | -                      | -                      | 403 right.missing          | -                      | -
no contract       | -                      | -                      | -                      | -                         | -                      | -                      | -                      | -                      | 403 right.missing      | -                      | -                          | -                      | -
other party       | -                      | -                      | 202 without effect     | 403 query.case_mismatch   | 200 empty              | 404 exchange.not_found | 404 case.not_found     | -                      | -                      | 404 file.not_found     | -                          | -                      | -
other's case      | -                      | -                      | -                      | 403 query.case_mismatch   | -                      | -                      | 404 case.not_found     | -                      | -                      | -                      | -                          | -                      | -
other's document  | -                      | -                      | -                      | 403 query.case_mismatch   | -                      | 404 exchange.not_found | -                      | -                      | -                      | -                      | -                          | -                      | -
no such case      | -                      | -                      | -                      | 403 query.case_mismatch   | -                      | 404 exchange.not_found | 404 case.not_found     | -                      | -                      | 404 file.not_found     | -                          | -                      | -
closed case       | -                      | -                      | -                      | 403 query.case_mismatch   | -                      | -                      | 200                    | -                      | -                      | -                      | -                          | -                      | -
wrong purpose     | -                      | -                      | -                      | 403 query.grant_missing   | -                      | -                      | -                      | -                      | -                      | -                      | -                          | -                      | -
expired grant     | -                      | -                      | -                      | 403 query.grant_missing   | -                      | -                      | -                      | -                      | -                      | -                      | -                          | -                      | -
field not granted | -                      | -                      | -                      | 403 query.grant_missing   | -                      | -                      | -                      | -                      | -                      | -                      | -                          | -                      | -
other network     | -                      | -                      | -                      | 403 query.grant_missing   | -                      | -                      | -                      | -                      | -                      | -                      | -                          | -                      | -
approval lapsed   | -                      | -                      | -                      | 403 query.grant_missing   | -                      | -                      | -                      | -                      | -                      | -                      | -                          | -                      | -
not approved      | -                      | -                      | -                      | 403 query.grant_missing   | -                      | -                      | -                      | -                      | -                      | -                      | -                          | -                      | -
not shared        | -                      | -                      | -                      | 403 query.grant_missing   | -                      | -                      | -                      | -                      | -                      | -                      | -                          | -                      | -
no consent        | -                      | -                      | -                      | 403 query.consent_missing | -                      | -                      | -                      | -                      | -                      | -                      | -                          | -                      | -
other's consent   | -                      | -                      | -                      | 403 query.consent_missing | -                      | -                      | -                      | -                      | -                      | -                      | -                          | -                      | -
other purpose's   | -                      | -                      | -                      | 403 query.consent_missing | -                      | -                      | -                      | -                      | -                      | -                      | -                          | -                      | -
expired consent   | -                      | -                      | -                      | 403 query.consent_missing | -                      | -                      | -                      | -                      | -                      | -                      | -                          | -                      | -
withdrawn consent | -                      | -                      | -                      | 403 query.consent_missing | -                      | -                      | -                      | -                      | -                      | -                      | -                          | -                      | -
its consent       | -                      | -                      | -                      | 200                       | -                      | -                      | -                      | -                      | -                      | -                      | -                          | -                      | -
no session        | -                      | -                      | -                      | 403 query.case_mismatch   | -                      | -                      | -                      | -                      | -                      | -                      | -                          | -                      | -
other's session   | -                      | -                      | -                      | 403 query.case_mismatch   | -                      | -                      | -                      | -                      | -                      | -                      | -                          | -                      | -
stale session     | -                      | -                      | -                      | 403 query.case_mismatch   | -                      | -                      | -                      | -                      | -                      | -                      | -                          | -                      | -
session over      | -                      | -                      | -                      | 403 query.case_mismatch   | -                      | -                      | -                      | -                      | -                      | -                      | -                          | -                      | -
its session       | -                      | -                      | -                      | 200                       | -                      | -                      | -                      | -                      | -                      | -                      | -                          | -                      | -
guesses used up   | -                      | -                      | -                      | 429 query.guesses_used    | -                      | -                      | -                      | -                      | -                      | -                      | -                          | -                      | -
cap reached       | -                      | -                      | -                      | 429 query.cap_reached     | -                      | -                      | -                      | -                      | -                      | -                      | -                          | -                      | -
its own           | 202                    | 202                    | 202                    | 200                       | 200 its own            | 200                    | 200                    | 200                    | 201                    | 200                    | 202                        | 200                    | 200
`

const [header = '', ...lines] = MATRIX.trim().split('\n')
const cellsOf = (line: string): string[] => line.split('|').map((cell) => cell.trim())
const cells = lines.flatMap((line) => {
  const [situation = '', ...expected] = cellsOf(line)
  return cellsOf(header)
    .slice(1)
    .map((operation, index) => ({ situation, operation, expected: expected[index] ?? '-' }))
    .filter((cell) => cell.expected !== '-')
})

/** What each column of the table calls. */
const OPERATION_IDS: Readonly<Record<string, string>> = {
  push: 'pushExchange',
  batch: 'pushBatch',
  ack: 'pushExchange',
  query: 'askQuery',
  inbox: 'pullInbox',
  status: 'getExchange',
  case: 'getCase',
  proof: 'proveKey',
  upload: 'putFile',
  download: 'getFile',
  plain: 'pushPlain',
  compare: 'compareSchemas',
  validate: 'validateData',
}
/** Nothing of a party: contracts, ledger, clients, keys, time, health. */
const OPEN_TO_ALL = [
  ...['getClient', 'getJwks', 'getLive', 'getReady', 'getSchema', 'getTime'],
  ...['getContract', 'getContractFormatPage', 'getContractPage', 'getSchemaFile'],
  ...['listClients', 'listContractPages', 'listContracts', 'listContractVersions', 'listLedgerTasks'],
]

const COMPANY = '91150402MADEM002XN'
const OTHER_COMPANY = '91150404MADEM00624'
const UTILITY = 'state-grid-east'
const PLATFORM = 'platform-chifeng'
const OPERATOR = { by: 'operator', reason: 'a test' }
const QUERY = 'business-licence-query@1'
const VERIFICATION = { contract: 'property-verification@1' }

const newFile = (): Buffer => licenceCopy(newNumber())

/** Who acts in a situation, and what is different about what it does. */
interface Actor {
  readonly as: (natural: string) => TestParty
  /** Another gateway than the hub's. */
  readonly app?: OpenAPIHono
  readonly obo?: Readonly<Record<string, string>>
  readonly question?: object
  readonly target?: { readonly exchange: string; readonly number: string }
  /** What it sends plain JSON with, where that is not a new AppKey of the same party. */
  readonly appKey?: PlainKey
  readonly undo?: () => Promise<unknown>
}

withDatabase('rights', (databaseUrl) => {
  let hub: TestHub
  /** Its platform's own: an exchange, a case with its number, and a delivery in its inbox. */
  let exchange: string
  let number: string
  let delivery: string
  /** An exchange and a case that neither of the two has to do with. */
  let foreign: { readonly exchange: string; readonly number: string }
  const closed = newNumber('ME')
  /** Sent by the platform to the utility. */
  const file = newFile()
  beforeAll(async () => {
    hub = await openTestHub(databaseUrl)
    await accepted('market-regulation-nmg', licence(COMPANY))
    number = newNumber('ME')
    await accepted(UTILITY, application(number, { applicant: COMPANY }))
    await accepted(UTILITY, application(closed, { applicant: COMPANY }))
    await accepted(UTILITY, application(newNumber('ME'), { division: '150429' }))
    exchange = await accepted(PLATFORM, application(newNumber('ME'), { utility: PLATFORM }))
    const power = 'inner-mongolia-power'
    const theirs = application(newNumber('MW'), { utility: power, division: '150200', applicant: COMPANY })
    foreign = { exchange: await accepted(power, theirs), number: theirs.sub }
    for (const { sender, message } of documents()) await accepted(sender, message)
    await hub.settle()
    await sql`UPDATE case_file SET state = 'closed' WHERE id IN
      (SELECT case_id FROM case_alias WHERE number = ${closed})`.execute(hub.core.db)
    const affairNo = newNumber()
    await accepted(UTILITY, application(newNumber('ME'), { aliases: [affair(PLATFORM, affairNo)] }))
    await upload(hub, natural(PLATFORM), file)
    await accepted(PLATFORM, result(affairNo, certificate(fileObject(file)) as never))
    await hub.settle()
    const { rows } = await sql<{ id: string }>`
      SELECT id FROM delivery WHERE recipient = ${PLATFORM} ORDER BY pos`.execute(hub.core.db)
    delivery = String(rows[0]?.id)
  })
  afterAll(() => hub.close())

  async function accepted(party: string, message: Parameters<TestParty['push']>[0]): Promise<string> {
    const answer = await hub.party(party).push(message)
    expect(answer.status, answer.text).toBe(202)
    return String((await hub.verified(answer.text))['exchange'])
  }
  const change = async (...statements: readonly string[]): Promise<void> => {
    for (const statement of statements) await sql.raw(statement).execute(hub.core.db)
    await hub.core.register.refresh()
  }
  const natural = (id: string): TestParty => hub.party(id)
  const withKey = (state: string) => async (): Promise<Actor> => {
    const signers = new Map<string, Signer>()
    for (const id of [PLATFORM, UTILITY]) {
      const { privateJwk, publicJwk, kid } = generateKeyPair('ES256')
      await addKey(hub.core.db, { party: id, jwk: publicJwk }, OPERATOR)
      await change(`UPDATE party_key SET state = '${state}' WHERE kid = '${kid}'`)
      signers.set(id, createSigner(privateJwk))
    }
    const appKey = await issue(hub, PLATFORM)
    if (state === 'revoked') await change(`UPDATE app_key SET state = 'revoked' WHERE id = '${appKey.id}'`)
    return { as: (id) => hub.party(id, signers.get(id)), appKey }
  }
  const suspended = async (ids: readonly string[], actor: Omit<Actor, 'undo'>): Promise<Actor> => {
    const list = ids.map((id) => `'${id}'`).join()
    await change(`UPDATE party SET status = 'suspended' WHERE id IN (${list})`)
    return { ...actor, undo: () => change(`UPDATE party SET status = 'active' WHERE id IN (${list})`) }
  }
  const changedGrant = (set: string, back: string) => async (): Promise<Actor> => {
    await change(`UPDATE access_grant SET ${set} WHERE party = '${UTILITY}'`)
    return { as: natural, undo: () => change(`UPDATE access_grant SET ${back} WHERE party = '${UTILITY}'`) }
  }
  /** A consent as `data` changes it, and what else happens to it. */
  const consenting =
    (data: JsonObject, then?: (ref: string) => Promise<unknown>): (() => Promise<Actor>) =>
    async () => {
      const ref = newNumber('CF')
      await accepted(PLATFORM, consent(ref, COMPANY, data))
      await hub.settle()
      await then?.(ref)
      return { as: natural, question: { legalBasis: 'consent', consentRef: ref } }
    }
  /** A session that an assertion as `data` changes it opened, and what else happens to it. */
  const inSession =
    (data: JsonObject, then?: (id: string) => Promise<unknown>): (() => Promise<Actor>) =>
    async () => {
      const session = newNumber('AS')
      await accepted('public-security-nmg', assertion(session, data))
      await hub.settle()
      await then?.(session)
      const property = '蒙（2019）赤峰市不动产权第0004321号'
      return { as: natural, question: { ...VERIFICATION, sub: property, caseNo: undefined, session } }
    }
  /** The same hub, but with a licence dataset that is governed in another way. */
  const governed =
    (change: (dataset: Dataset) => Dataset): (() => Promise<Actor>) =>
    async () => {
      const { contracts } = hub.core
      const one = contracts.get('business-licence@1')
      if (one?.dataset === undefined) throw new Error('no dataset')
      const other: Contract = { ...one, dataset: change(one.dataset) }
      const get = (ref: string): Contract | undefined => (ref === one.ref ? other : contracts.get(ref))
      return { as: natural, app: composeGateway({ ...hub.core, contracts: { ...contracts, get } }, () => HUB_URL) }
    }
  const asking =
    (question: object): (() => Promise<Actor>) =>
    async () => ({ as: natural, question })

  const SITUATIONS: Readonly<Record<string, () => Promise<Actor>>> = {
    'no token': async () => ({
      appKey: { id: '', secret: '', method: 'HMAC-SHA256' },
      as: (id) => hub.party(id, { ...natural(id).signer, sign: () => 'a.b.c' }),
    }),
    'unknown key': async () => ({
      appKey: { id: `ak-${'0'.repeat(24)}`, secret: 'x', method: 'HMAC-SHA256' },
      as: (id) => hub.party(id, createSigner(generateKeyPair('ES256').privateJwk)),
    }),
    "another's name": async () => {
      const { secret } = await issue(hub, 'platform-hohhot')
      const appKey = { ...(await issue(hub, PLATFORM)), secret }
      return { as: (id) => hub.party(id, natural('platform-hohhot').signer), appKey }
    },
    'pending key': withKey('pending'),
    'revoked key': withKey('revoked'),
    suspended: () => suspended([PLATFORM, UTILITY], { as: natural }),
    'for suspended': async () => {
      await change(`INSERT INTO mandate VALUES ('${UTILITY}', 'inner-mongolia-power', '${QUERY}', '2026-01-01', NULL)`)
      const obo = { [PLATFORM]: 'platform-ningcheng', [UTILITY]: 'inner-mongolia-power' }
      const actor = await suspended(Object.values(obo), { as: natural, obo })
      return {
        ...actor,
        undo: async () => {
          await actor.undo?.()
          await change(`DELETE FROM mandate WHERE contract = '${QUERY}'`)
        },
      }
    },
    'without mandate': async () => ({
      as: natural,
      obo: { [PLATFORM]: 'platform-hohhot', [UTILITY]: 'inner-mongolia-power' },
    }),
    'another role': async () => ({ as: (id) => natural(id === UTILITY ? PLATFORM : 'market-regulation-nmg') }),
    'other party': async () => ({ as: (id) => natural(id === UTILITY ? 'inner-mongolia-power' : 'platform-hohhot') }),
    // The housing authority sends under contracts that carry no files.
    'no contract': async () => ({ as: () => natural('housing-nmg') }),
    "other's case": async () => ({ as: natural, target: foreign }),
    "other's document": async () => ({
      as: natural,
      question: { sub: OTHER_COMPANY },
      target: { exchange: foreign.exchange, number },
    }),
    'no such case': async () => ({ as: natural, target: { exchange: randomUUID(), number: newNumber('NO') } }),
    'closed case': async () => ({ as: natural, target: { exchange, number: closed } }),
    'wrong purpose': asking({ purpose: 'marketing' }),
    'field not granted': asking({ fields: ['holders'] }),
    'other network': changedGrant("networks = '{10.1.0.0/16}'", 'networks = NULL'),
    'approval lapsed': governed((dataset) => ({ ...dataset, approval: { no: 'x', until: '2026-01-02' } })),
    'not approved': governed(({ approval: _none, ...dataset }) => dataset),
    'not shared': governed((dataset) => ({ ...dataset, shareType: 'none' })),
    'no consent': asking({ legalBasis: 'consent', consentRef: newNumber('NO') }),
    "other's consent": consenting({ recipient: 'inner-mongolia-power' }),
    "other purpose's": consenting({ purpose: 'power-transfer' }),
    'expired consent': consenting({ validTo: '2026-01-02' }),
    'withdrawn consent': consenting({}, (ref) => accepted(PLATFORM, withdrawal(ref))),
    'its consent': consenting({}),
    'no session': asking({ ...VERIFICATION, caseNo: undefined, session: newNumber('NO') }),
    "other's session": inSession({ audience: 'inner-mongolia-power' }),
    'stale session': inSession({ verifiedAt: new Date(Date.now() - 11 * 60_000).toISOString() }),
    'session over': inSession({}, (id) =>
      change(`UPDATE session SET opened_at = opened_at - interval '30 minutes',
      verified_at = verified_at - interval '30 minutes' WHERE id = '${id}'`),
    ),
    'its session': inSession({}),
    'guesses used up': async () => {
      const question = { ...VERIFICATION, sub: '蒙（2021）赤峰市不动产权第7654321号' }
      for (let n = 0; n < 5; n++) expect((await ask({ as: natural, question })).status).toBe(200)
      return { as: natural, question }
    },
    'expired grant': changedGrant("valid_to = '2026-01-02'", 'valid_to = NULL'),
    'cap reached': async () => {
      await giveBack(hub.core.db, hub.core.capReserve)
      await change('DELETE FROM grant_usage')
      const actor = await changedGrant('cap_operator = 1', 'cap_operator = NULL')()
      expect((await ask(actor)).status).toBe(200)
      return actor
    },
    'its own': async () => ({ as: natural }),
  }

  const ask = async ({ as, obo, question, target, app = hub.app }: Actor): Promise<Answer> => {
    const body = as(UTILITY).sign('query+jwt', {
      contract: QUERY,
      sub: COMPANY,
      purpose: 'power-connection',
      legalBasis: 'duty',
      item: '11150000MB0000000X2000199001000',
      operator: 'staff-0042',
      caseNo: target?.number ?? number,
      ...(obo === undefined ? {} : { obo: obo[UTILITY] }),
      ...question,
    })
    const headers = { 'content-type': 'application/jwt' }
    return readAnswer(await app.request(`${HUB_URL}/v1/queries`, { method: 'POST', body, headers }))
  }
  const push = ({ as, obo }: Actor, message: Parameters<TestParty['push']>[0]): string =>
    as(PLATFORM).exchange(message, obo === undefined ? {} : { obo: obo[PLATFORM] })

  const OPERATIONS: Readonly<Record<string, (actor: Actor) => Promise<Answer>>> = {
    push: (actor) => hub.post('/v1/exchanges', push(actor, result(newNumber()))),
    batch: (actor) =>
      hub.post('/v1/exchanges/batch', JSON.stringify({ token: push(actor, result(newNumber())) }), {
        'content-type': 'application/x-ndjson',
      }),
    plain: async ({ as, appKey }) => {
      const key = appKey ?? (await issue(hub, as(PLATFORM).id))
      const parts = { contract: 'approval-result@1', body: JSON.stringify(result(newNumber()).data) }
      return sendPlain(hub.app, '/v1/plain/approval-result@1', signedHeaders(key, parts), parts.body)
    },
    ack: (actor) => hub.post('/v1/exchanges', push(actor, acknowledgement(delivery))),
    query: ask,
    inbox: ({ as }) => as(PLATFORM).get('/v1/inbox?limit=1'),
    status: ({ as, target }) => as(PLATFORM).get(`/v1/exchanges/${target?.exchange ?? exchange}`),
    case: ({ as, target }) => as(PLATFORM).get(`/v1/cases/${target?.number ?? number}`),
    proof: ({ as }) => as(PLATFORM).command('/v1/keys/proof'),
    compare: ({ as }) => as(PLATFORM).command('/v1/contracts/compatibility', {}, { earlier: [{}], next: {} }),
    validate: ({ as }) =>
      as(PLATFORM).command('/v1/contracts/validate', {}, { contract: 'approval-result@1', data: {} }),
    upload: ({ as }) => upload(hub, as(PLATFORM), newFile()),
    download: async ({ as, target }) => {
      const digest = digestOf(target === undefined ? file : newFile())
      return hub.request(pathOf(digest), { headers: { authorization: bearerOf(as(UTILITY), 'GET', digest) } })
    },
  }

  /** An answer in the words of the table. */
  function words(operation: string, { status, json, text }: Answer): string {
    if (operation === 'batch') {
      const [line] = ndjson(text)
      const problem = line?.['problem']
      return problem === undefined ? '202' : `${String(at(problem, 'status'))} ${String(at(problem, 'code'))}`
    }
    if (operation === 'inbox' && status === 200) {
      const recipient = at(json, 'deliveries', 0, 'recipient')
      return `200 ${recipient === PLATFORM ? 'its own' : String(recipient ?? 'empty')}`
    }
    return json['code'] === undefined ? String(status) : `${status} ${String(json['code'])}`
  }
  const refusals = async (): Promise<number> =>
    Number((await sql<{ n: string }>`SELECT count(*) AS n FROM refusal`.execute(hub.core.db)).rows[0]?.n)
  const lastRefusal = async (): Promise<string | undefined> =>
    (
      await sql<{ code: string }>`SELECT code FROM refusal ORDER BY refused_at DESC, id DESC LIMIT 1`.execute(
        hub.core.db,
      )
    ).rows[0]?.code
  const deliveryState = async (): Promise<string | undefined> =>
    (await sql<{ state: string }>`SELECT state FROM delivery WHERE id = ${delivery}`.execute(hub.core.db)).rows[0]
      ?.state

  test.each(cells)('$situation, $operation: $expected', async ({ situation, operation, expected }) => {
    const actor = await SITUATIONS[situation]?.()
    const act = OPERATIONS[operation]
    if (actor === undefined || act === undefined) throw new Error(`no ${situation} or no ${operation}`)
    const before = await refusals()
    const stateBefore = await deliveryState()
    const answer = await act(actor)
    await actor.undo?.()
    expect(words(operation, answer)).toBe(expected.replace(' without effect', ''))

    // A proven party's refused token is evidence, whatever it asked for; what proves nobody leaves no row.
    const isEvidence = /^4(03|04|29)/.test(expected)
    expect((await refusals()) - before).toBe(isEvidence ? 1 : 0)
    if (isEvidence) {
      const [, code] = expected.split(' ')
      expect(await lastRefusal()).toBe(code)
      const told = operation === 'batch' ? at(ndjson(answer.text)[0], 'problem', 'refusal') : answer.json['refusal']
      expect(await hub.verified(told)).toMatchObject({ problem: { code } })
    }
    await hub.settle()
    if (situation !== 'its own' && !expected.includes('its own')) expect(await deliveryState()).toBe(stateBefore)
  })

  test('every operation of the API stands in the table, or says nothing that is anybody’s', async () => {
    const document = (await hub.request('/openapi.json')).json
    const ids = Object.values(document['paths'] as JsonObject).flatMap((item) =>
      Object.values(item as JsonObject).map((operation) => String(at(operation, 'operationId'))),
    )
    expect(ids.filter((id) => !OPEN_TO_ALL.includes(id)).toSorted()).toEqual(
      [...new Set(Object.values(OPERATION_IDS))].toSorted(),
    )
    expect(OPEN_TO_ALL.filter((id) => !ids.includes(id))).toEqual([])
    expect(Object.keys(OPERATION_IDS)).toEqual(cellsOf(header).slice(1))
  })

  test('what is not yours and what does not exist are told in the same words', async () => {
    const stranger = hub.party('platform-hohhot')
    const told = ({ json }: Answer) => ({ ...json, instance: '', refusal: '' })
    for (const [mine, none] of [
      [`/v1/exchanges/${exchange}`, `/v1/exchanges/${randomUUID()}`],
      [`/v1/cases/${number}`, `/v1/cases/${newNumber('NO')}`],
    ] as const) {
      expect(told(await stranger.get(mine))).toEqual(told(await stranger.get(none)))
    }
  })
})
