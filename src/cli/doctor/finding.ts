import { ERROR_CODES } from '#kernel/error-codes.ts'
import { asHubError } from '#kernel/errors.ts'
import { redacted } from '../log.ts'

interface Bilingual {
  readonly zh: string
  readonly en: string
}

/** One thing that was looked at. */
export interface Finding {
  readonly name: string
  readonly ok: boolean
  /** What was found. */
  readonly what: Bilingual
  /** Null when nothing needs to be done. */
  readonly whatToDo: Bilingual | null
}

export const sound = (name: string, zh: string, en: string): Finding => ({
  name,
  ok: true,
  what: { zh, en },
  whatToDo: null,
})

export const unsound = (name: string, what: Bilingual, whatToDo: Bilingual): Finding => ({
  name,
  ok: false,
  what,
  whatToDo,
})

const VIOLATIONS_SHOWN = 5

/** An error as a finding: what it says with its first violations, and the way out of its code. */
export function unsoundBecause(name: string, thrown: unknown): Finding {
  const error = asHubError(thrown)
  const { zh, en, wayOutZh, wayOutEn } = ERROR_CODES[error.code]
  const said = error.detail?.en
  const listed = error.violations
    .filter(({ message }) => said?.includes(message.en) !== true)
    .slice(0, VIOLATIONS_SHOWN)
  const list = (language: 'zh' | 'en'): string =>
    listed.map(({ pointer, message }) => `${pointer} ${message[language]}`.trim()).join('; ')
  const cause = causeOf(error.cause)
  const tell = (text: string, more: string): string => [text, more, cause].filter((part) => part !== '').join(': ')
  return unsound(
    name,
    { zh: tell(error.detail?.zh ?? zh, list('zh')), en: tell(error.detail?.en ?? en, list('en')) },
    { zh: wayOutZh, en: wayOutEn },
  )
}

/** The messages of foreign errors may quote an address with its password. */
const causeOf = (cause: unknown): string => (cause instanceof Error ? redacted(cause.message || cause.name) : '')

/** Runs one check; whatever it throws is its finding. */
export async function examined(name: string, check: () => Promise<readonly Finding[]>): Promise<readonly Finding[]> {
  try {
    return await check()
  } catch (error) {
    return [unsoundBecause(name, error)]
  }
}
