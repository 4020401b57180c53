import { HubError } from '#kernel/errors.ts'
import { type CaseView, findCase, findCases } from '#store/case-queries.ts'
import type { Db } from '#store/db.ts'

/** A case as its parties see it: its numbers, where it belongs, and what happened in the order of the log. A JSON object. */
export type CaseProgress = {
  readonly caseNo: string
  readonly state: string
  readonly division: string
  readonly utility: string | null
  readonly openedAt: string
  readonly aliases: readonly { readonly scheme: string; readonly issuer: string; readonly number: string }[]
  readonly events: readonly {
    readonly pos: number
    readonly exchange: string
    readonly contract: string
    readonly at: string
  }[]
}

/**
 * The cases that a number names, for a party of the case (`undefined`: for the operator). Throws `case.not_found`
 * alike for what does not exist and for what is not the party's.
 */
export async function caseProgress(db: Db, number: string, party: string | undefined): Promise<CaseProgress[]> {
  const found = await findCases(db, number, party)
  if (found.length === 0) throw new HubError('case.not_found')
  return found.map(progressOf)
}

/** The same of one case that the caller is known to be a party of; undefined when there is none of this id. */
export async function progressOfCase(db: Db, id: string): Promise<CaseProgress | undefined> {
  const row = await findCase(db, id)
  return row && progressOf(row)
}

const progressOf = (row: CaseView): CaseProgress => ({
  caseNo: row.case_no,
  state: row.state,
  division: row.division,
  utility: row.utility,
  openedAt: row.opened_at.toISOString(),
  aliases: row.aliases,
  events: row.events,
})
