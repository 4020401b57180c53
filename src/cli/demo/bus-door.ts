import { inTopic, receiptTopic } from '#bus/topic-names.ts'
import { isJsonObject, type JsonObject } from '#kernel/json.ts'
import { renumber, type Scenario, seeded } from './scenario.ts'
import { eventually } from './stage.ts'

/** The region's platform, which may send by the bus. */
const REGION = 'platform-nmg'

/** What came in by the bus, wrapped for the hub, is answered on the bus, and HTTP answers the same token with the same receipt. */
export async function busDoor(scenario: Scenario): Promise<void> {
  scenario.stage.act({ zh: '经总线推送：同一受理', en: 'By the bus: the same acceptance' })
  const { bus } = scenario.hub.core
  const client = await scenario.client(REGION)
  const message = seeded(scenario.seeds.applications, 'ME2026090700021')
  const input = renumber({ ...scenario, run: `${scenario.run}B` }, 'power-application@1', message)
  const token = client.exchangeToken({ ...input, data: refiled(input.data) })
  const answers: string[] = []
  const reading = await bus.subscribe({
    topics: [receiptTopic(REGION)],
    group: `${REGION}.demo-${scenario.run}`,
    onBatch: async (messages) => void answers.push(...messages.map(({ value }) => value.toString('utf8'))),
  })
  await bus.publish(inTopic(REGION), [{ key: REGION, value: await client.wrapped(token), headers: {} }])
  const receipt = await eventually(
    async () => answers[0],
    (answer) => answer !== undefined,
  )
  await reading.close()
  const again = await client.pushToken(token)
  const sameReceipt = again.status === 200 && receipt !== undefined && receipt === again.token
  scenario.stage.play({
    from: REGION,
    to: `dx.in.${REGION}`,
    sent: '申请 application',
    expected: 'receipt, by HTTP the same',
    got: sameReceipt ? 'receipt, by HTTP the same' : `${again.status}, another receipt`,
    verified: again.verified,
  })
}

/** The same application as the region's platform would file it: its numbers are its own. */
function refiled(data: JsonObject): JsonObject {
  const aliases = data['aliases']
  if (!Array.isArray(aliases)) return data
  const own = aliases.map((alias) =>
    isJsonObject(alias) && alias['scheme'] === 'affair-no' ? { ...alias, issuer: REGION } : alias,
  )
  return { ...data, aliases: own }
}
