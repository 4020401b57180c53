import type { Contract, ContractSet } from '#contracts/contract.ts'
import { maskData } from '#contracts/mask.ts'
import { isPersonalAt } from '#contracts/privacy.ts'
import { isJsonObject, type Json, type JsonObject } from '#kernel/json.ts'

const HIDDEN = '***'

/**
 * The claims of any token as a person may look at them: payloads and documents masked by the tags of their contracts,
 * hidden where this hub does not know the contract, and a personal business key hidden too.
 */
export function maskClaims(contracts: ContractSet, claims: JsonObject): JsonObject {
  const { contract: ref, sub, data, documents } = claims
  const contract = typeof ref === 'string' ? contracts.get(ref) : undefined
  return {
    ...claims,
    ...(sub === undefined || showsSub(contract) ? {} : { sub: HIDDEN }),
    ...(data === undefined ? {} : { data: maskedBy(contract, data) }),
    ...(Array.isArray(documents) ? { documents: documents.map((one: Json) => maskDocument(contracts, one)) } : {}),
  }
}

const showsSub = (contract: Contract | undefined): boolean =>
  contract !== undefined && !isPersonalAt(contract.schemaDocument, contract.sub)

const maskedBy = (contract: Contract | undefined, data: Json): Json =>
  contract === undefined ? HIDDEN : maskData(contract, data)

function maskDocument(contracts: ContractSet, document: Json): Json {
  if (!isJsonObject(document) || document['data'] === undefined) return document
  const ref = document['document']
  return {
    ...document,
    data: maskedBy(typeof ref === 'string' ? contracts.get(ref) : undefined, document['data']),
  }
}
