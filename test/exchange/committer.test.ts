import fc from 'fast-check'
import type pg from 'pg'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type Committer, createCommitter } from '#exchange/committer.ts'
import type { HubError } from '#kernel/errors.ts'
import { uuidv7 } from '#kernel/ids.ts'
import { openPool } from '#store/db.ts'
import { type CommitBatch, createCommitBatch, type ExchangeRow } from '#store/log-commit.ts'
import { withDatabase } from '../support/database.ts'

let serial = 0

/** A row as acceptance makes it; `poison` holds a value that PostgreSQL cannot take. */
function row(jti: string, content: string, options: { orderKey?: string; poison?: boolean } = {}): ExchangeRow {
  const now = Date.now()
  return {
    id: uuidv7(now),
    iss: 'platform-chifeng',
    jti,
    contract: 'approval-result@1',
    sub: options.poison === true ? 'nul \u0000 in the text' : 'sub',
    caseNo: undefined,
    obo: undefined,
    origin: 'party-signed',
    orderKey: options.orderKey ?? `key-${serial++}`,
    contentDigest: content,
    acceptedAtMs: now,
    token: Buffer.from(`token-${jti}-${content}`),
    receipt: `receipt-${serial++}`,
    deliveries: [
      {
        id: uuidv7(now),
        recipient: 'state-grid-east',
        state: 'accepted',
        aliasKeys: [],
        fallbackDivision: undefined,
        deliverByMs: now + 60_000,
      },
    ],
    documents: [],
    refusal: undefined,
  }
}

const BOUNDS = { lanes: 2, maxRows: 16, maxBytes: 1e6, maxQueuedRows: 10_000, maxQueuedBytes: 1e8 }

type Answer = { kind: 'receipt'; receipt: string; replayed: boolean } | { kind: 'error'; code: string }

const ask = (committer: Committer, submitted: ExchangeRow): Promise<Answer> =>
  committer.submit(submitted).then(
    ({ receipt, replayed }) => ({ kind: 'receipt', receipt, replayed }),
    (error: HubError) => ({ kind: 'error', code: error.code }),
  )

withDatabase('the acceptance batch on PostgreSQL', (databaseUrl) => {
  let first: pg.Pool
  let second: pg.Pool
  let processes: Committer[]
  beforeAll(() => {
    first = openPool(databaseUrl, { max: 2 })
    second = openPool(databaseUrl, { max: 2 })
    processes = [first, second].map((pool) => createCommitter({ ...BOUNDS, commit: createCommitBatch(pool) }))
  })
  afterAll(async () => {
    await first.end()
    await second.end()
  })

  test('any interleaving of duplicates, conflicts, poison rows and two processes gives the replay table', async () => {
    const submission = fc.record({
      jti: fc.integer({ min: 0, max: 5 }),
      content: fc.constantFrom('a', 'b'),
      process: fc.integer({ min: 0, max: 1 }),
      poison: fc.boolean(),
      pause: fc.integer({ min: 0, max: 3 }),
    })
    await fc.assert(
      fc.asyncProperty(fc.array(submission, { minLength: 1, maxLength: 40 }), async (submissions) => {
        const run = serial++
        const answers: Promise<{ submitted: ExchangeRow; answer: Answer }>[] = []
        for (const { jti, content, process, poison, pause } of submissions) {
          const submitted = row(`run-${run}-${jti}`, content, { poison })
          const committer = processes[process] as Committer
          answers.push(ask(committer, submitted).then((answer) => ({ submitted, answer })))
          if (pause === 0) await new Promise(setImmediate)
        }
        const settled = await Promise.all(answers)
        const byJti = Map.groupBy(settled, ({ submitted }) => submitted.jti)
        for (const group of byJti.values()) await checkGroup(group)
      }),
      { numRuns: 60 },
    )
  })

  /** One (iss, jti): exactly one receipt exists, everybody with its content has it, all others a conflict. */
  async function checkGroup(group: readonly { submitted: ExchangeRow; answer: Answer }[]): Promise<void> {
    const jti = group[0]?.submitted.jti
    const stored = await first.query(
      `SELECT r.content_digest, r.receipt, (SELECT count(*)::int FROM exchange e WHERE e.jti = r.jti) AS exchanges,
         (SELECT count(*)::int FROM delivery d WHERE d.exchange = r.exchange) AS deliveries,
         (SELECT count(*)::int FROM log l WHERE l.exchange = r.exchange) AS positions
       FROM replay r WHERE jti = $1`,
      [jti],
    )
    const winner = stored.rows[0]
    if (winner !== undefined) expect(winner).toMatchObject({ exchanges: 1, deliveries: 1, positions: 1 })
    for (const { submitted, answer } of group) {
      if (answer.kind === 'receipt') {
        expect(answer.receipt).toBe(winner?.receipt)
        expect(submitted.contentDigest).toBe(winner?.content_digest)
        expect(answer.replayed).toBe(submitted.receipt !== winner?.receipt)
      } else if (answer.code === 'exchange.conflict') {
        expect(submitted.contentDigest).not.toBe(winner?.content_digest)
      } else {
        expect(answer.code).toBe('exchange.unstorable')
        expect(submitted.sub).toContain('\u0000')
      }
    }
    const sound = group.filter(({ submitted }) => !submitted.sub.includes('\u0000'))
    if (sound.length > 0) expect(winner).toBeDefined()
  }

  test('positions are gap-free and in commit order, whatever fails in between', async () => {
    const { rows } = await first.query('SELECT array_agg(pos ORDER BY pos) AS positions FROM log')
    const positions = (rows[0]?.positions ?? []).map(Number)
    expect(positions).toEqual(positions.map((_: number, index: number) => index + 1))
    const head = await first.query('SELECT pos FROM log_head')
    expect(Number(head.rows[0]?.pos)).toBe(positions.length)
  })

  test('exchanges of one sender and order key commit in the order of their submission', async () => {
    const committer = processes[0] as Committer
    const keys = ['order-x', 'order-y', 'order-z']
    const submitted = Array.from({ length: 300 }, (_, index) =>
      row(`ordered-${String(index).padStart(4, '0')}`, 'c', { orderKey: keys[index % 3] as string }),
    )
    await Promise.all(submitted.map((one) => committer.submit(one)))
    const { rows } = await first.query(
      `SELECT e.order_key, array_agg(e.jti ORDER BY l.pos) AS jtis FROM log l JOIN exchange e ON e.id = l.exchange
       WHERE e.order_key = ANY ($1) GROUP BY e.order_key`,
      [keys],
    )
    expect(rows).toHaveLength(3)
    for (const { jtis } of rows) expect(jtis).toEqual([...jtis].sort())
  })
})

describe('the committer', () => {
  const nothing: CommitBatch = async (rows) => rows.map((_, index) => ({ kind: 'committed', pos: index + 1 }))

  test('refuses with hub.busy beyond its bound and keeps what it took', async () => {
    let open = (): void => {}
    const gate = new Promise<void>((resolve) => {
      open = resolve
    })
    const committer = createCommitter({
      ...BOUNDS,
      maxQueuedRows: 3,
      commit: async (rows) => {
        await gate
        return nothing(rows)
      },
    })
    const answers = [1, 2, 3, 4].map((n) => ask(committer, row(`bounded-${n}`, 'a')))
    expect(await answers[3]).toEqual({ kind: 'error', code: 'hub.busy' })
    open()
    for (const answer of answers.slice(0, 3)) expect(await answer).toMatchObject({ kind: 'receipt' })
  })

  test('a deadlock or serialization failure is tried again, not answered', async () => {
    let attempts = 0
    const committer = createCommitter({
      ...BOUNDS,
      commit: (rows) => {
        attempts++
        return attempts < 3
          ? Promise.reject(Object.assign(new TypeError('deadlock'), { code: '40P01' }))
          : nothing(rows)
      },
    })
    expect(await ask(committer, row('deadlocked', 'a'))).toMatchObject({ kind: 'receipt', replayed: false })
    expect(attempts).toBe(3)
  })

  test('an unknown outcome is hub.store_unavailable for every row of the batch, never a refusal', async () => {
    const committer = createCommitter({
      ...BOUNDS,
      commit: () => Promise.reject(new TypeError('Connection terminated unexpectedly')),
    })
    const answers = await Promise.all([1, 2].map((n) => ask(committer, row(`unknown-${n}`, 'a'))))
    expect(answers).toEqual([1, 2].map(() => ({ kind: 'error', code: 'hub.store_unavailable' })))
  })
})
