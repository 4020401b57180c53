import { afterAll, beforeAll, expect, test } from 'vitest'
import type { BusMessage } from '#bus/bus.ts'
import type { LogEntry } from '#compose.ts'
import { composeGateway } from '#compose-gateway.ts'
import { openKafkaDoor } from '#gateway/kafka/door.ts'
import { readTraceparent } from '#kernel/traceparent.ts'
import { decryptWith } from '#trust/jwe.ts'
import { eventually } from '../bus/eventually.ts'
import { withDatabase } from '../support/database.ts'
import { at, HUB_URL, openTestHub, type TestHub } from '../support/hub.ts'
import { affair, application, newNumber, result } from './messages.ts'

const TRACE = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01'

withDatabase('request ids and traces', (databaseUrl) => {
  let hub: TestHub
  beforeAll(async () => {
    hub = await openTestHub(databaseUrl)
  })
  afterAll(() => hub.close())

  async function read(topic: string, group: string): Promise<{ messages: BusMessage[]; close(): Promise<void> }> {
    const messages: BusMessage[] = []
    const { close } = await hub.core.bus.subscribe({
      topics: [topic],
      group,
      onBatch: async (batch) => void messages.push(...batch),
    })
    return { messages, close }
  }

  test('an internal error is logged under the instance that its sender got and the trace that it came with', async () => {
    const { core } = hub
    const logged: LogEntry[] = []
    const app = composeGateway(
      { ...core, accept: () => Promise.reject(new Error('broken')), log: (entry) => void logged.push(entry) },
      () => HUB_URL,
    )
    const ask = (traceparent: string) =>
      app.request(`${HUB_URL}/v1/exchanges`, {
        method: 'POST',
        body: 'x',
        headers: { 'content-type': 'application/jwt', traceparent },
      })
    const problem = (await (await ask(TRACE)).json()) as { instance: string }
    expect(logged).toMatchObject([{ level: 'error', instance: problem.instance, traceparent: TRACE }])
    await ask('00-not-a-trace')
    expect(logged[1]).toBeDefined()
    expect(logged[1]).not.toHaveProperty('traceparent')
  })

  test('at level debug each request is one line with its route, never with what stands in the path', async () => {
    const { core } = hub
    const logged: LogEntry[] = []
    const config = { ...core.config, logLevel: 'debug' } as const
    const app = composeGateway({ ...core, config, log: (entry) => void logged.push(entry) }, () => HUB_URL)
    const answer = await app.request(`${HUB_URL}/v1/cases/SECRET-NUMBER`, { headers: { traceparent: TRACE } })
    const { instance } = (await answer.json()) as { instance: string }
    expect(logged).toEqual([
      {
        level: 'debug',
        message: 'request',
        instance,
        traceparent: TRACE,
        fields: { method: 'GET', route: '/v1/cases/:number', status: 401, ms: expect.any(Number) },
      },
    ])
    await app.request(`${HUB_URL}/SECRET-PATH`)
    expect(JSON.stringify(logged)).not.toContain('SECRET')
  })

  test('at other levels a request writes nothing', async () => {
    const before = hub.logged.length
    expect((await hub.request('/v1/time')).status).toBe(200)
    expect(hub.logged.slice(before)).toEqual([])
  })

  test('a delivery on the bus carries its exchange as the trace', async () => {
    const number = newNumber('A')
    await hub.party('state-grid-east').push(application(newNumber(), { aliases: [affair('platform-chifeng', number)] }))
    const token = hub.party('platform-chifeng').exchange(result(number))
    const { json } = await hub.post('/v1/exchanges', token, { accept: 'application/json' })
    await hub.settle()
    const { messages, close } = await read('dx.out.state-grid-east', 'tracing')
    try {
      const find = (): BusMessage | undefined =>
        messages.find(({ headers }) => headers['dx-receipt'] === at(json, 'receipt'))
      await eventually(() => expect(find()).toBeDefined())
      const traceparent = readTraceparent(find()?.headers['traceparent'])
      expect(traceparent?.slice(3, 35)).toBe(String(at(json, 'exchange')).replaceAll('-', ''))
    } finally {
      await close()
    }
  })

  test('an answer by the bus carries the trace of what it answers', async () => {
    const { core } = hub
    const party = hub.party('platform-nmg')
    const onError = (error: unknown): void => expect.fail(String(error))
    const door = await openKafkaDoor(
      {
        bus: core.bus,
        hubId: 'dianqiao',
        decrypt: (value) => decryptWith(core.decryption, value),
        accept: core.accept,
        onError,
      },
      [party.id],
    )
    const { messages, close } = await read(`dx.receipt.${party.id}`, 'tracing')
    try {
      await core.bus.publish(`dx.in.${party.id}`, [
        { key: 'a', value: await hub.wrapped(party.exchange(result(newNumber()))), headers: { traceparent: TRACE } },
        { key: 'b', value: 'no token', headers: { traceparent: 'no trace' } },
      ])
      await eventually(() => expect(messages).toHaveLength(2))
      const byKey = new Map(messages.map(({ key, headers }) => [key, headers['traceparent']]))
      expect(byKey).toEqual(
        new Map([
          ['a', TRACE],
          ['b', undefined],
        ]),
      )
    } finally {
      await door.close()
      await close()
    }
  })
})
