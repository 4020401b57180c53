import { DianqiaoError, type Hub, pushPlain } from '#gateway/clients/dianqiao-client.ts'
import { HubError } from '#kernel/errors.ts'
import type { JsonObject } from '#kernel/json.ts'
import { addAppKey } from '#parties/app-keys.ts'
import type { MessageInput } from '#sandbox/party-client.ts'
import { appKeySecret } from '#trust/mac.ts'
import { renumber, type Scenario, seeded } from './scenario.ts'
import { eventually } from './stage.ts'

const NINGCHENG = 'platform-ningcheng'
const STATE_GRID_EAST = 'state-grid-east'

/** A county that cannot sign sends plain JSON with the client that the hub serves: attested, and told so to everybody. */
export async function plainDoor(scenario: Scenario): Promise<void> {
  scenario.stage.act({ zh: '县级平台以 AppKey 推送普通 JSON', en: 'A county pushes plain JSON with an AppKey' })
  const { core, url } = scenario.hub
  if (url === undefined) throw new HubError('config.invalid')
  const issued = { party: NINGCHENG, method: 'HMAC-SHA256', networks: ['127.0.0.0/8'], contracts: undefined } as const
  const id = await addAppKey(core.db, issued, { by: 'the demo' })
  await core.register.refresh()
  const appKey = { id, secret: appKeySecret(core.keyRing.digestKey, id) }
  const hub = { url, id: core.config.hubId, party: NINGCHENG }
  const own = { ...scenario, run: `${scenario.run}P` }
  const { applications, results } = scenario.seeds
  const application = renumber(own, 'power-application@1', seeded(applications, 'ME2026091100005'))
  const result = renumber(own, 'approval-result@1', seeded(results, '150429-20260911-00002'))
  await send(scenario, hub, appKey, application, '申请 application', '202 mac-attested')
  const exchange = await send(scenario, hub, appKey, result, '结果 result', '202 mac-attested')
  await send(scenario, hub, { ...appKey, secret: 'forged' }, result, '伪造 MAC forged', 'appkey.sign_invalid')
  const client = await scenario.client(NINGCHENG)
  const { body } = await eventually(
    () => client.get(`/v1/exchanges/${exchange}`),
    (answer) => stateAt(answer.body, STATE_GRID_EAST) === 'acknowledged',
  )
  scenario.stage.play({
    from: NINGCHENG,
    to: 'dianqiao',
    sent: '状态 status',
    expected: 'mac-attested acknowledged',
    got: `${String(body['origin'])} ${stateAt(body, STATE_GRID_EAST) ?? 'nowhere'}`,
  })
}

/** Sends and shows one message; the client counts a receipt only when it verifies. Returns the exchange. */
async function send(
  scenario: Scenario,
  hub: Hub,
  appKey: { readonly id: string; readonly secret: string },
  { contract, data }: MessageInput,
  sent: string,
  expected: string,
): Promise<string> {
  const step = { from: NINGCHENG, to: 'dianqiao', sent, expected }
  try {
    const { exchange, origin, replayed } = await pushPlain(hub, appKey, { contract, data: JSON.stringify(data) })
    scenario.stage.play({ ...step, got: `${replayed ? 200 : 202} ${origin}`, verified: true })
    return exchange
  } catch (error) {
    if (!(error instanceof DianqiaoError)) throw error
    scenario.stage.play({ ...step, got: error.code })
    return ''
  }
}

function stateAt(status: JsonObject, recipient: string): string | undefined {
  const deliveries = (status['deliveries'] ?? []) as unknown as { recipient: string | null; state: string }[]
  return deliveries.find((one) => one.recipient === recipient)?.state
}
