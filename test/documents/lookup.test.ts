import { setTimeout as sleep } from 'node:timers/promises'
import { expect, test } from 'vitest'
import {
  createLookUps,
  type JudgedDocument,
  type LiveAnswer,
  type LookUpObserved,
  type LookUpRequest,
  type LookUpSource,
} from '#documents/lookup.ts'
import { HubError } from '#kernel/errors.ts'

const JUDGED: JudgedDocument = {
  data: { name: '示例' },
  originalDigest: 'sha-256:x',
  identifier: 'id-1',
  version: '001',
  status: 'ACTIVE',
  statusAt: '2026-01-01T00:00:00Z',
  validTo: null,
}
const FOUND: LiveAnswer = { documents: [{ data: JUDGED.data }], body: '{}' }

interface Options {
  readonly answer?: (signal: AbortSignal) => Promise<LiveAnswer>
  readonly source?: Partial<LookUpSource>
}

function open({ answer = async () => FOUND, source = {} }: Options = {}) {
  const now = { ms: 1_800_000_000_000 }
  const observed: LookUpObserved[] = []
  const failures: HubError[] = []
  let calls = 0
  const lookUps = createLookUps({
    clock: () => now.ms,
    digest: (text) => text,
    observe: (one) => observed.push(one),
    onFailure: (_, error) => failures.push(error),
    sources: [
      {
        id: 'library',
        provider: 'market-regulation-nmg',
        budgetMs: 1_000,
        cacheSeconds: 300,
        circuit: { failures: 2, openMs: 1_000, maxOpenMs: 4_000 },
        concurrency: 2,
        ask: (_, signal) => {
          calls++
          return answer(signal)
        },
        ...source,
      },
    ],
  })
  const outcomes = (): string[] => observed.map(({ outcome }) => outcome)
  return { now, lookUps, observed, outcomes, failures, calls: () => calls }
}

type Change = Partial<LookUpRequest['question']> & Partial<Omit<LookUpRequest, 'question'>>

function request({ connector, caseId, known, judge, ...question }: Change = {}): LookUpRequest {
  return {
    connector: connector ?? 'library',
    caseId: caseId ?? 'case-1',
    known: known ?? '',
    judge: judge ?? (() => ({ documents: [JUDGED], keepUntilMs: Number.POSITIVE_INFINITY })),
    question: {
      contract: 'licence-library-query@1',
      data: { uscc: '91150402MADEM002XN' },
      party: 'state-grid-east',
      purpose: 'power-connection',
      legalBasis: 'duty',
      item: 'item',
      operator: 'staff-0042',
      caseNo: 'ME1',
      askedAt: '2026-11-25T00:00:00Z',
      requestId: 'request',
      ...question,
    },
  }
}

const down = async (): Promise<never> => {
  throw new HubError('peer.unavailable')
}

test('64 who ask the same at the same time share one call and one answer', async () => {
  const { lookUps, calls, outcomes } = open({ answer: () => sleep(20, FOUND) })
  const answers = await Promise.all(Array.from({ length: 64 }, () => lookUps.ask(request())))
  expect(calls()).toBe(1)
  expect(answers.every((one) => one.state === 'live' && one.documents[0]?.identifier === 'id-1')).toBe(true)
  expect(outcomes().filter((one) => one === 'shared')).toHaveLength(63)
})

test('64 who share a flight that fails share its failure, and nothing of it is kept', async () => {
  const { lookUps, calls } = open({ answer: () => sleep(20).then(down) })
  const answers = await Promise.all(Array.from({ length: 64 }, () => lookUps.ask(request())))
  expect(calls()).toBe(1)
  expect(answers.map((one) => one.state === 'failed' && one.error.code)).toEqual(Array(64).fill('peer.unavailable'))
  await lookUps.ask(request())
  expect(calls()).toBe(2)
})

test('an answer is kept five minutes at most, says since when it is known, and is asked for again after that', async () => {
  const { now, lookUps, calls, outcomes } = open({ source: { cacheSeconds: 9_999 } })
  const fetchedMs = now.ms
  await lookUps.ask(request())
  now.ms += 299_999
  expect(await lookUps.ask(request())).toMatchObject({ state: 'cached', asOfMs: fetchedMs, documents: [JUDGED] })
  now.ms += 1
  expect(await lookUps.ask(request())).toMatchObject({ state: 'live', asOfMs: now.ms })
  expect(calls()).toBe(2)
  expect(outcomes()).toEqual(['live', 'cached', 'live'])
})

test('a source that says 0 seconds has nothing kept', async () => {
  const { lookUps, calls } = open({ source: { cacheSeconds: 0 } })
  await lookUps.ask(request())
  await lookUps.ask(request())
  expect(calls()).toBe(2)
})

test('an answer is never kept beyond the expiry of its document', async () => {
  const { now, lookUps, calls } = open()
  const expiresMs = now.ms + 60_000
  const judge = () => ({ documents: [JUDGED], keepUntilMs: expiresMs })
  await lookUps.ask(request({ judge }))
  now.ms = expiresMs - 1
  expect((await lookUps.ask(request({ judge }))).state).toBe('cached')
  now.ms = expiresMs
  expect((await lookUps.ask(request({ judge }))).state).toBe('live')
  expect(calls()).toBe(2)
})

test('an answer serves nobody who asks something else, for another case, purpose or party, or after a status event', async () => {
  const { lookUps, calls } = open()
  await lookUps.ask(request())
  const others: Change[] = [
    { contract: 'other-query@1' },
    { data: { uscc: '91150102MADEM0011F' } },
    { party: 'inner-mongolia-power' },
    { purpose: 'power-transfer' },
    { legalBasis: 'consent' },
    { caseId: 'case-2' },
    { known: 'exchange SUSPENDED' },
  ]
  for (const change of others) expect((await lookUps.ask(request(change))).state).toBe('live')
  expect(calls()).toBe(1 + others.length)
  expect((await lookUps.ask(request({ operator: 'staff-0043', requestId: 'other' }))).state).toBe('cached')
})

test('who asks after a status event does not join a flight that began before it', async () => {
  const { lookUps, calls } = open({ answer: () => sleep(20, FOUND) })
  await Promise.all([lookUps.ask(request()), lookUps.ask(request({ known: 'exchange SUSPENDED' }))])
  expect(calls()).toBe(2)
})

test('a look-up ends with its budget, and the request is given up, whether or not the source heeds the signal', async () => {
  let aborted = false
  const deaf = open({ source: { budgetMs: 30 }, answer: () => new Promise(() => {}) })
  const heeding = open({
    source: { budgetMs: 30 },
    answer: (signal) =>
      new Promise((_, reject) => {
        signal.addEventListener('abort', () => {
          aborted = true
          reject(new HubError('peer.timeout'))
        })
      }),
  })
  for (const { lookUps } of [deaf, heeding]) {
    const began = performance.now()
    expect(await lookUps.ask(request())).toMatchObject({ state: 'failed', error: { code: 'peer.timeout' } })
    expect(performance.now() - began).toBeLessThan(500)
  }
  expect(aborted).toBe(true)
})

test('an answer that breaks its contract is a failure of that look-up and not of the system', async () => {
  const { lookUps, outcomes, calls } = open()
  const judge = (): never => {
    throw new HubError('peer.answer_invalid')
  }
  for (let n = 0; n < 5; n++) {
    expect(await lookUps.ask(request({ judge }))).toMatchObject({ state: 'failed', circuit: 'closed' })
  }
  expect(calls()).toBe(5)
  expect(new Set(outcomes())).toEqual(new Set(['peer.answer_invalid']))
})

test.each(['peer.cap_reached', 'peer.throttled', 'mapping.failed'] as const)(
  '%s does not open the circuit: the system answers',
  async (code) => {
    const { lookUps } = open({
      answer: async () => {
        throw new HubError(code)
      },
    })
    for (let n = 0; n < 5; n++) await lookUps.ask(request())
    expect(lookUps.circuits()).toEqual([{ endpoint: 'library', state: 'closed' }])
  },
)

test('an open circuit answers at once without a call, one probe goes when it is due, and success closes it', async () => {
  const state = { isDown: true }
  const { now, lookUps, calls, outcomes } = open({ answer: async () => (state.isDown ? down() : FOUND) })
  await lookUps.ask(request())
  expect(await lookUps.ask(request())).toMatchObject({ state: 'failed', circuit: 'open' })
  expect(await lookUps.ask(request())).toMatchObject({ state: 'failed', circuit: 'open' })
  expect(calls()).toBe(2)
  expect(outcomes()).toEqual(['peer.unavailable', 'peer.unavailable', 'circuit_open'])
  now.ms += 1_000
  expect(lookUps.circuits()).toEqual([{ endpoint: 'library', state: 'half-open' }])
  state.isDown = false
  const [probe, other] = await Promise.all([lookUps.ask(request()), lookUps.ask(request({ caseId: 'case-2' }))])
  expect([probe?.state, other?.state]).toEqual(['live', 'failed'])
  expect(lookUps.circuits()).toEqual([{ endpoint: 'library', state: 'closed' }])
  expect(calls()).toBe(3)
})

test('while the circuit is open an answer that is still kept serves', async () => {
  const state = { isDown: false }
  const { lookUps } = open({ answer: async () => (state.isDown ? down() : FOUND) })
  await lookUps.ask(request())
  state.isDown = true
  for (const caseId of ['case-2', 'case-3']) await lookUps.ask(request({ caseId }))
  expect(await lookUps.ask(request())).toMatchObject({ state: 'cached', circuit: 'open' })
})

test('no more look-ups wait than eight for each connection', async () => {
  const { lookUps, calls, outcomes } = open({ answer: () => sleep(20, FOUND) })
  await Promise.all(Array.from({ length: 20 }, (_, n) => lookUps.ask(request({ caseId: `case-${n}` }))))
  expect(calls()).toBe(16)
  expect(outcomes().filter((one) => one === 'busy')).toHaveLength(4)
  expect(lookUps.circuits()[0]?.state).toBe('closed')
})

test('a system that is not set up is a failure that may pass', async () => {
  const { lookUps, calls } = open()
  const answer = await lookUps.ask(request({ connector: 'other' }))
  expect(answer.state === 'failed' && answer.error.retriable).toBe(true)
  expect(calls()).toBe(0)
})

test('what goes wrong inside is told with its code', async () => {
  const { lookUps, failures } = open({ answer: async () => JSON.parse('{') as LiveAnswer })
  expect(await lookUps.ask(request())).toMatchObject({ state: 'failed', error: { code: 'hub.internal' } })
  expect(failures.map(({ code }) => code)).toEqual(['hub.internal'])
})
