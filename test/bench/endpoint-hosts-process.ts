import { randomUUID } from 'node:crypto'
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { openEmbeddedBus } from '#bus/embedded.ts'
import { outTopic } from '#bus/topic-names.ts'
import { startConnectorHost } from '#connect/host.ts'
import { resumeEndpoint } from '#delivery/breaker.ts'
import type { Json, JsonObject } from '#kernel/json.ts'
import { openDb } from '#store/db.ts'
import { plainSeal, plainVault } from '../support/vault.ts'
import { answerRequests } from './child.ts'
import { ROOT } from './message.ts'

/** The connectors of the `endpoints` bench: bus → inbox → peer → acknowledgement, without a hub around them. */

const CONNECTOR = path.join(ROOT, 'test/connect/rest-marketing')
const RESULT = path.join(ROOT, 'schemas/approval-result/examples/valid/approved.json')
/** Retries soon, and the breaker as it is: what a dead endpoint costs is what its attempts and probes cost. */
const TUNING = {
  scheduleMs: Array.from({ length: 60 }, () => 1_000),
  pollMs: 200,
  breaker: { firstProbeMs: 1_000, maxProbeMs: 1_000 },
}
const PUBLISH_AT_ONCE = 200

const idOf = (n: number): string => `endpoint-${n}`
const encode = (value: Json): string => Buffer.from(JSON.stringify(value)).toString('base64url')
/** As far as a connector looks into it; its signature belongs to the functions that are passed in. */
const token = (claims: JsonObject): string => `${encode({ typ: 'exchange+jwt' })}.${encode(claims)}.${randomUUID()}`
const claimsOf = (text: string): JsonObject =>
  JSON.parse(Buffer.from(text.split('.')[1] ?? '', 'base64url').toString('utf8')) as JsonObject

const example = JSON.parse(readFileSync(RESULT, 'utf8')) as JsonObject
/** Acknowledged deliveries by endpoint. */
const acknowledged: number[] = []
let stage: { readonly bus: ReturnType<typeof openEmbeddedBus>; readonly db: ReturnType<typeof openDb> } | undefined

answerRequests({
  async open({ databaseUrl, urls }: { databaseUrl: string; urls: readonly string[] }): Promise<void> {
    const db = openDb(databaseUrl, { max: 16 })
    const bus = openEmbeddedBus(db, plainSeal)
    stage = { bus, db }
    const folders = mkdtempSync(path.join(tmpdir(), 'dianqiao-endpoints-'))
    process.once('exit', () => rmSync(folders, { recursive: true, force: true }))
    for (const [n, url] of urls.entries()) {
      acknowledged.push(0)
      await startConnectorHost({
        db,
        bus,
        directory: connectorOf(folders, n),
        endpoint: { url },
        hub: 'dianqiao',
        vault: plainVault,
        decrypt: async (value) => value,
        verifyDelivery: (delivery) => {
          const { data, ...claims } = claimsOf(delivery.token)
          return { claims, data: data as JsonObject }
        },
        signExchange: token,
        sendExchange: async (ack) => {
          const { outcomes } = claimsOf(ack)['data'] as { outcomes: readonly JsonObject[] }
          // A request that had no answer in time is sent again, and then the peer knows it.
          if (outcomes.some(({ outcome }) => outcome !== 'applied' && outcome !== 'duplicate'))
            throw new Error(`${JSON.stringify(outcomes)}`)
          acknowledged[n] = (acknowledged[n] ?? 0) + outcomes.length
          return { receipt: 'receipt' }
        },
        tuning: TUNING,
        onError: (error) => process.stderr.write(`${idOf(n)}: ${String(error)}\n`),
      })
    }
  },
  /** Publishes one result under each key to each endpoint; resolves when all endpoints but one, if named, have all. */
  async play({ keys, but }: { keys: readonly string[]; but?: { peer: number; missing: number } }): Promise<number> {
    const wanted = acknowledged.map((count, n) => count + keys.length - (n === but?.peer ? but.missing : 0))
    const begun = performance.now()
    for (let from = 0; from < keys.length; from += PUBLISH_AT_ONCE) {
      const records = keys.slice(from, from + PUBLISH_AT_ONCE)
      for (const n of acknowledged.keys()) await stage?.bus.publish(outTopic(idOf(n)), records.map(recordOf))
    }
    await until(() => acknowledged.every((count, n) => count >= (wanted[n] ?? 0)))
    return (performance.now() - begun) / 1_000
  },
  /** What was left open is taken up: the endpoint is back. */
  async resume({ peer, missing }: { peer: number; missing: number }): Promise<void> {
    const wanted = (acknowledged[peer] ?? 0) + missing
    if (stage !== undefined) await resumeEndpoint(stage.db, idOf(peer))
    await until(() => (acknowledged[peer] ?? 0) >= wanted)
  },
})

/** The example connector under another name, for another recipient. */
function connectorOf(folders: string, n: number): string {
  const directory = path.join(folders, idOf(n))
  cpSync(CONNECTOR, directory, { recursive: true })
  const file = path.join(directory, 'connector.yaml')
  const text = readFileSync(file, 'utf8')
  writeFileSync(
    file,
    text.replace('id: rest-marketing', `id: ${idOf(n)}`).replace(/^recipient: .*$/m, `recipient: ${idOf(n)}`),
  )
  return directory
}

function recordOf(key: string) {
  const claims = {
    iss: 'platform-chifeng',
    contract: 'approval-result@1',
    sub: key,
    data: { ...example, affairNo: key },
  }
  const headers = {
    ce_id: randomUUID(),
    ce_source: 'urn:dianqiao:dianqiao',
    'dx-receipt': 'receipt',
    'dx-order-key': key,
  }
  return { key, value: token(claims), headers }
}

const GIVE_UP_MS = 120_000

async function until(isDone: () => boolean): Promise<void> {
  const end = performance.now() + GIVE_UP_MS
  while (!isDone()) {
    if (performance.now() > end) throw new Error(`not all was acknowledged: ${acknowledged.join(', ')}`)
    await new Promise((resolve) => setTimeout(resolve, 5))
  }
}
