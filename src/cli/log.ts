import type { Log } from '#compose.ts'
import { HubError } from '#kernel/errors.ts'

/** One JSON line an entry on stderr: stdout is for data. Causes keep their stack; nothing of a payload is logged. */
export const stderrLog: Log = ({ level, message, error, instance }) => {
  const line = {
    time: new Date().toISOString(),
    level,
    message,
    ...(instance === undefined ? {} : { instance }),
    ...(error === undefined ? {} : { error: describe(error) }),
  }
  process.stderr.write(`${JSON.stringify(line)}\n`)
}

function describe(error: unknown): string {
  if (error instanceof HubError && error.cause !== undefined) return `${error.message} ← ${describe(error.cause)}`
  return error instanceof Error ? (error.stack ?? error.message) : String(error)
}
