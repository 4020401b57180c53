import { connect } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { CHIFENG, caseMessages } from '../faults/messages.ts'
import { openWorld } from '../faults/world.ts'
import { withDatabase } from '../support/database.ts'

const ready = async (url: string): Promise<{ status: number; connection: string | null; body: unknown }> => {
  const response = await fetch(`${url}/health/ready`)
  return { status: response.status, connection: response.headers.get('connection'), body: await response.json() }
}

withDatabase('a stop', () => {
  test('begins with not being ready: what still comes is served, connections close, a long poll ends at once', {
    timeout: 60_000,
  }, async (context) => {
    const { hub, client } = await openWorld(context)
    await hub.start({ DRAIN_MS: '3000' })
    const sender = await client(CHIFENG.sender)
    const polling = sender.get('/v1/inbox?wait=20')
    await sleep(300)
    const stopped = hub.stop()
    await expect
      .poll(() => ready(hub.url), { timeout: 2_000 })
      .toEqual({
        status: 503,
        connection: 'close',
        body: { status: 'not-ready', causes: ['draining: it will stop soon'] },
      })
    expect((await sender.push(caseMessages(CHIFENG, 'draining').application.input)).status).toBe(202)
    expect(await polling).toEqual({ status: 200, body: { deliveries: [] } })
    expect(await stopped).toEqual({ code: 0, signal: null })
  })

  test('that hangs on a slow client ends in time, with exit code 1 and the name of what did not stop', {
    timeout: 60_000,
  }, async (context) => {
    const { hub } = await openWorld(context)
    await hub.start({ STOP_WITHIN_MS: '800' })
    const socket = connect(Number(new URL(hub.url).port), '127.0.0.1')
    socket.write(
      'POST /v1/exchanges HTTP/1.1\r\nhost: x\r\ncontent-type: application/jwt\r\ncontent-length: 100\r\n\r\na',
    )
    await sleep(200)
    expect(await hub.stop()).toEqual({ code: 1, signal: null })
    expect(hub.log()).toContain('did not stop within 800 ms: gateway')
    socket.destroy()
  })

  test('is over at the second signal, with exit code 130', { timeout: 60_000 }, async (context) => {
    const { hub } = await openWorld(context)
    await hub.start({ DRAIN_MS: '20000' })
    const ended = hub.stop()
    await sleep(300)
    void hub.stop()
    expect(await ended).toEqual({ code: 130, signal: null })
  })

  test('is not what SIGHUP does: contracts are read again, their digest is logged, and the hub goes on', {
    timeout: 60_000,
  }, async (context) => {
    const { hub } = await openWorld(context)
    await hub.start({ LOG_LEVEL: 'info' })
    const { digest } = (await (await fetch(`${hub.url}/v1/contracts`)).json()) as { digest: string }
    hub.reload()
    await expect.poll(() => hub.log(), { timeout: 10_000 }).toContain('contracts reloaded: unchanged')
    expect(hub.log()).toMatch(new RegExp(`"digest":"${digest}".*"message":"contracts"`))
    expect((await ready(hub.url)).status).toBe(200)
    expect(await hub.stop()).toMatchObject({ code: 0 })
  })

  test('a role that does not exist starts nothing and is named', { timeout: 60_000 }, async (context) => {
    const { hub } = await openWorld(context)
    await expect(hub.start({ ROLES: 'gateway,butler' })).rejects.toThrow(/config\.invalid[\s\S]*ROLES/)
  })
})
