/** Milliseconds since the epoch. Passed as an argument wherever time matters, so that tests can set it. */
export type Clock = () => number

export const systemClock: Clock = () => Date.now()

/** Milliseconds since the process began, for lapses of time: nobody sets it, while the wall clock may jump either way. */
export const steadyClock: Clock = () => performance.now()

/** NumericDate (RFC 7519 §2): whole seconds since the epoch. */
export const numericDate = (ms: number): number => Math.floor(ms / 1000)

const DAY_MS = 86_400_000

/** Tells the ISO date (UTC) of a time, and remembers the last one: most messages of a process fall on the same day. */
export function createIsoDay(): (ms: number) => string {
  let known = Number.NaN
  let text = ''
  return (ms) => {
    const day = Math.floor(ms / DAY_MS)
    if (day !== known) {
      text = new Date(ms).toISOString().slice(0, 10)
      known = day
    }
    return text
  }
}

export const isoTime = (ms: number): string => new Date(ms).toISOString()
