import { ERROR_CODES, type HubErrorCode } from './error-codes.ts'

/** One thing that is wrong: where (JSON Pointer, RFC 6901), which rule, and a sentence in both languages. */
export interface Violation {
  readonly pointer: string
  readonly rule: string
  readonly message: { readonly zh: string; readonly en: string }
}

export interface HubErrorFields {
  readonly violations?: readonly Violation[]
  /** One more sentence for this occurrence, never with personal data. */
  readonly detail?: { readonly zh: string; readonly en: string }
  readonly retryAfterSeconds?: number
  /** What decided, where its violations do not say: a grant. Recorded, never told. */
  readonly decidedBy?: string
  readonly cause?: unknown
}

/** The only error class of the hub: a closed code, fields instead of prose, the cause kept. */
export class HubError extends Error {
  readonly code: HubErrorCode
  readonly violations: readonly Violation[]
  readonly detail: { readonly zh: string; readonly en: string } | undefined
  readonly retryAfterSeconds: number | undefined
  readonly decidedBy: string | undefined

  constructor(code: HubErrorCode, fields: HubErrorFields = {}) {
    super(`${code}: ${fields.detail?.en ?? ERROR_CODES[code].en}`, { cause: fields.cause })
    this.name = 'HubError'
    this.code = code
    this.violations = fields.violations ?? []
    this.detail = fields.detail
    this.retryAfterSeconds = fields.retryAfterSeconds
    this.decidedBy = fields.decidedBy
  }

  /** Whether the same request may succeed later without a change. */
  get retriable(): boolean {
    return ERROR_CODES[this.code].retriable
  }
}

/** Shorthand for the frequent error with one violation. */
export function violated(code: HubErrorCode, pointer: string, rule: string, zh: string, en: string): HubError {
  return new HubError(code, { violations: [{ pointer, rule, message: { zh, en } }], detail: { zh, en } })
}

/** Any thrown value as a HubError; what is not ours becomes `hub.internal` with the cause kept. */
export function asHubError(error: unknown): HubError {
  return error instanceof HubError ? error : new HubError('hub.internal', { cause: error })
}
