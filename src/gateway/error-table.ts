import { ERROR_CODES, type HubErrorCode } from '#kernel/error-codes.ts'
import { statusOf } from './problem.ts'

const HEADERS = {
  zh: ['代码', '状态', '含义', '出路'],
  en: ['code', 'status', 'meaning', 'way out'],
} as const

/** All error codes as a Markdown table: what both READMEs show and `dianqiao error ls` prints. */
export function errorTable(language: 'zh' | 'en'): string {
  const rows = Object.entries(ERROR_CODES).map(([code, text]) => [
    `\`${code}\``,
    String(statusOf(code as HubErrorCode)),
    language === 'zh' ? text.zh : text.en,
    language === 'zh' ? text.wayOutZh : text.wayOutEn,
  ])
  const header = HEADERS[language]
  return [header, header.map(() => '---'), ...rows].map((cells) => `| ${cells.join(' | ')} |`).join('\n')
}
