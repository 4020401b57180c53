import { expect, test } from 'vitest'
import { foldStep } from '#cases/fold.ts'
import { foldSources } from '#compose-loops.ts'
import { type RoutingSources, routeStep } from '#delivery/routing.ts'
import { aliasesIntroduced, divisionsByAlias } from '#store/case-queries.ts'
import { logHead } from '#store/cursor.ts'
import { withDatabase } from '../support/database.ts'
import { openTestHub } from '../support/hub.ts'
import { CHIFENG, caseMessages } from './messages.ts'

withDatabase('routing while the cases run ahead of it', (databaseUrl) => {
  test('a result is not routed before an earlier one of its affair that still waits', async ({ onTestFinished }) => {
    const hub = await openTestHub(databaseUrl)
    onTestFinished(hub.close)
    const { core } = hub
    const platform = hub.party(CHIFENG.sender)
    const { application, result } = caseMessages(CHIFENG, 'ahead-0001')
    const exchanges: string[] = []
    const push = async ({ input }: typeof application): Promise<number> => {
      const answer = await platform.push(input)
      expect(answer.status).toBe(202)
      exchanges.push(String((await hub.verified(answer.text))['exchange']))
      return logHead(core.db)
    }
    const states = async (): Promise<unknown[]> =>
      Promise.all(
        exchanges.map(async (exchange) => {
          const { json } = await platform.get(`/v1/exchanges/${exchange}`)
          return (json['deliveries'] as unknown as { state: string }[])[0]?.state
        }),
      )
    // A routing step takes the position of the cases first, and asks them when they may have gone on.
    const routeUpTo = (position: number): Promise<number> =>
      routeStep(core.db, { ...ROUTING, casesPosition: async () => position, utilityOf: core.register.utilityOf })

    const first = await push(result(1))
    await foldStep(core.db, foldSources(core))
    await routeUpTo(first)
    const second = await push(result(2))
    const last = await push(application)
    await foldStep(core.db, foldSources(core))
    await routeUpTo(second)
    expect(await states()).toEqual(['unrouted', 'unrouted', 'accepted'])
    await routeUpTo(last)
    expect(await states()).toEqual(['accepted', 'accepted', 'accepted'])
  })
})

const ROUTING: Pick<RoutingSources, 'aliasesIntroduced' | 'divisionsByAlias'> = { aliasesIntroduced, divisionsByAlias }
