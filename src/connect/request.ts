import type { PeerRequest } from '#delivery/attempt.ts'
import { HubError } from '#kernel/errors.ts'
import { isJsonObject, type Json, type JsonObject } from '#kernel/json.ts'
import type { Manifest } from './manifest.ts'
import type { Mapping } from './mapping.ts'
import type { MappingInput } from './sdk.ts'

/** The request that a connector makes of one exchange. Throws `mapping.failed`. */
export async function makeRequest(
  manifest: Manifest,
  mappings: ReadonlyMap<string, Mapping>,
  contract: string,
  input: MappingInput,
): Promise<PeerRequest> {
  const entry = manifest.contracts[contract]
  const mapping = mappings.get(contract)
  if (entry === undefined || mapping === undefined) {
    const detail = { zh: `连接器没有 ${contract} 的映射`, en: `the connector has no mapping for ${contract}` }
    throw new HubError('mapping.failed', { detail })
  }
  return {
    method: entry.method,
    path: entry.path,
    headers: { 'content-type': 'application/json; charset=utf-8', [manifest.effectKeyHeader]: input.delivery.id },
    body: JSON.stringify(await mapping(input)),
  }
}

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
