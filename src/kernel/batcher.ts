export interface BatcherOptions {
  /** Batches under way at once. */
  readonly lanes: number
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
  let waiting: Waiting[] = []
  let free = options.lanes

  function start(): void {
    while (free > 0 && waiting.length > 0) {
      const batch = waiting.slice(0, options.maxItems)
      waiting = waiting.slice(options.maxItems)
      free -= 1
      void settle(batch).finally(() => {
        free += 1
        start()
      })
    }
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
