import type { JsonObject } from '#kernel/json.ts'
import type { Origin } from '#kernel/origin.ts'
import type { RetentionClass } from '#kernel/retention.ts'
import type { Rule, RuleInput } from './rules.ts'

/** A sentence or name in both languages. */
export interface Bilingual {
  readonly zh: string
  readonly en: string
}

export type ContractKind = 'document' | 'event' | 'query' | 'notice'

/** `level` and `division` narrow a role to parties of that level, and to those that stand for the division or inside it. */
export type Provider =
  | { readonly role: string; readonly level?: 'region' | 'league' | 'county'; readonly division?: string }
  | { readonly party: string }

/** `business-key`: the jti follows from contract, sub and what the pointer finds, so that they are accepted once. */
export type Idempotency = { readonly by: 'jti' } | { readonly by: 'business-key'; readonly revision: string }

/** A promise bound to a metric of the hub: not above `atMost`, in seconds where the metric counts seconds. */
export interface ServiceLevel {
  readonly metric: string
  readonly quantile?: number
  readonly atMost: number
}

/**
 * Where numbers of the case stand in the data: an array of {scheme, issuer, number}, or one number of a known
 * scheme whose issuer is the sender (`obo` where the exchange has one, else `iss`).
 */
export type AliasSource =
  | { readonly list: string }
  | { readonly scheme: string; readonly number: string; readonly issuer: 'sender' }

/**
 * Whom it goes to. `case-utility`: the utility of the correlated case, else of the fallback division; the two
 * `division-*`: who serves the division that the pointer finds; `pointer`: the party id that the pointer finds, or each
 * of a list of them.
 */
export type RoutingTarget =
  | { readonly to: 'case-utility'; readonly fallbackDivision?: string }
  | { readonly to: 'division-utility'; readonly division: string }
  | { readonly to: 'division-platform'; readonly division: string }
  | { readonly to: 'pointer'; readonly pointer: string }
  | { readonly to: 'none' }

/** A person or organisation in the data: pointers to the code type (111, 001, …), to the code itself and to its name. */
export interface SubjectPointers {
  readonly codeType: string
  readonly code: string
  readonly name?: string
}

export interface OpensCase {
  /** Division (GB/T 2260) of the supply address. */
  readonly supplyDivision: string
  readonly subjects: readonly SubjectPointers[]
}

/** What the projection of a document reads; every value but `statuses` is a JSON Pointer into the data. */
export interface DocumentPointers {
  readonly identifier: string
  /** Without one the status time alone decides which is the newer. */
  readonly version?: string
  /** The values a query looks the document up by. */
  readonly key: string
  readonly otherKeys: readonly string[]
  /** The identifier of the document that this one replaces: a renewal carries the previous one. */
  readonly replaces?: string
  readonly status: string
  readonly statusTime: string
  /** Last day of validity (date, Asia/Shanghai, inclusive); no value there means no end (长期). */
  readonly validTo?: string
  /** Times (date-time) after which a copy of it must not be used any more, besides the end of its validity. */
  readonly lapses?: readonly string[]
  /** The list, and the pointers inside each of its items; without a list they lead into the data itself. */
  readonly holders: { readonly list?: string; readonly codeType: string; readonly code: string }
  /** Whether all holders are codes of one person, such as an identity card's number and network number. */
  readonly identifies: boolean
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

/** How a dataset is governed in the region's catalogue of shared data (政务数据共享条例). */
export interface Dataset {
  readonly catalogueCode: string
  /** 无条件共享, 有条件共享, 不予共享. */
  readonly shareType: 'unconditional' | 'conditional' | 'none'
  readonly providerDepartment: string
  /** What the provider approved sharing with; a conditional dataset is not shared without it. */
  readonly approval?: {
    readonly no: string
    readonly date?: string
    /** Last day (Asia/Shanghai, inclusive). */
    readonly until: string
  }
}

/** An initial load: a list in the data whose rows are each data of a document contract. */
export interface LoadedRows {
  readonly list: string
  /** `name@major`. */
  readonly contract: string
}

/** What a query asks for. */
export interface Answers {
  /**
   * Whom the query names: must be the applicant of an open case of the caller. Undefined: it is about the applicant of
   * the case, or the person of the session, without naming them.
   */
  readonly subject?: { readonly codeTypeCode: string; readonly code: string }
  /** Unless this part is valid, all others are withheld. */
  readonly needs?: string
  readonly parts: readonly AnswerPart[]
  readonly purposes: readonly string[]
  readonly legalBases: readonly string[]
  /** How many failed matches a case has a day; undefined: without a limit. */
  readonly guesses?: { readonly perCase: number }
}

/** What one kind of document answers. `C`: a compiled CEL expression over the document, the query's claims and now. */
export interface AnswerPart<C = Condition> {
  /** The document contract, `name@major`; of the source `case` the notice contract that describes it. */
  readonly document: string
  /**
   * `lookup`: the connector `lookup` asks the system that holds it; the projection stands in when it cannot. `case`: what
   * the hub's own fold knows of the query's case.
   */
  readonly source: 'projection' | 'lookup' | 'case'
  /** Id of a folder in connectors/, exactly where the source is a look-up. */
  readonly lookup?: string
  /** `match`: only that there is one, as `matched`, with what is listed; never the record itself. */
  readonly gives: 'fields' | 'match'
  /** What may leave at most: top-level members, `matched`, names of `computed`. */
  readonly fields: readonly string[]
  /** Pointer into the query's data: must equal a lookup key of the document. Undefined: all of the subject. */
  readonly key?: string
  /** Pointer into the document: must equal the name of the case's applicant. */
  readonly applicantName?: string
  /** A document for which it is false is as if it did not exist. */
  readonly where?: C
  /** A valid document that does not meet one is `insufficient`. */
  readonly conditions: readonly { readonly id: string; readonly expression: C }[]
  /** Booleans made from a valid document. */
  readonly computed: readonly { readonly name: string; readonly expression: C }[]
}

/** Judges a document; what cannot be evaluated is false. */
export type Condition = (input: RuleInput) => boolean
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
  /** Whether a dead delivery may be replayed although a later one of its key was delivered. */
  readonly replaySafe: boolean
  readonly idempotency?: Idempotency
  /** What versions of its schema with one major must be to each other. */
  readonly compatibility: 'backward' | 'forward' | 'full' | 'transitive'
  readonly sla: readonly ServiceLevel[]
  readonly rules: readonly Rule[]
  readonly maxAgeSeconds: number
  /** Size cap of the token in bytes. */
  readonly maxBytes: number
  readonly minOrigin: Origin
  readonly document?: DocumentPointers
  readonly dataset?: Dataset
  readonly answers?: Answers
  readonly rows?: LoadedRows
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
  /** Any version of a schema by its path under schemas/, such as `approval-result/1.0.0.json`. */
  schema(path: string): JsonObject | undefined
  /** Digest over all contracts and schemas: two hubs with the same digest enforce the same. */
  readonly digest: string
}
