/**
 * The day `months` calendar months after `day` (YYYY-MM-DD); where that month is shorter, its last day: 01-31 and one
 * month is 02-28 or 02-29. Undefined for a text that is no day, or a result before the year 1 or after 9999.
 */
export function addMonths(day: string, months: number): string | undefined {
  const [, year, month, date] = /^(\d{4})-(\d{2})-(\d{2})$/.exec(day)?.map(Number) ?? []
  if (year === undefined || month === undefined || date === undefined) return undefined
  if (utcDay(year, month - 1, date) !== day) return undefined
  const index = year * 12 + month - 1 + months
  const [toYear, toMonth] = [Math.floor(index / 12), index % 12]
  if (!(toYear >= 1 && toYear <= 9999)) return undefined
  return utcDay(toYear, toMonth, Math.min(date, lastOf(toYear, toMonth)))
}

const lastOf = (year: number, month: number): number => Number(utcDay(year, month + 1, 0).slice(8))

/** `setUTCFullYear`, because `Date.UTC` takes the years below 100 for 19xx. */
function utcDay(year: number, month: number, date: number): string {
  const at = new Date(0)
  at.setUTCFullYear(year, month, date)
  return at.toISOString().slice(0, 10)
}
