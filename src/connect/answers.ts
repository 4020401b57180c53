import { type AttemptClass, classOfAnswer, type PeerAnswer, type Verdict, verdictOf } from '#delivery/retry-classes.ts'
import type { Finding } from '#delivery/target.ts'
import { atPointer, type Json } from '#kernel/json.ts'
import type { AnswerMatch, BodyMatch, Manifest } from './manifest.ts'
import { readEnvelope, type SoapAnswer } from './soap-envelope.ts'
import { NAMED_FAULTS, rowOfFaultCode } from './soap-faults.ts'

const MAX_REF = 128

/**
 * Reads an answer as the manifest says: the duplicate answer first, then the status, then what a 2xx body reports,
 * because many systems answer 200 to everything. A 2xx without the peer's own body is not from the peer: retried.
 * A SOAP Fault says what its code says, whatever status it travels under.
 */
export function judgeAnswer(manifest: Manifest, contract: string, answer: PeerAnswer): Verdict {
  const entry = manifest.contracts[contract]
  const read = readAnswer(manifest, answer)
  if (read.verdict !== undefined) return withRef(read, answer, entry?.recipientRef)
  const { status, body, statusClass } = read
  const { duplicate } = manifest
  const known = { recipientRef: refIn(entry?.recipientRef, body) }
  if (duplicate !== undefined && fits(duplicate, status, body)) return verdictOf('duplicate', answer, known)
  if (statusClass !== 'ok') return verdictOf(statusClass, answer, known)
  const saysNothing = entry?.success === undefined
  if (saysNothing && manifest.transport === 'http') return verdictOf('ok', answer, known)
  if (body === undefined) return verdictOf('retry', answer)
  if (saysNothing || matches(entry.success, body)) return verdictOf('ok', answer, known)
  return isBusy(manifest, body) ? verdictOf('retry', answer, { unknown: false }) : verdictOf('dead', answer)
}

/** What the answer to a look-up says about the delivery that it asks for. */
export function judgeLookUp(manifest: Manifest, answer: PeerAnswer): Finding {
  const { confirm } = manifest
  const read = readAnswer(manifest, answer)
  if (read.verdict !== undefined) return withoutFinding(withRef(read, answer))
  const { status, body, statusClass } = read
  if (confirm !== undefined && fits(confirm.applied, status, body)) {
    return { finding: 'applied', verdict: verdictOf('ok', answer, { recipientRef: refIn(confirm.recipientRef, body) }) }
  }
  if (confirm !== undefined && fits(confirm.absent, status, body)) {
    return { finding: 'absent', verdict: verdictOf('ok', answer) }
  }
  const again = statusClass === 'ok' && (body === undefined || isBusy(manifest, body))
  return withoutFinding(verdictOf(again ? 'retry' : statusClass, answer))
}

/** A peer that could not be asked is asked again; one that answered neither yes nor no leaves it to a human. */
const withoutFinding = (verdict: Verdict): Finding => {
  const answered = verdict.class === 'ok' || verdict.class === 'duplicate' || verdict.class === 'dead'
  return { finding: answered ? 'unclear' : 'unreachable', verdict }
}

type Read =
  | {
      readonly verdict: { readonly class: AttemptClass; readonly unknown: boolean }
      readonly fault: Json | undefined
    }
  | {
      readonly verdict: undefined
      readonly status: number
      readonly statusClass: AttemptClass
      /** Undefined when it is not in the peer's format. */
      readonly body: Json | undefined
    }

/** Statuses that speak for the endpoint itself, whatever the body says: 401, 403, 410, 429, 503 with Retry-After. */
const ENDPOINT_CLASSES: ReadonlySet<AttemptClass> = new Set(['unauthorized', 'gone', 'throttle'])

function readAnswer(manifest: Manifest, answer: PeerAnswer): Read {
  const statusClass = classOfAnswer(answer)
  if (answer.kind === 'failure') {
    const { unknown } = verdictOf(statusClass, answer)
    return { verdict: { class: statusClass, unknown }, fault: undefined }
  }
  const { status } = answer
  if (manifest.transport === 'http') return { verdict: undefined, status, statusClass, body: parseBody(answer.body) }
  const soap = readEnvelope(answer.body)
  if (soap?.kind === 'fault' && !ENDPOINT_CLASSES.has(statusClass)) {
    return { verdict: rowOfFault(manifest.faults, soap), fault: soap.fault }
  }
  return { verdict: undefined, status, statusClass, body: soap?.kind === 'body' ? soap.body : undefined }
}

type Faults = Extract<Manifest, { transport: 'soap' }>['faults']

function rowOfFault(faults: Faults, { code, fault }: Extract<SoapAnswer, { kind: 'fault' }>) {
  const own = faults === undefined ? undefined : atPointer(fault, faults.pointer)
  const named = typeof own === 'string' && Object.hasOwn(faults?.codes ?? {}, own) ? faults?.codes[own] : undefined
  return named === undefined ? rowOfFaultCode(code) : NAMED_FAULTS[named]
}

const withRef = (
  { verdict, fault }: Extract<Read, { verdict: object }>,
  answer: PeerAnswer,
  pointer?: string,
): Verdict => verdictOf(verdict.class, answer, { unknown: verdict.unknown, recipientRef: refIn(pointer, fault) })

const fits = ({ status, match }: AnswerMatch, answered: number, body: Json | undefined): boolean =>
  status === answered && matches(match, body)

const isBusy = ({ busy }: Manifest, body: Json): boolean => busy !== undefined && matches(busy, body)

function matches(match: BodyMatch | undefined, body: Json | undefined): boolean {
  if (match === undefined) return true
  const found = atPointer(body, match.pointer)
  return (typeof found === 'string' || typeof found === 'number') && match.equals.includes(String(found))
}

function refIn(pointer: string | undefined, body: Json | undefined): string | undefined {
  const found = pointer === undefined ? undefined : atPointer(body, pointer)
  if (typeof found === 'number') return String(found)
  return typeof found === 'string' && found.length > 0 && found.length <= MAX_REF ? found : undefined
}

function parseBody(text: string): Json | undefined {
  try {
    return JSON.parse(text) as Json
  } catch {
    return undefined
  }
}
