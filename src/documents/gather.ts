import type { AnswerPart, Answers } from '#contracts/contract.ts'
import type { JsonObject } from '#kernel/json.ts'
import type { DocumentFound } from '#store/document-queries.ts'
import type { AnswerLookUp } from '#trust/answer-lookup.ts'
import type { QueryClaims } from '#trust/claims.ts'
import { type CaseRecord, caseDocument, heldDocument, type KnownDocument } from './known.ts'
import { gatherLive, type LiveDeps } from './live.ts'
import type { Occasion } from './occasion.ts'

/** The documents of one part of a query, and how they were looked up where they were. */
export interface PartSource {
  readonly documents: readonly KnownDocument[]
  readonly lookUp: AnswerLookUp | undefined
}

export interface Asking {
  /** Who asks, or for whom. */
  readonly party: string
  readonly claims: QueryClaims
  readonly data: JsonObject
  readonly occasion: Occasion
  /** Looks at the case and its documents again. */
  readonly inItsCase: () => Promise<Occasion>
  /** Throws what recording the access would throw: no foreign system is asked for what could not be answered. */
  readonly foresee: () => Promise<void>
  /** Whether anything of a part may be answered. */
  readonly isWanted: (part: AnswerPart) => boolean
}

export interface GatherDeps extends LiveDeps {
  readonly hubId: string
  /** The progress of a case; undefined where there is none of this id. */
  readonly caseRecord: (caseId: string) => Promise<CaseRecord | undefined>
}

/**
 * The documents of every part: what the hub holds, what a look-up finds, or what is known of the case. Throws `peer.*`
 * where a look-up finds nothing and nothing is held.
 */
export async function gather(deps: GatherDeps, { parts }: Answers, asking: Asking): Promise<PartSource[]> {
  const isLive = (part: AnswerPart): boolean => part.lookup !== undefined && asking.isWanted(part)
  if (parts.some(isLive)) await asking.foresee()
  return Promise.all(
    parts.map(async (part, index): Promise<PartSource> => {
      const held = asking.occasion.documents[index] ?? []
      if (isLive(part)) return lookUpPart(deps, part, index, asking, held)
      if (part.source === 'case') return { documents: await ownCase(deps, asking.occasion), lookUp: undefined }
      return { documents: held.map((row) => heldDocument(deps.claimsOf, row)), lookUp: undefined }
    }),
  )
}

/** None before there is a case. */
async function ownCase({ hubId, caseRecord }: GatherDeps, { caseId }: Occasion): Promise<KnownDocument[]> {
  const data = caseId === undefined ? undefined : await caseRecord(caseId)
  return data === undefined ? [] : [caseDocument(data, hubId)]
}

async function lookUpPart(
  deps: LiveDeps,
  { document, lookup: connector = '' }: AnswerPart,
  index: number,
  { party, claims, data, occasion, inItsCase }: Asking,
  projected: readonly DocumentFound[],
): Promise<PartSource> {
  const { caseId, session, subjectKeys } = occasion
  const projectedNow = async () => (await inItsCase()).documents[index] ?? []
  const of = { party, claims, data, caseId: caseId ?? session ?? '', subjectKeys }
  return gatherLive(deps, { ...of, connector, document, projected, projectedNow })
}
