import { violated } from '#kernel/errors.ts'
import type { CaseDocuments, CaseQuestion } from '#store/document-queries.ts'
import type { QueryClaims } from '#trust/claims.ts'

export interface OccasionDeps {
  /** The caller's open case of this number that holds this subject, and the subject's documents. */
  readonly findCaseDocuments: (question: CaseQuestion) => Promise<CaseDocuments>
}

export interface Occasion extends CaseDocuments {
  readonly caseId: string
}

/** The open case that a query is for, with the subject's documents. Throws `query.case_mismatch`. */
export async function inCase(
  deps: OccasionDeps,
  party: string,
  claims: QueryClaims,
  asked: Omit<CaseQuestion, 'party' | 'number'>,
): Promise<Occasion> {
  const { caseNo: number } = claims
  const found = number === undefined ? undefined : await deps.findCaseDocuments({ ...asked, party, number })
  if (found?.caseId !== undefined) return { ...found, caseId: found.caseId }
  throw violated(
    'query.case_mismatch',
    '/caseNo',
    'case',
    '该编号不是本方在办办件，或查询对象不是其申请人',
    'this number is no open case of yours, or the subject is not its applicant',
  )
}
