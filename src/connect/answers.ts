import { classOfAnswer, type PeerAnswer, type Verdict, verdictOf } from '#delivery/retry-classes.ts'
import { atPointer, type Json } from '#kernel/json.ts'
import type { BodyMatch, ContractEntry, Manifest } from './manifest.ts'

const MAX_REF = 128

/**
 * Reads an answer as the manifest says: the duplicate answer first, then the status, then what a 2xx body reports,
 * because many systems answer 200 to everything. A 2xx without the peer's own body is not from the peer: retried.
 */
export function judgeAnswer(manifest: Manifest, contract: string, answer: PeerAnswer): Verdict {
  const attemptClass = classOfAnswer(answer)
  if (answer.kind === 'failure') return verdictOf(attemptClass, answer)
  const entry = manifest.contracts[contract]
  const body = parseBody(answer.body)
  const { duplicate, busy } = manifest
  if (answer.status === duplicate.status && matches(duplicate.match, body)) {
    return verdictOf('duplicate', answer, refIn(entry, body))
  }
  if (attemptClass !== 'ok' || entry?.success === undefined) return verdictOf(attemptClass, answer, refIn(entry, body))
  if (body === undefined) return verdictOf('retry', answer)
  if (matches(entry.success, body)) return verdictOf('ok', answer, refIn(entry, body))
  return verdictOf(busy !== undefined && matches(busy, body) ? 'retry' : 'dead', answer)
}

function matches(match: BodyMatch | undefined, body: Json | undefined): boolean {
  if (match === undefined) return true
  const found = atPointer(body, match.pointer)
  return (typeof found === 'string' || typeof found === 'number') && match.equals.includes(String(found))
}

function refIn(entry: ContractEntry | undefined, body: Json | undefined): string | undefined {
  const found = entry?.recipientRef === undefined ? undefined : atPointer(body, entry.recipientRef)
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
