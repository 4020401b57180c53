import { expect, test } from 'vitest'
import { withDatabase } from '../support/database.ts'
import { NONE } from './check.ts'
import { CHIFENG, caseMessages, HOHHOT, type Message } from './messages.ts'
import { openPlatforms, openWorld, type World } from './world.ts'

/** Where the process dies, and the promise that holds all the same. */
const POINTS: readonly (readonly [string, string])[] = [
  ['relay.before-publish:2', 'a kill before a publication delays it'],
  ['relay.after-publish:1', 'a kill between publication and mark publishes again and delivers once'],
  ['host.before-land:1', 'a kill before the landing lands the batch later'],
  ['host.after-land:1', 'a kill between landing and offset lands the batch again and delivers once'],
  ['host.before-effect:2', 'a kill before the request sends it later'],
  ['host.after-effect:2', 'a kill between effect and final state repeats the request, never the effect'],
  ['host.after-final:1', 'a kill between final state and acknowledgement acknowledges later'],
  ['host.before-ack-sent:1', 'a kill before an acknowledgement is sent sends it later'],
  ['host.after-ack-sent:1', 'a kill before the receipt of an acknowledgement is stored acknowledges once'],
  ['outcome.before-apply:1', 'a kill before an outcome is applied applies it later'],
  ['cases.before-commit:1', 'a kill inside the fold of a case folds it again'],
  ['routing.before-commit:1', 'a kill inside the routing routes later'],
]

withDatabase('a hub killed with SIGKILL at a chosen point', () => {
  test.concurrent.for(POINTS)('%s: %s', { timeout: 120_000 }, async ([point], context) => {
    const world = await openWorld(context)
    await playAcrossKill(world, point)
    expect(await world.judge(), world.hub.log()).toEqual(NONE)
  })

  test.concurrent('accept.before-commit:1: what was not committed is accepted by its retry', {
    timeout: 120_000,
  }, async (context) => {
    const world = await openWorld(context)
    await playAcrossKill(world, 'accept.before-commit:1')
    expect(firstAnswers(world)).toEqual(new Set([202]))
    expect(await world.judge(), world.hub.log()).toEqual(NONE)
  })

  test.concurrent('accept.after-commit:1: what was committed answers its retry with the original receipt', {
    timeout: 120_000,
  }, async (context) => {
    const world = await openWorld(context)
    await playAcrossKill(world, 'accept.after-commit:1')
    expect(firstAnswers(world)).toContain(200)
    expect(await world.judge(), world.hub.log()).toEqual(NONE)
  })
})

/** Both utilities; results before, after and without a pause behind their applications; three results of one key. */
async function playAcrossKill(world: World, point: string): Promise<void> {
  await world.hub.start({ FAULT_POINT: point })
  await openPlatforms(world)
  const played = Promise.all(sequences().map((sequence) => pushInOrder(world, sequence)))
  expect(await world.hub.ended()).toEqual({ code: null, signal: 'SIGKILL' })
  await world.hub.start()
  await played
}

function sequences(): Message[][] {
  const early = caseMessages(CHIFENG, 'early-0001')
  const late = caseMessages(HOHHOT, 'late-0001')
  const other = caseMessages(HOHHOT, 'other-0001')
  return [
    [early.application, early.result(1), early.result(2), early.result(3)],
    [late.result(1), late.result(2), late.application],
    [other.application, other.result(1)],
  ]
}

async function pushInOrder(world: World, messages: readonly Message[]): Promise<void> {
  for (const message of messages) await world.pushUntilAnswered(message)
}

/** The statuses of the first answers to messages whose first attempt had none. */
function firstAnswers({ pushes }: World): Set<number | undefined> {
  const perMessage = [...Map.groupBy(pushes, ({ message }) => message).values()]
  const retried = perMessage.filter(([first]) => first?.answer === undefined)
  return new Set(retried.map((attempts) => attempts.find(({ answer }) => answer !== undefined)?.answer?.status))
}
