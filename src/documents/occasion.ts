import { violated } from '#kernel/errors.ts'
import type { CaseDocuments, CaseQuestion, DocumentFound } from '#store/document-queries.ts'
import type { QueryClaims } from '#trust/claims.ts'

export interface OccasionDeps {
  /** The caller's open case of this number that holds this subject, and the subject's documents. */
  readonly findCaseDocuments: (question: CaseQuestion) => Promise<CaseDocuments>
}

/** The open case that a query is for, with the subject's documents. Throws `query.case_mismatch`. */
export async function inCase(
  deps: OccasionDeps,
  party: string,
  claims: QueryClaims,
  subjectKey: string,
  contract: string,
): Promise<{ readonly caseId: string; readonly documents: readonly DocumentFound[] }> {
  const { caseNo: number } = claims
  const { caseId, documents } =
    number === undefined
      ? { caseId: undefined, documents: [] }
      : await deps.findCaseDocuments({ party, number, subjectKey, contract })
  if (caseId !== undefined) return { caseId, documents }
  throw violated(
    'query.case_mismatch',
    '/caseNo',
    'case',
    '该编号不是本方在办办件，或查询对象不是其申请人',
    'this number is no open case of yours, or the subject is not its applicant',
  )
}
