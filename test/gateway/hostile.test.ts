import { createHash, randomBytes } from 'node:crypto'
import { sql } from 'kysely'
import { afterAll, beforeAll, describe, expect, it, test } from 'vitest'
import { PROJECT_ROOT } from '#compose.ts'
import type { Contract } from '#contracts/contract.ts'
import { loadContracts } from '#contracts/load.ts'
import { accept } from '#exchange/accept.ts'
import { createDigests } from '#exchange/digests.ts'
import { createPartyLimits } from '#exchange/party-limits.ts'
import type { PartyRegister } from '#exchange/party-register.ts'
import { createRefuse } from '#exchange/refuse.ts'
import { createGateway } from '#gateway/http/app.ts'
import { statusOf } from '#gateway/problem.ts'
import type { RefusalRow } from '#store/exchange-queries.ts'
import { createSigner } from '#trust/sign.ts'
import { withDatabase } from '../support/database.ts'
import { at, HUB_URL, openTestHub, readAnswer, type TestHub } from '../support/hub.ts'
import { plainVault } from '../support/vault.ts'
import { corpus, readVector, register as registered } from '../trust/corpus.ts'
import { newNumber, result } from './messages.ts'

/** Not read whole: no signed refusal. */
const UNREAD = ['token.malformed', 'token.header_forbidden']
/** Judged behind the signature (a contract's cap is, too): recorded. */
const PROVEN = [
  'token.too_large',
  'token.claims_invalid',
  'token.audience_wrong',
  'token.expired',
  'token.not_yet_valid',
  'token.lifetime_too_long',
  'contract.claim_mismatch',
]
/** Good tokens that acceptance refuses for what lies behind them: the data's business key, the register of agents. */
const BEYOND_THE_TOKEN: Readonly<Record<string, string>> = {
  'sub of 128 characters': 'contract.claim_mismatch',
  'all optional claims': 'token.claims_invalid',
}

const unused = (): never => {
  throw new Error('no corpus token leads here')
}

/** The contract of the corpus: its cap and age, and rules that its synthetic data keeps. */
function corpusContract(): Contract {
  const contract = loadContracts(PROJECT_ROOT).get('approval-result@1')
  if (contract === undefined) throw new Error('approval-result@1 is missing')
  const { maxBytes, maxAgeSeconds } = corpus
  return { ...contract, sub: '/projectNo', schemaDocument: { type: 'object' }, rules: [], maxBytes, maxAgeSeconds }
}

/** A gateway in the corpus' world: its hub id, its clock, its parties; what it commits is kept in memory. */
function corpusGateway(recorded: RefusalRow[]) {
  const { keys } = readVector<{ keys: { hub: { privateJwk: Record<string, string> } } }>('keys')
  const signer = createSigner(keys.hub.privateJwk)
  const clock = (): number => corpus.hubTime * 1000
  const contract = corpusContract()
  const contracts = { get: () => contract, list: () => [contract], schema: () => undefined, digest: '' }
  const party = (id: string) => ({
    id,
    nameZh: id,
    nameEn: id,
    aliases: [],
    level: 'region' as const,
    roles: ['approval-platform'],
    divisions: [],
    channel: 'inbox' as const,
    busDoor: false,
    status: 'active' as const,
    limits: { perSecond: undefined, bytesPerSecond: undefined, inFlight: undefined },
  })
  const register: PartyRegister = {
    party,
    parties: unused,
    appKey: () => undefined,
    key(kid) {
      const found = registered.get(kid)
      return found && { party: found.party, agent: undefined, state: 'active', stateSinceMs: 0, publicKey: found.key }
    },
    hasMandate: () => true,
    actsFor: unused,
    grants: unused,
    utilityOf: () => undefined,
    partyNamed: () => undefined,
    platformOf: () => undefined,
  }
  const refuse = createRefuse({
    hubId: corpus.hubId,
    clock,
    signer,
    statusOf,
    record: async (row) => void recorded.push(row),
  })
  const deps = {
    hubId: corpus.hubId,
    clock,
    contracts,
    register,
    limits: createPartyLimits(clock, { perSecond: 1e6, bytesPerSecond: 1e9, inFlight: 1e6 }),
    signer,
    refuse,
    signRefusal: unused,
    digests: createDigests(Buffer.alloc(32)),
    vault: plainVault,
    committer: {
      submit: async ({ id: exchange, receipt }: { id: string; receipt: string }) => ({
        exchange,
        receipt,
        refusal: undefined,
        replayed: false,
      }),
      drain: async () => undefined,
    },
    findReplay: async () => undefined,
    knownHead: () => 0,
  }
  return createGateway({
    ...deps,
    publicUrl: () => HUB_URL,
    accept: (token) => accept(deps, token),
    acceptPlain: unused,
    query: unused,
    authenticate: unused,
    activateKey: unused,
    status: unused,
    pull: unused,
    files: { upload: unused, uploadState: unused, fetchable: unused, open: unused },
    caseProgress: unused,
    examplesOf: () => [],
    contractParties: unused,
    compareSchemas: unused,
    jwks: unused,
    ledgerTasks: [],
    notReady: unused,
    sourceAddress: (remote) => remote,
    unproven: { take: () => true },
    log: unused,
  })
}

describe('the hostile corpus through the gateway', () => {
  const recorded: RefusalRow[] = []
  const app = corpusGateway(recorded)
  const push = async (token: string) => {
    const headers = { 'content-type': 'application/jwt' }
    return readAnswer(await app.request(`${HUB_URL}/v1/exchanges`, { method: 'POST', body: token, headers }))
  }

  it.each(corpus.entries)('$name → $expected', async ({ name, token, expected }) => {
    recorded.length = 0
    const answer = await push(token)
    const code = BEYOND_THE_TOKEN[name] ?? expected
    if (code === 'accepted') {
      expect(answer.status, answer.text).toBe(202)
      return
    }
    expect(answer.json['code'], answer.text).toBe(code)
    expect(answer.status).toBeLessThan(500)
    expect(typeof answer.json['refusal']).toBe(UNREAD.includes(code) ? 'undefined' : 'string')
    expect(recorded.map((row) => row.code)).toEqual(PROVEN.includes(code) ? [code] : [])
  })
})

withDatabase('a hub under hostile input', (databaseUrl) => {
  let hub: TestHub
  beforeAll(async () => {
    hub = await openTestHub(databaseUrl)
  })
  afterAll(() => hub.close())

  test('no token of the corpus gives 500 or more, loses an honest one in between, or is kept', async () => {
    const chifeng = hub.party('platform-chifeng')
    const honest: string[] = []
    for (const { name, token } of corpus.entries) {
      const [bad, good] = await Promise.all([hub.post('/v1/exchanges', token), chifeng.push(result(newNumber()))])
      expect(bad.status, name).toBeGreaterThanOrEqual(400)
      expect(bad.status, name).toBeLessThan(500)
      expect(good.status, name).toBe(202)
      honest.push(String((await hub.verified(good.text))['exchange']))
    }
    const { rows } = await sql<{ id: string }>`SELECT id FROM exchange`.execute(hub.core.db)
    expect(rows.map(({ id }) => id).toSorted()).toEqual(honest.toSorted())
    expect(hub.logged).toEqual([])
  })

  test('the corpus as one batch refuses each of its lines and accepts the honest ones among them', async () => {
    const chifeng = hub.party('platform-chifeng')
    const lines = corpus.entries.flatMap(({ token }) => [token, chifeng.exchange(result(newNumber()))])
    const body = lines.map((token) => JSON.stringify({ token })).join('\n')
    const answer = await hub.post('/v1/exchanges/batch', body, { 'content-type': 'application/x-ndjson' })
    const answers = answer.text.trimEnd().split('\n')
    expect(answers).toHaveLength(lines.length + 1)
    for (const [index, line] of answers.slice(0, -1).entries()) {
      const parsed = JSON.parse(line)
      if (index % 2 === 1) expect(parsed.receipt).toBeTypeOf('string')
      else expect(at(parsed, 'problem', 'status')).toBeLessThan(500)
    }
    expect(hub.logged).toEqual([])
  })

  test('bytes that are no text at all are refused as malformed', async () => {
    for (const size of [0, 1, 100, 100_000]) {
      const answer = await hub.post('/v1/exchanges', new Uint8Array(randomBytes(size)))
      expect([answer.status, answer.json['code']]).toEqual([401, 'token.malformed'])
    }
  })

  test('what proves no party is limited by its source, and an honest sender behind it is not', async () => {
    const limited = await openTestHub(databaseUrl, { UNPROVEN_BURST: '3', UNPROVEN_PER_SECOND: '1' })
    try {
      // The second hub on this database has keys of its own, so the seeded parties of the first sign for it too.
      const answers = []
      for (let index = 0; index < 6; index++) answers.push(await limited.post('/v1/exchanges', 'garbage'))
      expect(answers.map(({ status }) => status)).toEqual([401, 401, 401, 429, 429, 429])
      expect(answers.at(-1)?.json['code']).toBe('limit.exceeded')
      expect(Number(answers.at(-1)?.headers.get('retry-after'))).toBeGreaterThan(0)
      expect((await limited.post('/v1/queries', 'garbage')).status).toBe(429)
      const bearer = await limited.request('/v1/inbox', { headers: { authorization: 'Bearer a.b.c' } })
      expect(bearer.status).toBe(429)
      const body = Array.from({ length: 5 }, () => '{"token":"a.b.c"}').join('\n')
      const batch = await limited.post('/v1/exchanges/batch', body, { 'content-type': 'application/x-ndjson' })
      expect(batch.text.match(/"code":"limit.exceeded"/g)).toHaveLength(5)
      const honest = await limited.post('/v1/exchanges', hub.party('platform-chifeng').exchange(result(newNumber())))
      expect(honest.status).toBe(202)
    } finally {
      await limited.close()
    }
  })

  test('an error that nobody expected says nothing of itself, and the log holds it under the instance', async () => {
    const secret = `secret-${createHash('sha256').update('x').digest('hex')}`
    const logged: { instance?: string; error?: unknown }[] = []
    const broken = () => Promise.reject(new Error(secret))
    const { core } = hub
    const app = createGateway({
      hubId: 'dianqiao',
      publicUrl: () => HUB_URL,
      clock: core.clock,
      contracts: core.contracts,
      accept: broken,
      acceptPlain: unused,
      query: broken,
      authenticate: () => {
        throw new Error(secret)
      },
      refuse: broken,
      activateKey: broken,
      status: broken,
      pull: broken,
      files: { upload: broken, uploadState: broken, fetchable: broken, open: broken },
      caseProgress: broken,
      examplesOf: () => [],
      contractParties: unused,
      compareSchemas: broken,
      ledgerTasks: [],
      jwks: () => {
        throw new Error(secret)
      },
      notReady: broken,
      sourceAddress: (remote) => remote,
      unproven: { take: () => true },
      log: (entry) => logged.push(entry),
    })
    const post = (type: string, body: string) => ({ method: 'POST', body, headers: { 'content-type': type } })
    const bearer = { headers: { authorization: 'Bearer a.b.c' } }
    for (const [path, init] of [
      ['/v1/exchanges', post('application/jwt', 'x')],
      ['/v1/queries', post('application/jwt', 'x')],
      ['/v1/exchanges/00000000-0000-0000-0000-000000000000', bearer],
      ['/v1/cases/A-1', bearer],
      ['/v1/inbox', bearer],
      ['/.well-known/jwks.json', {}],
      ['/health/ready', {}],
    ] as const) {
      const answer = await readAnswer(await app.request(`${HUB_URL}${path}`, init))
      expect([answer.status, answer.json['code']], path).toEqual([500, 'hub.internal'])
      expect(answer.text + JSON.stringify([...answer.headers]), path).not.toContain(secret)
      const entry = logged.pop()
      expect(entry?.instance).toBe(answer.json['instance'])
      expect(String(entry?.error)).toContain(secret)
    }
    const batch = await readAnswer(
      await app.request(`${HUB_URL}/v1/exchanges/batch`, post('application/x-ndjson', '{"token":"a.b.c"}')),
    )
    expect(batch.text).toContain('hub.internal')
    expect(batch.text).not.toContain(secret)
    expect(String(logged.pop()?.error)).toContain(secret)
  })
})
