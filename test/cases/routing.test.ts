import { sql } from 'kysely'
import { afterAll, beforeAll, expect, test } from 'vitest'
import type { JsonObject } from '#kernel/json.ts'
import { affair, application, newNumber, result } from '../gateway/messages.ts'
import { withDatabase } from '../support/database.ts'
import { type Message, openTestHub, type TestHub, type TestParty } from '../support/hub.ts'

const EAST = 'state-grid-east'
const WEST = 'inner-mongolia-power'

/** The 12 leagues and cities: platform, a division of it, and the utility that DOMAIN names. */
const LEAGUES = [
  ['platform-hohhot', '150102', WEST],
  ['platform-baotou', '150202', WEST],
  ['platform-wuhai', '150302', WEST],
  ['platform-chifeng', '150402', EAST],
  ['platform-tongliao', '150502', EAST],
  ['platform-ordos', '150602', WEST],
  ['platform-hulunbuir', '150702', EAST],
  ['platform-bayannur', '150802', WEST],
  ['platform-ulanqab', '150902', WEST],
  ['platform-hinggan', '152201', EAST],
  ['platform-xilingol', '152501', WEST],
  ['platform-alxa', '152921', WEST],
] as const

withDatabase('routing by correlation', (databaseUrl) => {
  let hub: TestHub
  let chifeng: TestParty
  beforeAll(async () => {
    hub = await openTestHub(databaseUrl)
    chifeng = hub.party('platform-chifeng')
  })
  afterAll(() => hub.close())

  async function pushed(party: TestParty, message: Message): Promise<string> {
    const answer = await party.push(message)
    expect(answer.status, answer.text).toBe(202)
    return String((await hub.verified(answer.text))['exchange'])
  }

  async function deliveries(party: TestParty, exchange: string): Promise<JsonObject[]> {
    await hub.settle()
    return (await party.get(`/v1/exchanges/${exchange}`)).json['deliveries'] as JsonObject[]
  }

  const recipients = async (party: TestParty, exchange: string): Promise<unknown[]> =>
    (await deliveries(party, exchange)).map(({ recipient }) => recipient)

  test.each(LEAGUES)('a result of %s for %s goes to %s: by its case, without a division', async (id, division, to) => {
    const platform = hub.party(id)
    const affairNo = newNumber()
    const opens = application(newNumber(), { utility: to, division, aliases: [affair(id, affairNo)] })
    expect(await recipients(platform, await pushed(platform, opens))).toEqual([to])
    expect(await recipients(platform, await pushed(platform, result(affairNo)))).toEqual([to])
  })

  test.each(LEAGUES)(
    'an application that a utility files in %s (%s) goes to its platform alone',
    async (id, division, to) => {
      const utility = hub.party(to)
      expect(
        await recipients(utility, await pushed(utility, application(newNumber(), { utility: to, division }))),
      ).toEqual([id])
    },
  )

  test('a county with a platform of its own is served by that, another county by its league', async () => {
    const utility = hub.party(EAST)
    for (const [division, platform] of [
      ['150429', 'platform-ningcheng'],
      ['150428', 'platform-chifeng'],
    ] as const) {
      expect(await recipients(utility, await pushed(utility, application(newNumber(), { division })))).toEqual([
        platform,
      ])
    }
  })

  test('a result waits unrouted until its application comes, and then goes to that address’s utility', async () => {
    const affairNo = newNumber()
    const exchange = await pushed(chifeng, result(affairNo))
    expect(await deliveries(chifeng, exchange)).toMatchObject([{ state: 'unrouted', recipient: null, routedAt: null }])
    await pushed(chifeng, application(newNumber(), { aliases: [affair(chifeng.id, affairNo)] }))
    expect(await deliveries(chifeng, exchange)).toMatchObject([{ state: 'published', recipient: EAST }])
  })

  test('an affair number of another issuer does not find the case', async () => {
    const affairNo = newNumber()
    await pushed(chifeng, application(newNumber(), { aliases: [affair(chifeng.id, affairNo)] }))
    const hohhot = hub.party('platform-hohhot')
    const exchange = await pushed(hohhot, result(affairNo))
    expect(await deliveries(hohhot, exchange)).toMatchObject([{ state: 'unrouted' }])
  })

  test('a division in the payload is the fallback, and the case wins over it', async () => {
    const alone = await pushed(chifeng, result(newNumber(), { divisionCode: '150402' }))
    expect(await recipients(chifeng, alone)).toEqual([EAST])
    const affairNo = newNumber()
    await pushed(chifeng, application(newNumber(), { aliases: [affair(chifeng.id, affairNo)] }))
    const known = await pushed(chifeng, result(affairNo, { divisionCode: '150102' }))
    expect(await recipients(chifeng, known)).toEqual([EAST])
  })

  test('the longest prefix wins, an override in force wins over it, and one that has ended does not', async () => {
    const { db, register } = hub.core
    const add = (prefix: string, from: string, to: string | null, isOverride: boolean) =>
      sql`INSERT INTO utility_area (prefix, utility, valid_from, valid_to, is_override)
          VALUES (${prefix}, ${WEST}, ${from}, ${to}, ${isOverride})`.execute(db)
    await add('150404', '2020-01-01', null, false)
    await add('15042', '2020-01-01', '2021-01-01', true)
    await add('150421', '2020-01-01', null, true)
    await register.refresh()
    for (const [division, utility] of [
      ['150404', WEST],
      ['150402', EAST],
      ['150423', EAST],
      ['150421', WEST],
    ] as const) {
      expect(
        await recipients(chifeng, await pushed(chifeng, application(newNumber(), { division }))),
        division,
      ).toEqual([utility])
    }
    await sql`DELETE FROM utility_area WHERE prefix IN ('150404', '15042', '150421')`.execute(db)
    await register.refresh()
  })

  test('many results that wait for one application all go with it, in the order of the log', async () => {
    const affairNo = newNumber()
    const sent: string[] = []
    for (let index = 0; index < 5; index++) sent.push(await pushed(chifeng, result(affairNo, { remarks: `${index}` })))
    await hub.settle()
    await pushed(chifeng, application(newNumber(), { aliases: [affair(chifeng.id, affairNo)] }))
    await hub.settle()
    const { rows } = await sql<{ exchange: string; state: string }>`
      SELECT exchange, state FROM delivery WHERE exchange = ANY (${sent}::uuid[]) ORDER BY published_at, pos`.execute(
      hub.core.db,
    )
    expect(rows).toEqual(sent.map((exchange) => ({ exchange, state: 'published' })))
  })
})
