import { vi } from 'vitest'

/** Waits for what must come true, with room for a machine that does other things too. */
export const eventually = (assertion: () => void | Promise<void>): Promise<void> =>
  vi.waitFor(assertion, { timeout: 15_000, interval: 20 })
