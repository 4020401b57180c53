import { randomUUID } from 'node:crypto'
import { sql } from 'kysely'
import { afterAll, beforeAll, expect, test } from 'vitest'
import type { JsonObject } from '#kernel/json.ts'
import { withDatabase } from '../support/database.ts'
import { type Answer, at, ndjson, openTestHub, type TestHub, type TestParty } from '../support/hub.ts'
import { newNumber, result } from './messages.ts'

const NDJSON = { 'content-type': 'application/x-ndjson' }
const lineOf = (token: string): string => JSON.stringify({ token })

withDatabase('POST /v1/exchanges/batch', (databaseUrl) => {
  let hub: TestHub
  let chifeng: TestParty
  beforeAll(async () => {
    hub = await openTestHub(databaseUrl)
    chifeng = hub.party('platform-chifeng')
  })
  afterAll(() => hub.close())

  const batch = (lines: readonly string[]): Promise<Answer> =>
    hub.post('/v1/exchanges/batch', `${lines.join('\n')}\n`, NDJSON)

  /** The answer lines without the last, which must count them. */
  function answered(answer: Answer, lines: number): JsonObject[] {
    expect(answer.status).toBe(200)
    expect(answer.headers.get('content-type')).toBe('application/x-ndjson')
    const all = ndjson(answer.text)
    expect(all.at(-1)).toEqual({ end: lines })
    expect(all.slice(0, -1).map(({ n }) => n)).toEqual(Array.from({ length: lines }, (_, index) => index + 1))
    return all.slice(0, -1)
  }

  async function positions(jtis: readonly string[]): Promise<number[]> {
    const { rows } = await sql<{ jti: string; pos: string }>`
      SELECT e.jti, l.pos FROM log l JOIN exchange e ON e.id = l.exchange
      WHERE e.jti = ANY (${jtis})`.execute(hub.core.db)
    const byJti = new Map(rows.map((row) => [row.jti, Number(row.pos)]))
    return jtis.map((jti) => byJti.get(jti) ?? Number.NaN)
  }

  test('each line has its answer in the order of the lines, and the last line counts them', async () => {
    const tokens = Array.from({ length: 600 }, () => chifeng.exchange(result(newNumber())))
    const lines = answered(await batch(tokens.map(lineOf)), 600)
    for (const [index, line] of lines.entries()) {
      const receipt = await hub.verified(line['receipt'])
      const sent = JSON.parse(Buffer.from(tokens[index]?.split('.')[1] ?? '', 'base64url').toString()) as JsonObject
      expect(at(receipt, 'of', 'jti')).toBe(sent['jti'])
      expect(receipt['exchange']).toBe(line['exchange'])
    }
  })

  test('one bad line refuses only itself', async () => {
    const good = (): string => lineOf(chifeng.exchange(result(newNumber())))
    const bad = [
      'not json',
      '{"token": 1}',
      '{"other": "x"}',
      '[]',
      'null',
      '"text"',
      '{"token": "a.b.c"}',
      '{"token": "x", "token": "y"}',
      '{"__proto__": {"token": "x"}}',
      lineOf(chifeng.exchange(result('A-1', { resultState: 'yes' }))),
      lineOf(chifeng.exchange(result('A-1'), { iss: 'platform-hohhot' })),
    ]
    const lines = answered(await batch(bad.flatMap((line) => [good(), line, good()])), bad.length * 3)
    for (const [index, line] of lines.entries()) {
      if (index % 3 !== 1) expect(line['receipt'], JSON.stringify(line)).toBeTypeOf('string')
      else expect(at(line, 'problem', 'code'), JSON.stringify(line)).toMatch(/^(http\.bad_request|token|contract)/)
    }
    expect(await hub.verified(at(lines.at(-2), 'problem', 'refusal'))).toMatchObject({
      problem: { code: 'token.key_foreign' },
    })
  })

  test('the same jti twice in one batch is one exchange with one receipt; other content is a conflict', async () => {
    const message = result(newNumber())
    const jti = randomUUID()
    const token = chifeng.exchange(message, { jti })
    const resigned = chifeng.exchange(message, { jti })
    const other = chifeng.exchange(message, { jti, data: { ...message.data, remarks: '另一内容' } })
    const [first, second, third] = answered(await batch([token, resigned, other].map(lineOf)), 3)
    expect(first).toMatchObject({ replayed: false })
    expect(second).toEqual({ ...first, n: 2, replayed: true })
    expect(at(third, 'problem', 'code')).toBe('exchange.conflict')
    expect((await hub.verified(at(third, 'problem', 'refusal')))['aud']).toBe('platform-chifeng')
  })

  test('lines of one (iss, orderKey) commit in their order, over several windows', async () => {
    const affairs = [newNumber(), newNumber(), newNumber()]
    const sent = Array.from({ length: 900 }, (_, index) => ({
      affairNo: String(affairs[index % affairs.length]),
      jti: randomUUID(),
    }))
    answered(await batch(sent.map(({ affairNo, jti }) => lineOf(chifeng.exchange(result(affairNo), { jti })))), 900)
    for (const affairNo of affairs) {
      const found = await positions(sent.filter((one) => one.affairNo === affairNo).map(({ jti }) => jti))
      expect(found).toEqual(found.toSorted((a, b) => a - b))
      expect(new Set(found).size).toBe(300)
    }
  })

  test('two batches at once with the same lines commit each once and answer the same receipts', async () => {
    const lines = Array.from({ length: 300 }, () => lineOf(chifeng.exchange(result(newNumber()))))
    const [one, two] = await Promise.all([batch(lines), batch(lines.toReversed())])
    const receipts = (answer: Answer): unknown[] => answered(answer, 300).map(({ receipt }) => receipt)
    expect(receipts(two).toReversed()).toEqual(receipts(one))
  })

  test('blank lines are no lines, and an empty batch is an answered one', async () => {
    const token = lineOf(chifeng.exchange(result(newNumber())))
    const answer = await hub.post('/v1/exchanges/batch', `\n\r\n${token}\r\n\n`, NDJSON)
    expect(answered(answer, 1)[0]?.['receipt']).toBeTypeOf('string')
    answered(await hub.post('/v1/exchanges/batch', '\n', NDJSON), 0)
  })

  test('5,000 lines are taken and 5,001 are 413 with nothing accepted', async () => {
    const jti = randomUUID()
    const lines = Array.from({ length: 5_000 }, () => '{}')
    answered(await batch(lines), 5_000)
    const answer = await batch([lineOf(chifeng.exchange(result(newNumber()), { jti })), ...lines])
    expect([answer.status, answer.json['code']]).toEqual([413, 'http.body_too_large'])
    expect(await positions([jti])).toEqual([Number.NaN])
  })

  test('a body over 16 MiB is 413, whether its length was announced or not', async () => {
    const body = ' '.repeat(16 * 1024 * 1024 + 1)
    const announced = await hub.post('/v1/exchanges/batch', body, { ...NDJSON, 'content-length': String(body.length) })
    expect([announced.status, announced.json['code']]).toEqual([413, 'http.body_too_large'])
    expect((await hub.post('/v1/exchanges/batch', body, NDJSON)).status).toBe(413)
  })

  test('16 MiB of line ends do not hold up others', async () => {
    let longest = 0
    let last = performance.now()
    const ticking = setInterval(() => {
      longest = Math.max(longest, performance.now() - last)
      last = performance.now()
    }, 5)
    const answer = await hub.post('/v1/exchanges/batch', '\n'.repeat(16 * 1024 * 1024), NDJSON)
    clearInterval(ticking)
    answered(answer, 0)
    expect(longest).toBeLessThan(400)
  })

  test('another media type is 415', async () => {
    const answer = await hub.post('/v1/exchanges/batch', '{}', { 'content-type': 'application/json' })
    expect([answer.status, answer.json['code']]).toEqual([415, 'http.unsupported_media_type'])
  })
})
