import { sql } from 'kysely'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { foldStep, rebuildCases } from '#cases/fold.ts'
import { foldSources } from '#compose-loops.ts'
import type { JsonObject } from '#kernel/json.ts'
import { affair, application, newNumber, result } from '../gateway/messages.ts'
import { withDatabase } from '../support/database.ts'
import { type Message, openTestHub, type TestHub, type TestParty } from '../support/hub.ts'

withDatabase('cases, folded from the log', (databaseUrl) => {
  let hub: TestHub
  let chifeng: TestParty
  let utility: TestParty
  beforeAll(async () => {
    hub = await openTestHub(databaseUrl)
    chifeng = hub.party('platform-chifeng')
    utility = hub.party('state-grid-east')
  })
  afterAll(() => hub.close())

  async function pushed(party: TestParty, message: Message): Promise<string> {
    const answer = await party.push(message)
    expect(answer.status, answer.text).toBe(202)
    return String((await hub.verified(answer.text))['exchange'])
  }

  async function casesOf(party: TestParty, number: string): Promise<JsonObject[]> {
    await hub.settle()
    const { status, json } = await party.get(`/v1/cases/${number}`)
    return status === 200 ? (json as unknown as JsonObject[]) : []
  }

  const exchangesIn = (found: JsonObject | undefined): unknown[] =>
    (found?.['events'] as JsonObject[] | undefined)?.map(({ exchange }) => exchange) ?? []

  test('an application opens a case, and what shares an alias with it belongs to it', async () => {
    const [no, affairNo] = [newNumber('ME'), newNumber('CF')]
    const opened = await pushed(chifeng, application(no, { aliases: [affair(chifeng.id, affairNo)] }))
    const decided = await pushed(chifeng, result(affairNo))
    const [found, ...others] = await casesOf(chifeng, affairNo)
    expect(others).toEqual([])
    expect(found).toMatchObject({ division: '150402', utility: 'state-grid-east', state: 'open' })
    expect(found?.['caseNo']).toMatch(/^DQ-\d{8}-\d+$/)
    expect(exchangesIn(found)).toEqual([opened, decided])
  })

  test('a result that comes before its application is in the case once the application comes', async () => {
    const [no, affairNo] = [newNumber('ME'), newNumber('CF')]
    const decided = await pushed(chifeng, result(affairNo))
    expect(await casesOf(chifeng, affairNo)).toEqual([])
    const opened = await pushed(chifeng, application(no, { aliases: [affair(chifeng.id, affairNo)] }))
    const [found] = await casesOf(chifeng, no)
    expect(exchangesIn(found)).toEqual([decided, opened])
  })

  test('the same affair number of two platforms is two cases', async () => {
    const affairNo = newNumber('AF')
    const hohhot = hub.party('platform-hohhot')
    const east = await pushed(chifeng, application(newNumber('ME'), { aliases: [affair(chifeng.id, affairNo)] }))
    const west = await pushed(
      hohhot,
      application(newNumber('MW'), {
        utility: 'inner-mongolia-power',
        division: '150102',
        aliases: [affair(hohhot.id, affairNo)],
      }),
    )
    const decided = await pushed(hohhot, result(affairNo))
    expect((await casesOf(chifeng, affairNo)).map(exchangesIn)).toEqual([[east]])
    expect((await casesOf(hohhot, affairNo)).map(exchangesIn)).toEqual([[west, decided]])
  })

  test('two applications that share an alias are one case, under all their numbers', async () => {
    const [first, second, affairNo] = [newNumber('ME'), newNumber('ME'), newNumber('CF')]
    const opened = await pushed(utility, application(first, { aliases: [affair(chifeng.id, affairNo)] }))
    const again = await pushed(utility, application(second, { aliases: [affair(chifeng.id, affairNo)] }))
    const [byFirst] = await casesOf(utility, first)
    expect(exchangesIn(byFirst)).toEqual([opened, again])
    expect(await casesOf(utility, second)).toEqual([byFirst])
  })

  test('naming somebody else’s number lets nobody into the case, nor adds to it', async () => {
    const [own, foreign, affairNo] = [newNumber('ME'), newNumber('MW'), newNumber('CF')]
    const opened = await pushed(chifeng, application(own, { aliases: [affair(chifeng.id, affairNo)] }))
    const intruder = hub.party('inner-mongolia-power')
    const named = await pushed(
      intruder,
      application(foreign, {
        utility: intruder.id,
        division: '150102',
        aliases: [affair(chifeng.id, affairNo)],
        applicant: '91150102MADEM0011F',
      }),
    )
    expect((await casesOf(chifeng, affairNo)).map(exchangesIn)).toEqual([[opened]])
    expect((await casesOf(intruder, foreign)).map(exchangesIn)).toEqual([[named]])
    expect(await casesOf(intruder, affairNo)).toEqual([])
  })

  test('what a league sends for its county carries the county’s numbers, and both see the case', async () => {
    const affairNo = newNumber('NC')
    const obo = 'platform-ningcheng'
    const message = application(newNumber('ME'), { division: '150429', aliases: [affair(obo, affairNo)] })
    const opened = await pushed(chifeng, { ...message, obo })
    const decided = await pushed(chifeng, { ...result(affairNo), obo })
    for (const party of [chifeng, hub.party(obo), utility]) {
      expect((await casesOf(party, affairNo)).map(exchangesIn), party.id).toEqual([[opened, decided]])
    }
    expect(await casesOf(hub.party('platform-tongliao'), affairNo)).toEqual([])
  })

  test('the order of a result and its application does not change who sees the case', async () => {
    const region = hub.party('platform-nmg')
    for (const resultFirst of [false, true]) {
      const affairNo = newNumber('RG')
      const steps = [
        () => pushed(utility, application(newNumber('ME'), { aliases: [affair(region.id, affairNo)] })),
        () => pushed(region, result(affairNo)),
      ]
      for (const step of resultFirst ? steps.toReversed() : steps) {
        await step()
        await hub.settle()
      }
      expect((await casesOf(region, affairNo)).length, `result first: ${resultFirst}`).toBe(1)
    }
  })

  const TABLES = ['case_file', 'case_alias', 'case_party', 'case_subject', 'case_event']

  async function dump(): Promise<Record<string, string[]>> {
    const tables: Record<string, string[]> = {}
    for (const table of TABLES) {
      const { rows } = await sql<{ row: string }>`
        SELECT t::text AS row FROM ${sql.table(table)} t ORDER BY 1`.execute(hub.core.db)
      tables[table] = rows.map(({ row }) => row)
    }
    return tables
  }

  test('a rebuild gives the same rows, whatever the steps were that folded them first', async () => {
    const sources = foldSources(hub.core)
    const numbers = Array.from({ length: 6 }, () => newNumber('CF'))
    for (const [index, number] of numbers.entries()) {
      const opens = application(newNumber('ME'), { aliases: [affair(chifeng.id, number)] })
      const steps = [() => pushed(chifeng, opens), () => pushed(chifeng, result(number))]
      for (const step of index % 2 === 0 ? steps : steps.toReversed()) {
        await step()
        if (index < 3) await foldStep(hub.core.db, sources)
      }
    }
    await hub.settle()
    const folded = await dump()
    for (const table of TABLES) expect(folded[table]?.length, table).toBeGreaterThan(5)
    const { rows } = await sql<{ pos: string }>`SELECT pos FROM log_head`.execute(hub.core.db)
    expect(await rebuildCases(hub.core.db, sources)).toBe(Number(rows[0]?.pos))
    expect(await dump()).toEqual(folded)
    expect(await foldStep(hub.core.db, sources)).toBe(0)
  })

  test('folding at once in several processes folds each position once', async () => {
    const sources = foldSources(hub.core)
    for (let index = 0; index < 20; index++) await pushed(chifeng, result(newNumber()))
    const passed = await Promise.all(Array.from({ length: 6 }, () => foldStep(hub.core.db, sources)))
    expect(passed.reduce((sum, one) => sum + one, 0)).toBe(20)
  })

  test('the store of the cases holds the applicant’s code as a keyed digest only', async () => {
    const text = JSON.stringify(await dump())
    expect(text).not.toContain('91150402MADEM002XN')
    expect(text).not.toContain('0476-')
  })
})
