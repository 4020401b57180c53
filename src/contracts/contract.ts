import type { JsonObject } from '#kernel/json.ts'
import type { Origin } from '#kernel/origin.ts'
import type { RetentionClass } from '#kernel/retention.ts'
import type { Rule } from './rules.ts'

/** A sentence or name in both languages. */
export interface Bilingual {
  readonly zh: string
  readonly en: string
}

export type ContractKind = 'document' | 'event' | 'query' | 'notice'

export type Provider = { readonly role: string } | { readonly party: string }

/**
 * Where numbers of the case stand in the data: an array of {scheme, issuer, number}, or one number of a known
 * scheme whose issuer is the sender (`obo` where the exchange has one, else `iss`).
 */
export type AliasSource =
  | { readonly list: string }
  | { readonly scheme: string; readonly number: string; readonly issuer: 'sender' }

/**
 * One recipient. `case-utility`: the utility of the correlated case, else of the fallback division; the two
 * `division-*`: who serves the division that the pointer finds; `pointer`: the party id that the pointer finds.
 */
export type RoutingTarget =
  | { readonly to: 'case-utility'; readonly fallbackDivision?: string }
  | { readonly to: 'division-utility'; readonly division: string }
  | { readonly to: 'division-platform'; readonly division: string }
  | { readonly to: 'pointer'; readonly pointer: string }
  | { readonly to: 'none' }

/** A person or organisation in the data: pointers to the code type (111, 001, …) and to the code itself. */
export interface SubjectPointers {
  readonly codeType: string
  readonly code: string
}

export interface OpensCase {
  /** Division (GB/T 2260) of the supply address. */
  readonly supplyDivision: string
  readonly subjects: readonly SubjectPointers[]
}

/** What the projection of a document reads; every value but `statuses` is a JSON Pointer into the data. */
export interface DocumentPointers {
  readonly identifier: string
  readonly version: string
  /** The value a query looks the document up by. */
  readonly key: string
  readonly status: string
  readonly statusTime: string
  /** Last day of validity (date, Asia/Shanghai, inclusive); no value there means no end (长期). */
  readonly validTo: string
  /** The list, and the pointers inside each of its items. */
  readonly holders: { readonly list: string; readonly codeType: string; readonly code: string }
  /** Status code of the licence type → meaning; consumers reject what is not ACTIVE. */
  readonly statuses: Readonly<Record<string, DocumentStatus>>
}

type DocumentStatus =
  | 'ACTIVE'
  | 'SUSPENDED'
  | 'REVOKED'
  | 'CANCELLED'
  | 'EXPIRED'
  | 'TRANSFERRED_OUT'
  | 'WITHDRAWN'
  | 'OTHER'

/** What a query asks for. */
export interface Answers {
  /** The document contract, `name@major`. */
  readonly document: string
  /** Pointer into the query's data: equals the document's `key`. */
  readonly key: string
  /** Whom the query is about: must be the applicant of an open case of the caller. */
  readonly subject: { readonly codeTypeCode: string; readonly code: string }
  readonly purposes: readonly string[]
  readonly legalBases: readonly string[]
}

/** Where the data may name files: objects {digest, bytes, mediaType, copyExpiresAt}, or lists of them. */
export interface CarriedFiles {
  readonly pointers: readonly string[]
  /** Size cap of one file in bytes; the hub's own cap holds beside it. */
  readonly maxBytes: number
  readonly mediaTypes: readonly MediaType[]
}

/** The media types whose content the hub can tell by its bytes. */
export type MediaType = 'application/ofd' | 'application/pdf' | 'image/png' | 'image/jpeg' | 'image/vnd.dwg'

/** One contract, deeply frozen. All pointers are JSON Pointers (RFC 6901) into the data. */
export interface Contract {
  /** Wire name, `name@major`. */
  readonly ref: string
  readonly name: string
  readonly version: string
  readonly major: number
  readonly kind: ContractKind
  readonly title: Bilingual
  readonly description: Bilingual
  readonly owner: string
  readonly providers: readonly Provider[]
  /** Path under schemas/, equal to the schema's `$id`. */
  readonly schema: string
  readonly schemaDocument: JsonObject
  readonly sub: string
  readonly caseNo?: string
  readonly orderKey?: string
  readonly aliases: readonly AliasSource[]
  readonly opensCase?: OpensCase
  readonly routing: readonly RoutingTarget[]
  readonly deliverBySeconds: number
  readonly onDead: 'block' | 'continue'
  readonly rules: readonly Rule[]
  readonly maxAgeSeconds: number
  /** Size cap of the token in bytes. */
  readonly maxBytes: number
  readonly minOrigin: Origin
  readonly document?: DocumentPointers
  readonly answers?: Answers
  /** How long what is exchanged under it is kept. */
  readonly retention: RetentionClass
  /** Whether any property of its schema carries `x-privacy`: then it is not on a broker in the clear. */
  readonly personal: boolean
  readonly files?: CarriedFiles
  readonly legalBasis: { readonly policyDocument: string; readonly ledgerTasks: readonly number[] }
}

export interface ContractSet {
  /** The contract of a wire name such as `approval-result@1`. */
  get(ref: string): Contract | undefined
  list(): readonly Contract[]
  /** Digest over all contracts and schemas: two hubs with the same digest enforce the same. */
  readonly digest: string
}
