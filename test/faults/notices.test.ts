import { setTimeout as sleep } from 'node:timers/promises'
import { expect, test } from 'vitest'
import type { JsonObject } from '#kernel/json.ts'
import { withDatabase } from '../support/database.ts'
import { CHIFENG, caseMessages } from './messages.ts'
import { openPlatforms, openWorld } from './world.ts'

withDatabase('a hub killed while it tells a sender of a rejection', () => {
  test('sweep.before-mark:1: the sender is told once', { timeout: 120_000 }, async (context) => {
    const world = await openWorld(context)
    await world.hub.start({ FAULT_POINT: 'sweep.before-mark:1' })
    await openPlatforms(world)
    const { application } = caseMessages(CHIFENG, 'rejected-0001')
    world.peers.get(CHIFENG.utility)?.faults.next([{ kind: 'reject', reference: application.input.sub }])
    const { exchange } = await world.pushUntilAnswered(application)
    expect((await world.hub.ended()).signal).toBe('SIGKILL')
    await world.hub.start()
    await sleep(1_000)
    const platform = await world.client(CHIFENG.sender)
    const { body } = await platform.get('/v1/inbox?limit=100&wait=0')
    const notices = (body['deliveries'] as unknown as { token: string }[]).map(({ token }) => claimsIn(token))
    expect(notices.map(({ contract, data }) => [contract, data.exchange])).toEqual([['non-delivery@1', exchange]])
    const status = await platform.get(`/v1/exchanges/${exchange}`)
    expect(status.body['deliveries']).toMatchObject([{ state: 'dead', recipient: CHIFENG.utility }])
  })
})

const claimsIn = (token: string): { contract: string; data: JsonObject } =>
  JSON.parse(Buffer.from(token.split('.')[1] ?? '', 'base64url').toString('utf8'))
