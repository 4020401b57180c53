/** A sleep that can be cut short. A wake that comes before the wait is kept, so none falls between look and sleep. */
export interface Waker {
  readonly wake: () => void
  /** Resolves after `ms`, or at once when woken. */
  readonly wait: (ms: number) => Promise<void>
}

export function createWaker(): Waker {
  let woken = false
  let interrupt: (() => void) | undefined
  return {
    wake: () => {
      woken = true
      interrupt?.()
    },
    wait: async (ms) => {
      if (!woken) {
        await new Promise<void>((resolve) => {
          const timer = setTimeout(resolve, ms)
          interrupt = () => {
            clearTimeout(timer)
            resolve()
          }
        })
        interrupt = undefined
      }
      woken = false
    },
  }
}
