import type { Json, JsonObject } from '#kernel/json.ts'

/** What a mapping starts from. JSONata expressions see it as their input document. */
export interface MappingInput {
  /** The payload, as its contract's schema describes it. */
  readonly data: JsonObject
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
export type MapExchange = (input: MappingInput) => Json | Promise<Json>
