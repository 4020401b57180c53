import pc from 'picocolors'
import { ERROR_CODES } from '#kernel/error-codes.ts'
import type { HubError } from '#kernel/errors.ts'

/** A coded error in both languages with every violation and the way out, on stderr. */
export function printError(error: HubError): void {
  const text = ERROR_CODES[error.code]
  const lines = [
    `${pc.red('✗')} ${error.code}`,
    `  ${error.detail?.zh ?? text.zh}`,
    `  ${error.detail?.en ?? text.en}`,
    ...error.violations.map(({ pointer, rule, message }) => `  - ${pointer} [${rule}] ${message.zh} / ${message.en}`),
    `  → ${text.wayOutZh}`,
    `  → ${text.wayOutEn}`,
  ]
  process.stderr.write(`${lines.join('\n')}\n`)
  if (error.code === 'hub.internal') process.stderr.write(`${String((error.cause as Error)?.stack ?? error.cause)}\n`)
}

export const printJson = (value: unknown): void => void process.stdout.write(`${JSON.stringify(value)}\n`)
export const say = (line: string): void => void process.stderr.write(`${line}\n`)

/** Everything on stdin as text. */
export async function readStdin(): Promise<string> {
  const chunks: Buffer[] = []
  for await (const chunk of process.stdin) chunks.push(chunk as Buffer)
  return Buffer.concat(chunks).toString('utf8')
}
