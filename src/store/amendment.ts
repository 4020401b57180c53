/** A document by its contract and identity (without version and check character). */
export interface DocumentName {
  readonly contract: string
  readonly identifier: string
}

/** A member of a document that is disputed, and since when (numeric date). */
export interface DisputedField {
  readonly field: string
  readonly since: number
}

/** A document that a query was answered with. */
export interface AnsweredReference {
  readonly query: { readonly iss: string; readonly jti: string }
  readonly originalDigest: string
}

/** What an exchange says about data that another one brought. */
export type Amendment = DisputeClaim | CorrectionClaim

export interface AmendmentClaim {
  /** For whom it was sent. */
  readonly issuer: string
  readonly number: string
  /** Of the document. */
  readonly contract: string
  readonly fields: readonly string[]
}

export interface DisputeClaim extends AmendmentClaim {
  readonly kind: 'dispute'
  readonly provider: string
  /** The document by its identity, or by what an own query was answered with. */
  readonly by: { readonly identifier: string } | AnsweredReference
}

export interface CorrectionClaim extends AmendmentClaim, DocumentName {
  readonly kind: 'correction'
  readonly dispute: { readonly issuer: string; readonly number: string } | undefined
  /** The exchange of the corrected version; undefined when the dispute is rejected. */
  readonly newVersion: { readonly iss: string; readonly jti: string } | undefined
}
