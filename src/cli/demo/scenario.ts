import { randomUUID } from 'node:crypto'
import path from 'node:path'
import { PROJECT_ROOT } from '#compose.ts'
import { HubError } from '#kernel/errors.ts'
import type { JsonObject } from '#kernel/json.ts'
import { readPartySigner } from '#parties/key-files.ts'
import { readSeeds, type SeedData, type SeedMessage } from '#parties/seed-files.ts'
import { type HubAnswer, type MessageInput, openPartyClient, type PartyClient } from '#sandbox/party-client.ts'
import type { RunningHub } from '../boot.ts'
import { eventually, type Stage } from './stage.ts'

/** What the acts of the play share. */
export interface Scenario {
  readonly hub: RunningHub
  readonly stage: Stage
  readonly seeds: SeedData
  /** Numbers of this run: the play can be repeated on the same hub. */
  readonly run: string
  readonly client: (party: string) => Promise<PartyClient>
}

export function openScenario(hub: RunningHub, stage: Stage): Scenario {
  const { config } = hub.core
  const clients = new Map<string, Promise<PartyClient>>()
  async function connect(party: string): Promise<PartyClient> {
    const signer = readPartySigner(config.partyKeysDir, party)
    if (signer === undefined || hub.url === undefined) throw new HubError('seed.invalid')
    return openPartyClient(hub.url, config.hubId, party, signer)
  }
  return {
    hub,
    stage,
    seeds: readSeeds(path.join(PROJECT_ROOT, 'seeds')),
    run: randomUUID().slice(0, 4).toUpperCase(),
    client(party) {
      const client = clients.get(party) ?? connect(party)
      clients.set(party, client)
      return client
    },
  }
}

/** A seeded message under this run's numbers: the same number would be the same case. */
export function renumber(scenario: Scenario, contract: string, message: SeedMessage): MessageInput {
  const numbers = ['applicationNo', 'affairNo'] as const
  const data: JsonObject = JSON.parse(
    JSON.stringify(message.data, (name, value: unknown) =>
      (numbers as readonly string[]).includes(name) || name === 'number' ? `${String(value)}-${scenario.run}` : value,
    ),
  )
  const certificate = (message.data['resultCertificate'] as JsonObject | undefined)?.['number']
  const kept: JsonObject =
    certificate === undefined
      ? data
      : { ...data, resultCertificate: { ...(data['resultCertificate'] as JsonObject), number: certificate } }
  return {
    contract,
    sub: String(kept['applicationNo'] ?? kept['affairNo'] ?? kept['certificateNumber']),
    data: kept,
    ...(message.obo === undefined ? {} : { obo: message.obo }),
  }
}

/** The seeded message whose data holds this number. */
export function seeded(list: readonly SeedMessage[], number: string): SeedMessage {
  const found = list.find(({ data }) =>
    [data['applicationNo'], data['affairNo'], data['certificateNumber']].includes(number),
  )
  if (found === undefined) throw new HubError('seed.invalid')
  return found
}

/** Status code and error code as the table shows them. */
export const shown = ({ status, code, replayed }: HubAnswer): string =>
  `${status}${code === undefined ? (replayed ? ' original receipt' : status === 202 ? ' receipt' : '') : ` ${code}`}`

/** Pushes and shows a message that must be accepted; the exchange id comes back. */
export async function pushAccepted(
  scenario: Scenario,
  sender: string,
  input: MessageInput,
  sent: string,
): Promise<string> {
  const answer = await (await scenario.client(sender)).push(input)
  scenario.stage.play({
    from: input.obo === undefined ? sender : `${sender} obo`,
    to: 'dianqiao',
    sent,
    expected: '202 receipt',
    got: shown(answer),
    verified: answer.verified,
  })
  return String(answer.claims?.['exchange'])
}

interface DeliveryView {
  readonly recipient: string | null
  readonly state: string
  readonly recipientRef: string | null
}

export async function deliveriesOf(scenario: Scenario, sender: string, exchange: string): Promise<DeliveryView[]> {
  const { body } = await (await scenario.client(sender)).get(`/v1/exchanges/${exchange}`)
  return (body['deliveries'] ?? []) as unknown as DeliveryView[]
}

/** Waits until the utility has acknowledged, and shows the number its system gave. */
export async function showAcknowledged(
  scenario: Scenario,
  sender: string,
  exchange: string,
  utility: string,
  sent: string,
): Promise<void> {
  const deliveries = await eventually(
    () => deliveriesOf(scenario, sender, exchange),
    (list) => list.some((one) => one.recipient === utility && one.state === 'acknowledged'),
  )
  const own = deliveries.find((one) => one.recipient === utility)
  const peer = scenario.hub.peers.get(utility)
  const effects = peer?.effects().filter((effect) => effect.receiptNo === own?.recipientRef).length ?? 0
  scenario.stage.play({
    from: 'dianqiao',
    to: utility,
    sent,
    expected: `acknowledged, ${effects === 1 ? 1 : 'one'} effect`,
    got: `${own?.state ?? 'no delivery'}, ${effects} effect`,
  })
}
