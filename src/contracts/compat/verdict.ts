import type { Json, JsonObject } from '#kernel/json.ts'
import type { Bilingual } from '../contract.ts'

/**
 * `backward`: what the old schema takes, the new one takes. `forward`: what the new one takes, the old one takes.
 * `full`: both. `transitive`: full against every earlier version, not only the last.
 */
export const COMPATIBILITY_MODES = ['backward', 'forward', 'full', 'transitive'] as const
export type CompatibilityMode = (typeof COMPATIBILITY_MODES)[number]

/** `unproven` is treated as incompatible: neither a proof nor an instance that breaks was found. */
export type Verdict = 'compatible' | 'incompatible' | 'unproven'

export interface Change {
  /** JSON Pointer of the keyword, into the schema that refuses: the new one for `backward`, else the old one. */
  readonly pointer: string
  readonly rule: string
  readonly direction: 'backward' | 'forward'
  readonly verdict: 'incompatible' | 'unproven'
  readonly why: Bilingual
  readonly fix: Bilingual
  /** Valid under the one schema and invalid under the other, judged by the validator; absent where unproven. */
  readonly counterexample?: Json
  /** Which earlier version it is about, counted from 0; only with several. */
  readonly version?: number
  /** Whom it breaks: who still sends in the old form, or who still reads with the old schema. */
  readonly breaks: 'senders' | 'recipients'
}

export interface Compatibility {
  readonly verdict: Verdict
  readonly changes: readonly Change[]
}

/** What a comparison is asked, as it is sent to a thread. */
export interface CompareRequest {
  /** The latest last. */
  readonly earlier: readonly JsonObject[]
  readonly next: JsonObject
  readonly mode: CompatibilityMode
  readonly strict: boolean
}
