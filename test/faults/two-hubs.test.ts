import { expect, test } from 'vitest'
import type { HubAnswer, MessageInput } from '#sandbox/party-client.ts'
import { withDatabase } from '../support/database.ts'
import { NONE } from './check.ts'
import { CHIFENG, caseMessages, HOHHOT } from './messages.ts'
import { openPlatforms, openWorld } from './world.ts'

withDatabase('two hub processes on one database', () => {
  test('the same token sent to both at once gives one receipt', { timeout: 120_000 }, async (context) => {
    const world = await openWorld(context)
    const other = await world.secondHub()
    await Promise.all([world.hub.start(), other.start()])
    await openPlatforms(world)
    for (let n = 0; n < 20; n++) {
      const { application, result } = caseMessages(n % 2 === 0 ? CHIFENG : HOHHOT, `both-${n}`)
      for (const message of [application, result(1), result(2)]) {
        const answers = await Promise.all([world.push(message), world.push(message, other)])
        expect(new Set(answers.map((answer) => answer?.receipt)).size).toBe(1)
        expect(answers.map((answer) => answer?.status).toSorted()).toEqual([200, 202])
      }
    }
    expect(await world.judge(), world.hub.log() + other.log()).toEqual(NONE)
  })

  test('200 duplicates and conflicts at once: one 202 a jti, its content 200 with its receipt, any other 409', {
    timeout: 120_000,
  }, async (context) => {
    const world = await openWorld(context)
    const other = await world.secondHub()
    await Promise.all([world.hub.start(), other.start()])
    const doors = [await world.client(CHIFENG.sender), await world.client(CHIFENG.sender, other)]
    const inputs = Array.from({ length: 20 }, (_, n) => caseMessages(CHIFENG, `race-${1000 + n}`).application.input)
    const attempts = Array.from({ length: 200 }, (_, n) => {
      const input = inputs[n % 20] as MessageInput
      const content = n % 3 === 0 ? 'other' : 'same'
      return { door: doors[n % 2], content, input: { ...input, data: { ...input.data, remarks: content } } }
    })
    const answers = await Promise.all(
      attempts.map(async ({ door, content, input }) => ({ content, jti: input.jti, got: await door?.push(input) })),
    )
    for (const [jti, same] of Map.groupBy(answers, (answer) => answer.jti)) {
      const accepted = same.filter(({ got }) => got?.status === 202)
      expect(accepted, jti).toHaveLength(1)
      const [winner] = accepted
      for (const { content, got } of same) {
        expect(got?.verified).toBe(true)
        if (content === winner?.content) expect(got?.token, jti).toBe(winner?.got?.token)
        expect(lineOfTheTable(got), jti).toBe(
          got === winner?.got ? 'accepted' : content === winner?.content ? 'original' : 'conflict',
        )
      }
    }
  })

  test('one of two hubs killed: the other one carries on what it had begun', { timeout: 120_000 }, async (context) => {
    const world = await openWorld(context)
    const dying = await world.secondHub()
    await Promise.all([world.hub.start(), dying.start({ FAULT_POINT: 'host.after-effect:2' })])
    await openPlatforms(world)
    for (let n = 0; n < 8; n++) {
      const { application, result } = caseMessages(n % 2 === 0 ? CHIFENG : HOHHOT, `survive-${n}`)
      for (const message of [application, result(1), result(2)]) await world.pushUntilAnswered(message)
    }
    await dying.kill9()
    expect((await dying.ended()).signal).toBe('SIGKILL')
    expect(await world.judge(), world.hub.log() + dying.log()).toEqual(NONE)
  })
})

/** PROTOCOL, replay and idempotency. */
function lineOfTheTable(answer: HubAnswer | undefined): string {
  if (answer?.status === 202 && !answer.replayed) return 'accepted'
  if (answer?.status === 200 && answer.replayed) return 'original'
  return answer?.status === 409 && answer.code === 'exchange.conflict'
    ? 'conflict'
    : `${answer?.status} ${answer?.code}`
}
