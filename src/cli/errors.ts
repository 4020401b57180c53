import { errorTable } from '#gateway/error-table.ts'

export function listErrors(language: string): void {
  process.stdout.write(`${errorTable(language === 'en' ? 'en' : 'zh')}\n`)
}
