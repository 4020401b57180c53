import { expect, test } from 'vitest'
import { NONE } from './check.ts'
import { CHIFENG, caseMessages, HOHHOT } from './messages.ts'
import { openPlatforms, openWorld } from './world.ts'

test('a hub killed on its embedded database finds everything it had accepted when it starts again', {
  timeout: 120_000,
}, async (context) => {
  const world = await openWorld(context, 'embedded')
  await world.hub.start()
  await openPlatforms(world)
  for (const [round, place] of [CHIFENG, HOHHOT].entries()) {
    const { application, result } = caseMessages(place, `embedded-${round}`)
    const answered = await Promise.all([world.pushUntilAnswered(application), world.pushUntilAnswered(result(1))])
    const underWay = [2, 3, 4].map((n) =>
      world.pushUntilAnswered(caseMessages(place, `under-way-${round}-${n}`).application),
    )
    await world.hub.kill9()
    expect(await world.hub.start()).toBeDefined()
    const again = await Promise.all([world.push(application), world.push(result(1))])
    expect(again).toEqual(answered.map((answer) => ({ ...answer, status: 200 })))
    await Promise.all(underWay)
  }
  expect(await world.judge(), world.hub.log()).toEqual(NONE)
})
