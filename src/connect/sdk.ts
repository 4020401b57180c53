import type { Json, JsonObject } from '#kernel/json.ts'
import type { ContractDataByRef } from './contract-types.ts'

/** What the payload of a contract looks like: `ContractData<'approval-result@1'>`. */
export type ContractData<Ref extends keyof ContractDataByRef> = ContractDataByRef[Ref]

/** What a mapping starts from. JSONata expressions see it as their input document. */
export interface MappingInput<Data = JsonObject> {
  /** The payload, as its contract's schema describes it. */
  readonly data: Data
  /** The claims of the exchange without `data`. */
  readonly claims: JsonObject
  readonly delivery: {
    /** The effect key: the same at every attempt. */
    readonly id: string
    /** When the delivery was landed (ISO 8601). The same at every attempt, so nothing needs the clock. */
    readonly receivedAt: string
  }
  /** The hub's receipt, a compact JWS. */
  readonly receipt: string
}

/** A mapping that JSONata cannot express: a module `<contract>.ts` in the connector's folder exports it as `map`. */
export type MapExchange<Data = JsonObject> = (input: MappingInput<Data>) => Json | Promise<Json>

/** What the mappings of a look-up start from: the query, and the answers of the steps before. */
export interface LookUpInput {
  readonly query: {
    readonly contract: string
    /** As the query contract's schema describes it. */
    readonly data: JsonObject
    /** Who asks, or for whom. */
    readonly party: string
    readonly purpose: string
    readonly legalBasis: string
    /** 实施编码 of the service item, and the pseudonymous staff id. */
    readonly item: string
    readonly operator: string
    /** Or the session, where there is no case yet. */
    readonly caseNo: string
    /** When it was asked (ISO 8601), so that nothing needs the clock. */
    readonly askedAt: string
  }
  /** A UUID of this look-up, the same in each of its steps. */
  readonly requestId: string
  /** The body of each step's answer, by the step's name. */
  readonly steps: { readonly [step: string]: Json }
  /** The table of the manifest: the system's status codes by kind of licence. */
  readonly statuses: { readonly [kind: string]: { readonly [code: string]: string } }
}
