/** Milliseconds since the epoch. Passed as an argument wherever time matters, so that tests can set it. */
export type Clock = () => number

export const systemClock: Clock = () => Date.now()

/** Milliseconds since the process began, for lapses of time: nobody sets it, while the wall clock may jump either way. */
export const steadyClock: Clock = () => performance.now()

/** NumericDate (RFC 7519 §2): whole seconds since the epoch. */
export const numericDate = (ms: number): number => Math.floor(ms / 1000)

export const isoTime = (ms: number): string => new Date(ms).toISOString()
