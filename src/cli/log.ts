import { type DestinationStream, destination, pino } from 'pino'
import type { Log } from '#compose.ts'
import type { LogLevel } from '#config.ts'
import { HubError } from '#kernel/errors.ts'

/** Members that hold a secret or a payload wherever they stand; `fields` has none of them by its type, so this is a net. */
const NEVER = [
  'token',
  'receipt',
  'refusal',
  'data',
  'payload',
  'authorization',
  'password',
  'secret',
  'privateJwk',
  'd',
]

const CENSORED = '[redacted]'

/** What can stand inside the message of a foreign error: tokens, credentials in URLs, personal numbers. */
const IN_TEXT: readonly (readonly [RegExp, string])[] = [
  [/\beyJ[\w-]+\.[\w-]+\.[\w-]*/g, CENSORED],
  [/\b(Bearer|Basic) +[\w.~+/=-]+/gi, `$1 ${CENSORED}`],
  [/(\b[a-z][a-z0-9+.-]*:\/\/)[^\s/:@]*:[^\s/@]*@/gi, `$1${CENSORED}@`],
  // resident id (GB 11643), mobile number
  [/(?<![\dA-Za-z])\d{6}(?:18|19|20)\d{9}[\dXx](?![\dA-Za-z])/g, CENSORED],
  [/(?<![\dA-Za-z.])1[3-9]\d{9}(?![\dA-Za-z])/g, CENSORED],
]

/** The text without what must not stand in a log (DESIGN §7). */
export const redacted = (text: string): string =>
  IN_TEXT.reduce((left, [pattern, instead]) => left.replace(pattern, instead), text)

/**
 * One JSON line an entry on stderr (stdout is for data): time, level, message, pid, and where known the request's
 * instance, the trace and the error with its causes. Written at once, so that the last words of a process are kept.
 */
export function createLog(level: LogLevel, to: DestinationStream = destination({ dest: 2, sync: true })): Log {
  const logger = pino(
    {
      level,
      base: { pid: process.pid },
      messageKey: 'message',
      timestamp: () => `,"time":"${new Date().toISOString()}"`,
      formatters: { level: (label) => ({ level: label }) },
      redact: { paths: NEVER.flatMap((name) => [name, `*.${name}`]), censor: CENSORED },
    },
    to,
  )
  return ({ level: entryLevel, message, error, instance, traceparent, fields }) => {
    if (!logger.isLevelEnabled(entryLevel)) return
    const bound = {
      ...fields,
      ...(instance === undefined ? {} : { instance }),
      ...(traceparent === undefined ? {} : { traceparent, traceId: traceparent.slice(3, 35) }),
      ...(error === undefined ? {} : { error: redacted(describe(error)) }),
    }
    logger[entryLevel](bound, redacted(message))
  }
}

function describe(error: unknown): string {
  if (error instanceof HubError && error.cause !== undefined) return `${error.message} ← ${describe(error.cause)}`
  return error instanceof Error ? (error.stack ?? error.message) : String(error)
}
