import { mkdtemp, readFile, rm } from 'node:fs/promises'
import os from 'node:os'
import path from 'node:path'
import { expect, it, onTestFinished } from 'vitest'
import { type MarketingPeer, startMarketingPeer } from '#sandbox/marketing-peer.ts'

type Options = Parameters<typeof startMarketingPeer>[0]

async function start(options: Partial<Options> = {}): Promise<MarketingPeer> {
  const peer = await startMarketingPeer({ dialect: 'inner-mongolia-power', dedupe: true, ...options })
  onTestFinished(() => peer.stop())
  return peer
}

async function send(
  peer: MarketingPeer,
  key: string,
  number = 'A-1',
): Promise<{ status: number; retryAfter: string | null; code: unknown }> {
  const response = await fetch(`${peer.url}/mktg/esb/SPJG`, {
    method: 'POST',
    headers: { 'x-msg-id': key },
    body: JSON.stringify({ HEAD: {}, BODY: { BJBH: number } }),
    signal: AbortSignal.timeout(300),
  })
  const body = (await response.json()) as { HEAD?: { RETCODE?: string } }
  return { status: response.status, retryAfter: response.headers.get('retry-after'), code: body.HEAD?.RETCODE }
}

it('has one effect per effect key and answers the duplicate in its own words', async () => {
  const peer = await start()
  expect(await send(peer, 'k-1')).toMatchObject({ status: 200, code: '0000' })
  expect(await send(peer, 'k-1')).toMatchObject({ status: 200, code: '1001' })
  expect(peer.effects()).toMatchObject([{ n: 1, effectKey: 'k-1', reference: 'A-1' }])
  expect(peer.requests()).toHaveLength(2)
})

it('doubles the effect when it does not dedupe', async () => {
  const peer = await start({ dedupe: false })
  await send(peer, 'k-1')
  await send(peer, 'k-1')
  expect(peer.effects()).toHaveLength(2)
})

it('speaks the other dialect with statuses instead of codes', async () => {
  const peer = await start({ dialect: 'rest' })
  const post = () =>
    fetch(`${peer.url}/api/v1/approval-results`, {
      method: 'POST',
      headers: { 'idempotency-key': 'k' },
      body: '{"affairNo":"A-1"}',
    })
  const [first, second] = [await post(), await post()]
  expect([first.status, second.status]).toEqual([200, 409])
  const invalid = await fetch(`${peer.url}/api/v1/approval-results`, {
    method: 'POST',
    headers: { 'idempotency-key': 'k2' },
    body: '{}',
  })
  expect(invalid.status).toBe(422)
})

it('follows its script in order, then behaves again', async () => {
  const peer = await start()
  peer.faults.next([
    { kind: 'status', status: 500, times: 2 },
    { kind: 'status', status: 429, retryAfterSeconds: 3 },
    { kind: 'busy' },
    { kind: 'reject' },
  ])
  const answers = []
  for (let n = 0; n < 6; n++) answers.push(await send(peer, 'k-1'))
  expect(answers).toMatchObject([
    { status: 500 },
    { status: 500 },
    { status: 429, retryAfter: '3' },
    { code: '9001' },
    { code: '2001' },
    { code: '0000' },
  ])
  expect(peer.effects()).toHaveLength(1)
})

it('times out and resets before or after the effect, as scripted, and can hit one business number only', async () => {
  const peer = await start()
  peer.faults.next([
    { kind: 'timeout', reference: 'A-1' },
    { kind: 'timeout-after', reference: 'A-2' },
    { kind: 'reset', reference: 'A-3' },
    { kind: 'reset-after', reference: 'A-4' },
    { kind: 'slow-after', ms: 5_000, reference: 'A-5' },
  ])
  await expect(send(peer, 'healthy', 'A-0')).resolves.toMatchObject({ code: '0000' })
  for (const number of ['A-1', 'A-2', 'A-3', 'A-4', 'A-5']) await expect(send(peer, number, number)).rejects.toThrow()
  expect(peer.effects().map((effect) => effect.reference)).toEqual(['A-0', 'A-2', 'A-4', 'A-5'])
})

it('takes a script and shows its effects over HTTP', async () => {
  const peer = await start()
  const post = (script: unknown) => fetch(`${peer.url}/__faults`, { method: 'POST', body: JSON.stringify(script) })
  expect((await post([{ kind: 'status', status: 503 }])).status).toBe(200)
  expect((await post([{ kind: 'explode' }])).status).toBe(400)
  expect(await send(peer, 'k-1')).toMatchObject({ status: 503 })
  await send(peer, 'k-1')
  const effect = await fetch(`${peer.url}/__effects/k-1`)
  expect(await effect.json()).toMatchObject({ effectKey: 'k-1', reference: 'A-1' })
  expect((await fetch(`${peer.url}/__effects/k-2`)).status).toBe(404)
  expect(await (await fetch(`${peer.url}/__effects`)).json()).toHaveLength(1)
})

it('remembers its effects across a restart by its history file, which only grows', async () => {
  const directory = await mkdtemp(path.join(os.tmpdir(), 'peer-'))
  onTestFinished(() => rm(directory, { recursive: true }))
  const historyFile = path.join(directory, 'effects.ndjson')
  const first = await start({ historyFile })
  await send(first, 'k-1')
  await first.stop()
  const second = await start({ historyFile })
  expect(await send(second, 'k-1')).toMatchObject({ code: '1001' })
  expect(await send(second, 'k-2')).toMatchObject({ code: '0000' })
  const lines = (await readFile(historyFile, 'utf8')).trimEnd().split('\n')
  expect(lines.map((line) => (JSON.parse(line) as { effectKey: string }).effectKey)).toEqual(['k-1', 'k-2'])
})

const EXCHANGE = 'http://marketing.state-grid-east.example/exchange/v1'

async function soap(peer: MarketingPeer, operation: string, content: string, action = operation): Promise<string> {
  const response = await fetch(`${peer.url}/services/ExchangeService`, {
    method: 'POST',
    headers: { 'content-type': 'text/xml', soapaction: `"${EXCHANGE}/${action}"` },
    body: `<e:Envelope xmlns:e="http://schemas.xmlsoap.org/soap/envelope/"><e:Body><${operation} xmlns="${EXCHANGE}">${content}</${operation}></e:Body></e:Envelope>`,
  })
  return `${response.status} ${await response.text()}`
}

const RESULT = '<messageId>k-1</messageId><affairNo>A-1</affairNo>'

it('speaks SOAP as State Grid East, and takes in again what comes twice even when told to dedupe', async () => {
  const peer = await start({ dialect: 'state-grid-east' })
  for (let n = 0; n < 2; n++) {
    expect(await soap(peer, 'submitApprovalResult', RESULT)).toMatch(/^200 .*<ex:resultCode>0</)
  }
  expect(peer.effects()).toMatchObject([{ effectKey: 'k-1', reference: 'A-1' }, { effectKey: 'k-1' }])
  expect(await soap(peer, 'submitApprovalResult', '<messageId>k-2</messageId>')).toMatch(/^500 .*s:Client.*INVALID/)
  expect(await soap(peer, 'submitApprovalResult', RESULT, 'submitPowerApplication')).toMatch(/^404 /)
})

it('tells by a look-up what it has, without an effect and without using up faults of submissions', async () => {
  const peer = await start({ dialect: 'state-grid-east' })
  peer.faults.next([{ kind: 'busy' }, { kind: 'unclear' }])
  const ask = () => soap(peer, 'queryMessage', '<messageId>k-1</messageId>')
  expect(await ask()).toContain('<ex:status>ARCHIVED<')
  expect(await ask()).toContain('<ex:status>NOT_FOUND<')
  expect(await soap(peer, 'submitApprovalResult', RESULT)).toMatch(/^500 .*s:Server.*BUSY/)
  await soap(peer, 'submitApprovalResult', RESULT)
  expect(await ask()).toMatch(/PROCESSED.*<ex:receiptNo>SGE-0000001</)
  expect([peer.effects(), peer.requests(), peer.lookUps()].map((list) => list.length)).toEqual([1, 2, 3])
})
