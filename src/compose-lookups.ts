import path from 'node:path'
import { connectorFolders } from '#connect/folders.ts'
import { authenticationHeaders } from '#connect/host.ts'
import { createHttpTransport, type HttpTransport } from '#connect/http-transport.ts'
import { loadLookUpManifest } from '#connect/lookup-manifest.ts'
import { openLookUpSource } from '#connect/lookup-source.ts'
import type { ContractSet } from '#contracts/contract.ts'
import type { Looking } from '#documents/live.ts'
import { createLookUps, type LookUpSource } from '#documents/lookup.ts'
import { HubError } from '#kernel/errors.ts'
import { foreseeAccess } from '#store/access-queries.ts'
import { disputedAmong } from '#store/dispute-queries.ts'
import { type Core, PROJECT_ROOT } from './compose.ts'

/** Its folders are the list of connectors. */
export const CONNECTORS = path.join(PROJECT_ROOT, 'connectors')

/** Fifty documents, as many as are answered, with room to spare: of one that is cut off nothing can be read. */
const MAX_ANSWER_BYTES = 1_048_576

export interface LookUpEndpoint {
  readonly url: string
  readonly secret?: string
}

export interface RunningLookUps {
  readonly looking: Looking
  readonly stop: () => void
}

/**
 * The look-ups of a gateway. `endpointOf` tells the address of an endpoint by its name; a system without one is not
 * asked, and its contracts are answered from what the hub holds. Throws `connector.invalid`, `config.invalid`.
 */
export async function openLookUps(
  core: Core,
  endpointOf: (name: string) => Promise<LookUpEndpoint | undefined>,
  root = CONNECTORS,
): Promise<RunningLookUps> {
  const { clock, db, capReserve, digests, log, metrics } = core
  const sources: LookUpSource[] = []
  const transports: HttpTransport[] = []
  const served = new Map<string, readonly string[]>()
  for (const directory of (await connectorFolders(root)).lookUps) {
    const manifest = await loadLookUpManifest(directory)
    served.set(manifest.id, Object.keys(manifest.contracts))
    const endpoint = await endpointOf(manifest.endpoint.name)
    if (endpoint === undefined) {
      log({ level: 'warn', message: `look-up ${manifest.id}: no address is configured; it is never asked` })
      continue
    }
    const transport = createHttpTransport({
      url: endpoint.url,
      timeoutMs: manifest.endpoint.timeoutMs,
      connections: manifest.concurrency,
      maxBody: MAX_ANSWER_BYTES,
      headers: authenticationHeaders(manifest, endpoint.secret),
    })
    transports.push(transport)
    sources.push(await openLookUpSource(directory, manifest, transport.send))
  }
  core.contracts.require((set) => requireServed(set, served))
  const lookUps = createLookUps({
    clock,
    digest: digests.question,
    sources,
    observe: metrics.lookedUp,
    onFailure: (endpoint, { code, detail }) =>
      log({ level: 'warn', message: `look-up ${endpoint}: ${code}${detail === undefined ? '' : `, ${detail.en}`}` }),
  })
  metrics.watchCircuits(lookUps.circuits)
  return {
    looking: {
      lookUps,
      foreseeAccess: (counted) => foreseeAccess(db, capReserve, counted),
      disputedAmong: (contract, identifiers) => disputedAmong(db, contract, identifiers),
    },
    stop: () => {
      for (const transport of transports) transport.close()
    },
  }
}

/** A contract whose look-up nobody makes would be answered from the projection for ever, and nobody would notice. */
function requireServed(contracts: ContractSet, served: ReadonlyMap<string, readonly string[]>): void {
  for (const { ref, answers } of contracts.list()) {
    for (const { lookup } of answers?.parts ?? []) {
      if (lookup === undefined || served.get(lookup)?.includes(ref)) continue
      throw new HubError('connector.invalid', {
        detail: {
          zh: `合同 ${ref} 的查询连接器 ${lookup} 不存在或不服务该合同`,
          en: `the look-up ${lookup} of the contract ${ref} does not exist or does not serve it`,
        },
      })
    }
  }
}
