import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { LOOK_UP_PEERS } from '#cli/lookup-peers.ts'
import { isJsonObject, type Json, type JsonObject } from '#kernel/json.ts'
import type { LookUpPeer } from '#sandbox/lookup-peer.ts'
import { at } from '../support/hub.ts'

interface Reply {
  readonly status: number
  readonly body: JsonObject
}

async function post(
  peer: LookUpPeer,
  path: string,
  body: Json,
  headers: object = { 'x-app-key': 'key' },
): Promise<Reply> {
  const response = await fetch(`${peer.url}${path}`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...headers },
    body: JSON.stringify(body),
  })
  const answered = (await response.json()) as Json
  return { status: response.status, body: isJsonObject(answered) ? answered : {} }
}

const start = (name: string): Promise<LookUpPeer> => {
  const peer = LOOK_UP_PEERS[name]
  if (peer === undefined) throw new Error(`no peer ${name}`)
  return peer()
}

describe('the library of licences', () => {
  let library: LookUpPeer
  beforeAll(async () => {
    library = await start('licence-library')
  })
  afterAll(() => library.stop())

  const head = { serviceItemCode: 'item', caseNo: 'ME1', operator: 'staff-0042', requestId: 'r-1' }
  const search = (holderCode: string): Promise<Reply> =>
    post(library, '/licence/search', { head, data: { holderCode } })

  test('is searched by holder, then read by identifier: an annotated copy that lapses, under a seal', async () => {
    const { body } = await search('91150402MADEM002XN')
    const certificateIdentifier = at(body, 'data', 'items', 0, 'certificateIdentifier') ?? ''
    const got = await post(library, '/licence/get', { head, data: { certificateIdentifier, cause: '用电报装 ME1' } })
    expect(at(got.body, 'data')).toMatchObject({
      state: 'VALID',
      copy: { cause: '用电报装 ME1', expiresAt: expect.stringMatching(/^\d{8}T\d{6}$/) as string },
      seal: { digest: expect.stringMatching(/^sha-256:/) as string },
    })
  })

  test('knows nobody else, and answers nobody who does not name item, case and operator, or shows no key', async () => {
    expect(at((await search('91150102MADEM0014Q')).body, 'head', 'code')).toBe('1001')
    const nameless = await post(library, '/licence/search', { head: {}, data: { holderCode: '91150402MADEM002XN' } })
    expect(at(nameless.body, 'head', 'code')).toBe('4000')
    const keyless = await post(library, '/licence/search', { head, data: {} }, {})
    expect(at(keyless.body, 'head', 'code')).toBe('4010')
    expect((await post(library, '/licence/list', { head })).status).toBe(404)
  })

  test('takes a script of faults, and refuses one that it does not understand', async () => {
    expect((await post(library, '/__faults', [{ kind: 'no-such' }])).status).toBe(400)
    expect((await post(library, '/__faults', [{ kind: 'cap-used-up' }, { kind: 'status', status: 502 }])).status).toBe(
      200,
    )
    expect(at((await search('91150402MADEM002XN')).body, 'head', 'code')).toBe('4290')
    expect((await search('91150402MADEM002XN')).status).toBe(502)
    expect(at((await search('91150402MADEM002XN')).body, 'head', 'code')).toBe('0')
  })
})

describe('the identity service', () => {
  let service: LookUpPeer
  beforeAll(async () => {
    service = await start('identity-service')
  })
  afterAll(() => service.stop())

  const person = { name: '示例居民甲', idNumber: '150402198512310023' }
  const apply = async (mode: string): Promise<JsonObject> => (await post(service, '/auth/apply', { mode })).body
  const request = async (body: JsonObject): Promise<JsonObject> => (await post(service, '/auth/request', body)).body

  test.each([
    ['0x40', {}, '0-'],
    ['0x40', { name: '示例居民乙' }, '1-'],
    ['0x40', { idNumber: '150102199001010019' }, '2-'],
    ['0x42', { photoRef: 'terminal-0001-7f3a9c' }, '00'],
    ['0x42', { photoRef: 'other-0001-7f3a9c00' }, '01'],
    ['0x42', {}, '01'],
  ])('in mode %s with %j finds %s', async (mode, change, result) => {
    const { serial = '', nonce = '' } = await apply(mode)
    expect(await request({ serial, nonce, mode, ...person, ...change })).toMatchObject({ retCode: '0', result })
  })

  test('a serial serves once, with its own nonce and mode', async () => {
    const mode = '0x40'
    const first = await apply(mode)
    const asked = { serial: first['serial'] ?? '', nonce: first['nonce'] ?? '', mode, ...person }
    expect((await request(asked))['retCode']).toBe('0')
    expect((await request(asked))['retCode']).toBe('E4030')
    const second = await apply(mode)
    expect((await request({ ...asked, serial: second['serial'] ?? '' }))['retCode']).toBe('E4030')
    const third = await apply(mode)
    const other = { ...asked, serial: third['serial'] ?? '', nonce: third['nonce'] ?? '', mode: '0x42' }
    expect((await request(other))['retCode']).toBe('E4030')
    expect((await apply('0x41'))['retCode']).toBe('E4000')
  })
})
