import { ERROR_CODES, type HubErrorCode } from '#kernel/error-codes.ts'
import type { HubError, Violation } from '#kernel/errors.ts'

/** The only place that knows status codes (RFC 9110 §15): one for every error code, checked at compile time. */
const STATUS = {
  'token.malformed': 401,
  'token.too_large': 413,
  'token.header_forbidden': 401,
  'token.type_wrong': 401,
  'token.algorithm_wrong': 401,
  'token.key_unknown': 401,
  'token.key_foreign': 401,
  'token.topic_foreign': 401,
  'token.key_inactive': 401,
  'token.not_encrypted': 422,
  'token.encryption_invalid': 401,
  'token.signature_invalid': 401,
  'token.claims_invalid': 422,
  'token.audience_wrong': 401,
  'token.expired': 401,
  'token.not_yet_valid': 401,
  'token.lifetime_too_long': 401,
  'appkey.headers_invalid': 401,
  'appkey.unknown': 401,
  'appkey.revoked': 401,
  'appkey.sign_invalid': 401,
  'appkey.timestamp_off': 401,
  'appkey.nonce_used': 401,
  'appkey.network_foreign': 403,
  'party.suspended': 403,
  'party.unknown': 404,
  'party.encryption_key_missing': 500,
  'party.exists': 409,
  'right.missing': 403,
  'right.no_mandate': 403,
  'contract.unknown': 422,
  'contract.kind_wrong': 422,
  'contract.claim_mismatch': 422,
  'contract.schema_violated': 422,
  'contract.rows_refused': 422,
  'contract.rule_violated': 422,
  'contract.set_invalid': 500,
  'exchange.conflict': 409,
  'exchange.unstorable': 422,
  'exchange.not_found': 404,
  'dispute.document_unknown': 422,
  'dispute.number_used': 409,
  'correction.dispute_unknown': 422,
  'correction.dispute_settled': 409,
  'correction.version_unknown': 422,
  'file.not_found': 404,
  'file.lapsed': 410,
  'file.offset_wrong': 409,
  'file.digest_wrong': 422,
  'file.size_wrong': 422,
  'file.content_wrong': 422,
  'file.too_large': 413,
  'file.quota_exceeded': 507,
  'file.missing': 422,
  'file.mismatch': 422,
  'file.not_carried': 422,
  'file.copy_expired': 422,
  'case.not_found': 404,
  'delivery.not_found': 404,
  'delivery.expired': 500,
  'delivery.unrouted': 500,
  'delivery.receipt_invalid': 500,
  'mapping.failed': 500,
  'peer.rejected': 500,
  'peer.unavailable': 503,
  'peer.timeout': 503,
  'peer.outcome_unknown': 500,
  'peer.throttled': 503,
  'peer.unauthorized': 503,
  'peer.gone': 503,
  'peer.cap_reached': 503,
  'peer.answer_invalid': 503,
  'query.replayed': 409,
  'query.case_mismatch': 403,
  'query.grant_missing': 403,
  'query.consent_missing': 403,
  'query.guesses_used': 429,
  'query.cap_reached': 429,
  'limit.exceeded': 429,
  'http.bad_request': 400,
  'http.unsupported_media_type': 415,
  'http.body_too_large': 413,
  'http.not_found': 404,
  'http.range_not_satisfiable': 416,
  'http.method_not_allowed': 405,
  'http.timeout': 408,
  'hub.busy': 503,
  'hub.store_unavailable': 503,
  'hub.internal': 500,
  'config.invalid': 500,
  'store.directory_in_use': 500,
  'store.unavailable': 503,
  'store.schema_outdated': 500,
  'vault.keystore_faulty': 500,
  'vault.key_unavailable': 503,
  'vault.key_destroyed': 410,
  'vault.sealed_damaged': 500,
  'bus.unavailable': 503,
  'bus.not_authorised': 500,
  'bus.topic_faulty': 500,
  'bus.record_refused': 500,
  'bus.offset_reset': 500,
  'connector.invalid': 500,
  'key.refused': 422,
  'seed.invalid': 500,
  'cli.usage': 500,
} as const satisfies Record<HubErrorCode, number>

export const statusOf = (code: HubErrorCode): number => STATUS[code]

/** RFC 9457 problem details; title and detail hold both languages, the code is stable. */
export interface Problem {
  readonly type: string
  readonly title: string
  readonly status: number
  readonly detail: string
  readonly instance: string
  readonly code: HubErrorCode
  readonly violations: readonly Violation[]
  /** The signed refusal (`refusal+jwt`), once the token was read whole. */
  readonly refusal?: string
}

/** What went wrong and the way out, in zh and en. Never the message of an unknown error: that stays in the log. */
export function problemOf(error: HubError, instance: string, refusal?: string): Problem {
  const text = ERROR_CODES[error.code]
  const detail =
    error.detail === undefined
      ? `${text.wayOutZh} / ${text.wayOutEn}`
      : `${error.detail.zh}；${text.wayOutZh} / ${error.detail.en}. ${text.wayOutEn}`
  return {
    type: `urn:dianqiao:problem:${error.code}`,
    title: `${text.zh} / ${text.en}`,
    status: STATUS[error.code],
    detail,
    instance,
    code: error.code,
    violations: error.violations,
    ...(refusal === undefined ? {} : { refusal }),
  }
}
