export interface Loop {
  /** Runs the next step now instead of at the next poll. */
  wake(): void
  /** Resolves when the step under way has ended; no further one begins. */
  stop(): Promise<void>
  /** What is wrong with it, once that has lasted; undefined while it works. */
  ailment(): string | undefined
}

export interface LoopOptions {
  readonly pollMs: number
  /** After a step that found work the next begins no sooner than so long after its beginning, so that it finds more. */
  readonly gatherMs?: number
  readonly onError: (error: unknown) => void
}

const ERROR_PAUSE_MS = 1_000
const FAILING_MS = 30_000
const HANGING_MS = 60_000

/**
 * Repeats a step: at once (or after `gatherMs`) while it finds work, else when woken or polled. An error pauses the
 * loop for a second and never ends it.
 */
export function startLoop(step: () => Promise<number>, options: LoopOptions): Loop {
  let stopped = false
  let woken = false
  let rouse = (): void => {}
  let failingSince: number | undefined
  let stepSince: number | undefined

  async function runStep(): Promise<number> {
    stepSince = performance.now()
    try {
      const moved = await step()
      failingSince = undefined
      return moved
    } catch (error) {
      failingSince ??= performance.now()
      throw error
    } finally {
      stepSince = undefined
    }
  }

  async function run(): Promise<void> {
    while (!stopped) {
      woken = false
      const begunMs = performance.now()
      let pauseMs = options.pollMs
      try {
        if ((await runStep()) > 0) {
          await gather(begunMs)
          continue
        }
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

  async function gather(begunMs: number): Promise<void> {
    const restMs = begunMs + (options.gatherMs ?? 0) - performance.now()
    if (restMs > 0 && !stopped) await new Promise((resolve) => setTimeout(resolve, restMs))
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
    ailment() {
      const now = performance.now()
      if (failingSince !== undefined && now - failingSince > FAILING_MS)
        return `failing for ${seconds(now - failingSince)}`
      if (stepSince !== undefined && now - stepSince > HANGING_MS) return `hanging for ${seconds(now - stepSince)}`
      return undefined
    },
  }
}

const seconds = (ms: number): string => `${Math.round(ms / 1_000)} s`
