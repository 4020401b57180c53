import type { AttemptClass } from '#delivery/retry-classes.ts'

interface FaultRow {
  readonly class: AttemptClass
  /** Whether the peer may have acted before it failed. */
  readonly unknown: boolean
}

/**
 * The class of a SOAP fault code (SOAP 1.1 §4.4.1; Sender and Receiver are what SOAP 1.2 §5.4.6 calls them). A code
 * with dots is a special case of what stands before the dot. Client says that the message is wrong; Server that
 * processing failed, at whatever point.
 */
export const FAULT_CODES = Object.freeze({
  Client: { class: 'dead', unknown: false },
  'Client.Authentication': { class: 'unauthorized', unknown: false },
  Sender: { class: 'dead', unknown: false },
  Server: { class: 'retry', unknown: true },
  Receiver: { class: 'retry', unknown: true },
  MustUnderstand: { class: 'dead', unknown: false },
  VersionMismatch: { class: 'dead', unknown: false },
} satisfies Record<string, FaultRow>)

/** A code of somebody's own says nothing about where it failed: like Server. */
const UNLISTED: FaultRow = FAULT_CODES.Server

/** What a manifest may call the peer's own codes inside a Fault. All of them say what became of the message. */
export const NAMED_FAULTS = Object.freeze({
  busy: { class: 'retry', unknown: false },
  throttled: { class: 'throttle', unknown: false },
  duplicate: { class: 'duplicate', unknown: false },
  rejected: { class: 'dead', unknown: false },
  unauthorized: { class: 'unauthorized', unknown: false },
} satisfies Record<string, FaultRow>)

export type NamedFault = keyof typeof NAMED_FAULTS

/** How a fault code is read; a prefix (`soapenv:Server`) is left out of account. */
export function rowOfFaultCode(code: string): FaultRow {
  let name = code.slice(code.indexOf(':') + 1).trim()
  while (name !== '') {
    if (Object.hasOwn(FAULT_CODES, name)) return FAULT_CODES[name as keyof typeof FAULT_CODES]
    name = name.slice(0, Math.max(0, name.lastIndexOf('.')))
  }
  return UNLISTED
}
