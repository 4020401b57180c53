let next: Promise<void> | undefined

/**
 * Resolves in the next turn of the event loop, for all who asked in this one: they go on one after the other, step by
 * step, so that the code and tables of a step stay in the processor's caches.
 */
export function nextTurn(): Promise<void> {
  next ??= new Promise((resolve) => {
    setImmediate(() => {
      next = undefined
      resolve()
    })
  })
  return next
}
