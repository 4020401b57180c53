import { randomUUID } from 'node:crypto'
import path from 'node:path'
import { sql } from 'kysely'
import { onTestFinished } from 'vitest'
import type { Bus } from '#bus/bus.ts'
import { openEmbeddedBus } from '#bus/embedded.ts'
import { type ConnectorHost, type ConnectorHostOptions, startConnectorHost } from '#connect/host.ts'
import type { HostAlert } from '#delivery/breaker.ts'
import { HubError } from '#kernel/errors.ts'
import type { Json, JsonObject } from '#kernel/json.ts'
import { type MarketingPeer, startMarketingPeer } from '#sandbox/marketing-peer.ts'
import type { Db } from '#store/db.ts'
import { plainSeal, plainVault } from '../support/vault.ts'

/** A system that recognises what it has already; and one that does not, and must be asked. */
export const REST = { id: 'rest-marketing', directory: path.join(import.meta.dirname, '../connect/rest-marketing') }
export const SOAP = {
  id: 'state-grid-east-marketing',
  directory: path.join(import.meta.dirname, '../../connectors/state-grid-east-marketing'),
}
export const CONNECTOR = REST.id

interface SentAck {
  readonly token: string
  readonly claims: JsonObject
  readonly outcomes: readonly JsonObject[]
}

export interface Stage {
  readonly bus: Bus
  readonly peer: MarketingPeer
  readonly alerts: HostAlert[]
  /** Acknowledgements that the hub took, in order. */
  readonly acks: SentAck[]
  /** What `sendExchange` does before it answers a receipt. */
  readonly hub: { refuse: ((token: string) => void) | undefined }
  readonly start: (overrides?: Partial<ConnectorHostOptions>) => Promise<ConnectorHost>
  /** Publishes one result as the relay does; returns the delivery id. */
  readonly deliver: (affairNo: string, options?: DeliverOptions) => Promise<string>
  readonly outcomeOf: (delivery: string) => JsonObject | undefined
}

interface DeliverOptions {
  readonly delivery?: string
  readonly orderKey?: string
  readonly receipt?: string
  readonly data?: JsonObject
}

const encode = (value: Json): string => Buffer.from(JSON.stringify(value)).toString('base64url')
const decode = (token: string): JsonObject =>
  JSON.parse(Buffer.from(token.split('.')[1] ?? '', 'base64url').toString('utf8')) as JsonObject

/** A token as far as the host looks into it; signatures belong to the functions that are passed in. */
const fakeToken = (claims: JsonObject): string => `${encode({ typ: 'exchange+jwt' })}.${encode(claims)}.${randomUUID()}`

const result = (affairNo: string): JsonObject => ({
  affairNo,
  itemCode: '1115040001150T026H3000115001001',
  itemName: '挖掘城市道路审批',
  handlingUnit: { name: '赤峰市住房和城乡建设局', uscc: '1115040001150T026H' },
  finishedAt: '2026-03-09T16:20:05+08:00',
  resultState: '11',
})

/** An empty host database, a bus on it, the peer of the connector; all closed when the test ends. */
export async function setStage(db: Db, connector = REST): Promise<Stage> {
  await sql`TRUNCATE inbox, inbox_lane, inbox_attempt, dead_letter, ack_outbox, endpoint_breaker,
                     bus_head, bus_log, bus_group`.execute(db)
  const bus = openEmbeddedBus(db, plainSeal, { pollMs: 20 })
  const peer = await startMarketingPeer({ dialect: connector === REST ? 'rest' : 'state-grid-east', dedupe: true })
  const hosts: ConnectorHost[] = []
  onTestFinished(async () => {
    await peer.stop()
    await Promise.all(hosts.map((host) => host.stop(200)))
    await bus.close()
  })
  const alerts: HostAlert[] = []
  const acks: SentAck[] = []
  const hub: Stage['hub'] = { refuse: undefined }
  const sendExchange = async (token: string): Promise<{ receipt: string }> => {
    hub.refuse?.(token)
    const claims = decode(token)
    const data = claims['data'] as { outcomes: JsonObject[] }
    acks.push({ token, claims, outcomes: data.outcomes })
    return { receipt: `receipt of ${String(claims['jti'])}` }
  }
  return {
    bus,
    peer,
    alerts,
    acks,
    hub,
    start: async (overrides = {}) => {
      const host = await startConnectorHost({
        db,
        bus,
        directory: connector.directory,
        endpoint: { url: peer.url },
        hub: 'dianqiao',
        vault: plainVault,
        decrypt: async (value) => value,
        verifyDelivery: ({ token, receipt }) => {
          if (receipt === 'forged') throw new HubError('delivery.receipt_invalid')
          const { data, ...claims } = decode(token)
          return { claims, data: data as JsonObject }
        },
        signExchange: fakeToken,
        sendExchange,
        tuning: { scheduleMs: [20, 20, 20, 20, 20], timeoutMs: 1_000, leaseMs: 2_000, pollMs: 20 },
        random: () => 1,
        onAlert: (alert) => alerts.push(alert),
        ...overrides,
      })
      hosts.push(host)
      return host
    },
    deliver: async (affairNo, options = {}) => {
      const delivery = options.delivery ?? randomUUID()
      const orderKey = options.orderKey ?? `key of ${affairNo}`
      const data = options.data ?? result(affairNo)
      const value = fakeToken({ iss: 'platform-chifeng', contract: 'approval-result@1', sub: affairNo, data })
      const headers = {
        ce_id: delivery,
        ce_source: 'dianqiao',
        'dx-receipt': options.receipt ?? 'receipt',
        'dx-order-key': orderKey,
        'dx-contract': 'approval-result@1',
        'dx-deliver-by': '2030-01-01T00:00:00.000Z',
      }
      await bus.publish('dx.out.state-grid-east', [{ key: orderKey, value, headers }])
      return delivery
    },
    outcomeOf: (delivery) =>
      acks.flatMap((ack) => ack.outcomes).findLast((outcome) => outcome['delivery'] === delivery),
  }
}

export async function inboxState(db: Db, delivery: string): Promise<{ state: string; attempt: number } | undefined> {
  const { rows } = await sql<{ state: string; attempt: number }>`
    SELECT state, attempt FROM inbox WHERE event_id = ${delivery}`.execute(db)
  return rows[0]
}

export async function attemptsOf(db: Db, delivery: string): Promise<{ class: string; status: number | null }[]> {
  const { rows } = await sql<{ class: string; status: number | null }>`
    SELECT class, status FROM inbox_attempt WHERE event_id = ${delivery} ORDER BY id`.execute(db)
  return rows
}
