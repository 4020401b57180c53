/** One piece of work after the other, whoever asks for it: faults overlap, and each finds what the one before left. */
export function createTurns(): <T>(work: () => Promise<T>) => Promise<T> {
  let turn: Promise<unknown> = Promise.resolve()
  return (work) => {
    const next = turn.then(work, work)
    turn = next.catch(() => undefined)
    return next
  }
}
