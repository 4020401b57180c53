import { randomBytes } from 'node:crypto'
import { describe, expect, test } from 'vitest'
import { PROJECT_ROOT } from '#compose.ts'
import { documentIdentity } from '#contracts/formats.ts'
import { loadContracts } from '#contracts/load.ts'
import { extractParts } from '#documents/extract.ts'
import type { KnownDocument } from '#documents/known.ts'
import { gatherLive } from '#documents/live.ts'
import { createLookUps, type LiveDocument, type LookUpQuestion } from '#documents/lookup.ts'
import { createDigests } from '#exchange/digests.ts'
import { HubError } from '#kernel/errors.ts'
import type { JsonObject } from '#kernel/json.ts'
import type { DocumentFound } from '#store/document-queries.ts'
import type { QueryClaims } from '#trust/claims.ts'
import { licence } from '../gateway/messages.ts'

const COMPANY = '91150402MADEM002XN'
const OTHER = '91150102MADEM0011F'
const contracts = loadContracts(PROJECT_ROOT)
const digests = createDigests(randomBytes(32))
const subjectKey = digests.subject('001', COMPANY)
const { data } = licence(COMPANY)

interface World {
  readonly found?: readonly LiveDocument[] | HubError
  readonly projected?: readonly DocumentFound[]
  readonly projectedNow?: readonly DocumentFound[]
}

function open({ found = [{ data }], projected = [], projectedNow = projected }: World) {
  const now = { ms: Date.parse('2026-11-25T04:00:00Z') }
  const questions: LookUpQuestion[] = []
  const clock = (): number => now.ms
  const lookUps = createLookUps({
    clock,
    digest: (text) => text,
    sources: [
      {
        id: 'library',
        provider: 'market-regulation-nmg',
        budgetMs: 1_000,
        cacheSeconds: 300,
        circuit: { failures: 5, openMs: 1_000, maxOpenMs: 1_000 },
        concurrency: 4,
        ask: async (question) => {
          questions.push(question)
          if (found instanceof HubError) throw found
          return { documents: found, body: '{"the":"reply"}' }
        },
      },
    ],
  })
  const ask = (subjectKeys = [subjectKey], claims = CLAIMS) =>
    gatherLive(
      {
        clock,
        contracts,
        digests,
        claimsOf: () => ({ data: {} }),
        looking: { lookUps, foreseeAccess: async () => 'recorded', disputedAmong: async () => new Map() },
      },
      {
        connector: 'library',
        document: 'business-licence@1',
        party: 'state-grid-east',
        subjectKeys,
        claims,
        data: { uscc: COMPANY },
        caseId: 'case-1',
        projected,
        projectedNow: async () => projectedNow,
      },
    )
  return { now, ask, questions, calls: () => questions.length }
}

const CLAIMS: QueryClaims = {
  iss: 'state-grid-east',
  aud: 'dianqiao',
  iat: 0,
  exp: 0,
  jti: 'query-0001',
  contract: 'licence-library-query@1',
  sub: COMPANY,
  purpose: 'power-connection',
  legalBasis: 'duty',
  item: 'item',
  operator: 'staff-0042',
}

const kindOf = ({ exchange }: KnownDocument): string => (exchange === undefined ? 'live' : 'held')

/** As the projection keeps it: by what all versions share. */
const row = (change: Partial<DocumentFound> = {}): DocumentFound => ({
  contract: 'business-licence@1',
  identifier: documentIdentity(String(data['certificateIdentifier'])),
  version: String(data['certificateVersion']),
  status: 'ACTIVE',
  status_at: String(data['statusTime']),
  accepted_at: '2026-03-01T00:00:00Z',
  valid_to: null,
  exchange: '00000000-0000-4000-8000-000000000001',
  issuer: 'market-regulation-nmg',
  pointer: null,
  data: null,
  token_digest: null,
  token: '',
  replaced: false,
  ...change,
})

test('a document of somebody else is never answered', async () => {
  const { ask } = open({ found: [{ data: licence(OTHER).data }] })
  await expect(ask()).rejects.toMatchObject({ code: 'peer.answer_invalid' })
})

test.each([
  ['a member of another type', { status: 7 }],
  [
    'a copy that has lapsed',
    { copy: { createdAt: '2026-11-24T00:00:00Z', creator: '库', cause: '办电', expiresAt: '2026-11-25T03:59:59Z' } },
  ],
  ['an unknown member', { photo: 'x' }],
] as readonly (readonly [string, JsonObject])[])(
  'a document with %s is not answered, and no value is told',
  async (_, change) => {
    const { ask } = open({ found: [{ data: { ...data, ...change } }] })
    const error: unknown = await ask().catch((thrown: unknown) => thrown)
    expect(error).toMatchObject({ code: 'peer.answer_invalid' })
    expect(JSON.stringify(error)).not.toContain(COMPANY)
  },
)

describe('of the same document', () => {
  const later = '2026-02-01T00:00:00+08:00'
  test.each([
    ['the same state', {}, 'live'],
    ['a later status', { status: 'SUSPENDED', status_at: later }, 'held'],
    ['an earlier status', { status_at: '2025-02-01T00:00:00+08:00' }, 'live'],
    ['a higher version', { version: '002', status_at: '2025-02-01T00:00:00+08:00' }, 'held'],
    ['a lower version, however late its status', { version: '000', status_at: later }, 'live'],
    ['the same state, and that another takes its place', { replaced: true }, 'held'],
    ['an older state, and that another took its place', { replaced: true, version: '000' }, 'live'],
    ['another identifier', { identifier: 'other', version: '009' }, 'live'],
  ] as readonly (readonly [string, Partial<DocumentFound>, string])[])(
    'where the hub holds %s, the answer is %s',
    async (_, held, winner) => {
      const { documents } = await open({ projected: [row(held)] }).ask()
      expect(documents.map(kindOf)).toEqual([winner])
    },
  )

  test('what its issuer signed to the hub while the library was asked wins too', async () => {
    const { documents } = await open({ projected: [row()], projectedNow: [row({ status_at: later })] }).ask()
    expect(documents.map(kindOf)).toEqual(['held'])
  })
})

test('what its issuer signed to the hub while the library was silent stands in', async () => {
  const revoked = row({ status: 'REVOKED', status_at: '2026-11-25T03:59:59Z' })
  const silent = { found: new HubError('peer.timeout'), projected: [row()] }
  const { documents } = await open({ ...silent, projectedNow: [revoked] }).ask()
  expect(documents.map(({ status }) => status)).toEqual(['REVOKED'])
  await expect(open({ ...silent, projectedNow: [] }).ask()).rejects.toMatchObject({ code: 'peer.timeout' })
})

test('where there is no case yet the system is told the session', async () => {
  const { ask, questions } = open({})
  await ask([subjectKey], { ...CLAIMS, session: 'AS-20261125-0001' })
  expect(questions.map(({ caseNo }) => caseNo)).toEqual(['AS-20261125-0001'])
})

test('an answer that was judged for one subject is not kept for another', async () => {
  const { ask, calls } = open({})
  await ask()
  await expect(ask([digests.subject('001', OTHER)])).rejects.toMatchObject({ code: 'peer.answer_invalid' })
  expect(calls()).toBe(2)
})

test('a fall-back is as of the oldest document that stands in', async () => {
  const held = [
    row({ accepted_at: '2026-05-01T00:00:00Z' }),
    row({ identifier: 'b', accepted_at: '2026-04-01T00:00:00Z' }),
  ]
  const { lookUp, documents } = await open({ found: new HubError('peer.timeout'), projected: held }).ask()
  expect(documents.map(kindOf)).toEqual(['held', 'held'])
  expect(lookUp).toMatchObject({
    state: 'fallback',
    cause: 'peer.timeout',
    asOf: Date.parse('2026-04-01T00:00:00Z') / 1_000,
  })
})

test.each([
  ['peer.cap_reached', 'peer.cap_reached', 12 * 3_600],
  ['mapping.failed', 'peer.unavailable', 5],
  ['hub.internal', 'hub.internal', 5],
] as const)('without anything held, %s is told as %s with a time to wait', async (code, told, seconds) => {
  const { ask } = open({ found: new HubError(code) })
  await expect(ask()).rejects.toMatchObject({ code: told, retriable: true, retryAfterSeconds: seconds })
})

test('an answer is kept until its copy lapses or its last day is over, whichever comes first', async () => {
  const copy = { createdAt: '2026-11-25T03:00:00Z', creator: '库', cause: '办电', expiresAt: '2026-11-25T04:01:00Z' }
  const lapsing = open({ found: [{ data: { ...data, copy } }] })
  await lapsing.ask()
  lapsing.now.ms += 59_999
  expect((await lapsing.ask()).lookUp.state).toBe('cached')
  lapsing.now.ms += 1
  await expect(lapsing.ask()).rejects.toMatchObject({ code: 'peer.answer_invalid' })

  const lastDay = open({ found: [{ data: { ...data, validTo: '2026-11-25' } }] })
  lastDay.now.ms = Date.parse('2026-11-25T23:59:00+08:00')
  await lastDay.ask()
  lastDay.now.ms += 59_999
  expect((await lastDay.ask()).lookUp.state).toBe('cached')
  lastDay.now.ms += 1
  expect((await lastDay.ask()).lookUp.state).toBe('live')
  expect(lastDay.calls()).toBe(2)
})

test('the proof is the issuer’s only where its seal travels along', async () => {
  const seal = { digest: `sha-256:${'a'.repeat(43)}`, value: 'seal-of-the-issuer' }
  const { answers } = contracts.get('licence-library-query@1') ?? {}
  const proofOf = async (found: LiveDocument) => {
    const { documents } = await open({ found: [found] }).ask()
    const input = { claims: {}, nowMs: Date.parse('2026-11-25T04:00:00Z'), applicants: [], mayLeave: () => true }
    const [part] = answers === undefined ? [] : extractParts(input, answers, [documents], ['status'])
    return part?.documents[0]
  }
  expect(await proofOf({ data, seal })).toMatchObject({ proof: 'issuer', seal, originalDigest: seal.digest })
  const unsealed = await proofOf({ data })
  expect(unsealed).toMatchObject({ proof: 'hub', data: { status: '01' } })
  expect(unsealed).not.toHaveProperty('seal')
  expect(unsealed?.originalDigest).toMatch(/^sha-256:[\w-]{43}$/)
  expect(unsealed?.originalDigest).not.toBe(seal.digest)
})
