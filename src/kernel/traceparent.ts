const FORM = /^([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-[0-9a-f]{2}(-.*)?$/
const LONGEST = 512

/**
 * A `traceparent` (W3C Trace Context §3.2) that is well formed, or undefined: a faulty one is dropped, never repaired.
 * Of a later version only the part that version 00 defines is kept.
 */
export function readTraceparent(text: string | undefined): string | undefined {
  if (text === undefined || text.length > LONGEST) return undefined
  const [, version, trace, parent, rest] = FORM.exec(text) ?? []
  if (version === undefined || trace === undefined || parent === undefined || version === 'ff') return undefined
  if (/^0+$/.test(trace) || /^0+$/.test(parent)) return undefined
  if (version === '00' && rest !== undefined) return undefined
  return text.slice(0, 55)
}

/**
 * The trace of a delivery: its exchange is the trace, the delivery the parent. Both ids are UUIDs, so nothing more has
 * to be stored for a message to be found again in the recipient's logs.
 */
export const deliveryTraceparent = (exchange: string, delivery: string): string =>
  `00-${exchange.replaceAll('-', '')}-${delivery.replaceAll('-', '').slice(16)}-01`
