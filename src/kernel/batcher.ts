/** Runs work once one of so many lanes is free; who asked first is first. */
export type Lanes = (work: () => Promise<void>) => void

export function createLanes(count: number): Lanes {
  const asked: (() => Promise<void>)[] = []
  let free = count

  function enter(): void {
    while (free > 0) {
      const work = asked.shift()
      if (work === undefined) return
      free -= 1
      // What the work set going in this turn of the event loop may ask for the lane too.
      void work().finally(() => setImmediate(leave))
    }
  }
  function leave(): void {
    free += 1
    enter()
  }
  return (work) => {
    asked.push(work)
    enter()
  }
}

export interface BatcherOptions {
  /** Batches under way at once: so many of its own, or those that it shares with others. */
  readonly lanes: number | Lanes
  readonly maxItems: number
  /** Whether an error may be one item's own: then each item is tried alone. */
  readonly isItemsFault: (error: unknown) => boolean
}

/**
 * Turns calls for one item into calls for many: what has gathered goes as soon as a lane is free, without a timer.
 * `run` answers in the order of its items.
 */
export function createBatcher<I, O>(
  run: (items: readonly I[]) => Promise<readonly O[]>,
  options: BatcherOptions,
): (item: I) => Promise<O> {
  interface Waiting extends PromiseWithResolvers<O> {
    readonly item: I
  }
  const enter = typeof options.lanes === 'number' ? createLanes(options.lanes) : options.lanes
  let waiting: Waiting[] = []
  let isAsking = false

  function start(): void {
    if (isAsking || waiting.length === 0) return
    isAsking = true
    enter(() => {
      const batch = waiting.slice(0, options.maxItems)
      waiting = waiting.slice(options.maxItems)
      isAsking = false
      start()
      return settle(batch)
    })
  }

  async function settle(batch: readonly Waiting[]): Promise<void> {
    try {
      const answers = await run(batch.map(({ item }) => item))
      for (const [index, { resolve }] of batch.entries()) resolve(answers[index] as O)
    } catch (error) {
      if (batch.length > 1 && options.isItemsFault(error)) {
        for (const one of batch) await settle([one])
      } else {
        for (const { reject } of batch) reject(error)
      }
    }
  }

  return (item) => {
    const one = { ...Promise.withResolvers<O>(), item }
    waiting.push(one)
    // What comes in the same turn of the event loop goes along.
    setImmediate(start)
    return one.promise
  }
}
