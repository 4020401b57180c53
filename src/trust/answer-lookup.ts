import { closed, digest, listOf, numericDate, oneOf, optional, required, text } from './claim-shapes.ts'

/** How a document was looked up in a foreign system. */
export interface AnswerLookUp {
  /** The document contract. */
  readonly document: string
  /** `fallback`: the system did not answer, and the hub's own documents stand in. */
  readonly state: 'live' | 'cached' | 'fallback'
  /** Of this gateway to the system. */
  readonly circuit: 'closed' | 'open' | 'half-open'
  /** When what is answered was known. */
  readonly asOf: number
  /** The error code that caused a fallback. */
  readonly cause?: string
}

/** What an issuer sealed, and its seal over it. */
export interface Seal {
  readonly digest: string
  readonly value: string
}

export const sealShape = closed<Seal>({ digest: required(digest), value: required(text(4096)) })

export const lookUpsShape = listOf(
  closed<AnswerLookUp>({
    document: required(text(128)),
    state: required(oneOf(['live', 'cached', 'fallback'])),
    circuit: required(oneOf(['closed', 'open', 'half-open'])),
    asOf: required(numericDate),
    cause: optional(text(64)),
  }),
  100,
)
