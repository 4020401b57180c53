const DURATION = /^P(?:(\d{1,4})W)?(?:(\d{1,4})D)?(?:T(?:(\d{1,5})H)?(?:(\d{1,6})M)?(?:(\d{1,7})S)?)?$/
const SECONDS = [604_800, 86_400, 3_600, 60, 1]

/**
 * Seconds of an ISO 8601 duration of weeks, days, hours, minutes and seconds; undefined for anything else. Months
 * and years are refused because they have no fixed length.
 */
export function durationSeconds(text: string): number | undefined {
  const match = DURATION.exec(text)
  if (match === null || text.endsWith('T') || text === 'P') return undefined
  return SECONDS.reduce((total, seconds, i) => total + seconds * Number(match[i + 1] ?? 0), 0)
}
