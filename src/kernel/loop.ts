export interface Loop {
  /** Runs the next step now instead of at the next poll. */
  wake(): void
  /** Resolves when the step under way has ended; no further one begins. */
  stop(): Promise<void>
}

export interface LoopOptions {
  readonly pollMs: number
  readonly onError: (error: unknown) => void
}

const ERROR_PAUSE_MS = 1_000

/**
 * Repeats a step: at once while it finds work, else when woken or polled. An error pauses the loop for a second and
 * never ends it.
 */
export function startLoop(step: () => Promise<number>, options: LoopOptions): Loop {
  let stopped = false
  let woken = false
  let rouse = (): void => {}

  async function run(): Promise<void> {
    while (!stopped) {
      woken = false
      let pauseMs = options.pollMs
      try {
        if ((await step()) > 0) continue
      } catch (error) {
        options.onError(error)
        pauseMs = ERROR_PAUSE_MS
      }
      if (!stopped && !woken) await pause(pauseMs)
    }
  }

  function pause(ms: number): Promise<void> {
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, ms)
      rouse = () => {
        clearTimeout(timer)
        resolve()
      }
    })
  }

  const ended = run()
  return {
    wake() {
      woken = true
      rouse()
    },
    stop() {
      stopped = true
      rouse()
      return ended
    },
  }
}
