import type { PeerRequest } from '#delivery/target.ts'
import { HubError } from '#kernel/errors.ts'
import { isJsonObject, type Json, type JsonObject } from '#kernel/json.ts'
import type { HttpManifest, Manifest, SoapManifest } from './manifest.ts'
import type { Mapping, Mappings } from './mapping.ts'
import type { MappingInput } from './sdk.ts'
import { buildEnvelope } from './soap-envelope.ts'

/** The request that a connector makes of one exchange. Throws `mapping.failed`. */
export async function makeRequest(
  manifest: Manifest,
  mappings: Mappings,
  contract: string,
  input: MappingInput,
): Promise<PeerRequest> {
  const mapping = mappings.byContract.get(contract)
  const detail = { zh: `连接器没有 ${contract} 的映射`, en: `the connector has no mapping for ${contract}` }
  // Two branches of one line: each manifest's entries fit its own transport.
  if (manifest.transport === 'http') return httpRequest(manifest, manifest.contracts[contract], mapping, input, detail)
  return soapRequest(manifest, manifest.contracts[contract], mapping, input, detail)
}

/** The request that asks whether the peer has an exchange already. Throws `mapping.failed`. */
export async function makeLookUp(manifest: Manifest, mappings: Mappings, input: MappingInput): Promise<PeerRequest> {
  const detail = { zh: '连接器没有 confirm 查询', en: 'the connector has no look-up' }
  if (manifest.transport === 'http') return httpRequest(manifest, manifest.confirm, mappings.confirm, input, detail)
  return soapRequest(manifest, manifest.confirm, mappings.confirm, input, detail)
}

type Detail = NonNullable<HubError['detail']>

async function httpRequest(
  manifest: HttpManifest,
  entry: { readonly method: string; readonly path: string } | undefined,
  mapping: Mapping | undefined,
  input: MappingInput,
  detail: Detail,
): Promise<PeerRequest> {
  if (entry === undefined || mapping === undefined) throw new HubError('mapping.failed', { detail })
  return {
    method: entry.method,
    path: entry.path,
    headers: { 'content-type': 'application/json; charset=utf-8', ...effectKey(manifest, input) },
    body: JSON.stringify(await mapping(input)),
  }
}

async function soapRequest(
  manifest: SoapManifest,
  entry: { readonly operation: string; readonly soapAction: string } | undefined,
  mapping: Mapping | undefined,
  input: MappingInput,
  detail: Detail,
): Promise<PeerRequest> {
  if (entry === undefined || mapping === undefined) throw new HubError('mapping.failed', { detail })
  const headers = { 'content-type': 'text/xml; charset=utf-8', soapaction: `"${entry.soapAction}"` }
  return {
    method: 'POST',
    path: manifest.soap.path,
    headers: { ...headers, ...effectKey(manifest, input) },
    body: buildEnvelope(manifest.soap, entry.operation, await mapping(input)),
  }
}

const effectKey = ({ effectKeyHeader }: Manifest, { delivery }: MappingInput): Record<string, string> =>
  effectKeyHeader === undefined ? {} : { [effectKeyHeader]: delivery.id }

/**
 * Claims and data of a token that was verified when it was landed. The bytes come from our own inbox, so they are
 * only taken apart here, not judged again.
 */
export function openVerifiedToken(token: string): { readonly claims: JsonObject; readonly data: JsonObject } {
  const payload = JSON.parse(Buffer.from(token.split('.')[1] ?? '', 'base64url').toString('utf8')) as Json
  if (!isJsonObject(payload)) throw new HubError('token.malformed')
  const { data, ...claims } = payload
  return { claims, data: isJsonObject(data) ? data : {} }
}
