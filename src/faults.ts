/** A named point in the life of an exchange where a crash test may kill the process. */
export type FaultPoint = (point: string) => void

/**
 * `point` or `point:n`: SIGKILL to ourselves the n-th time the point is reached, so that nothing can be tidied up.
 * Without a configured point this does nothing.
 */
export function createFaultPoint(configured: string | undefined): FaultPoint {
  if (configured === undefined) return () => {}
  const [name, count = '1'] = configured.split(':')
  let left = Number(count)
  return (point) => {
    if (point === name && --left === 0) process.kill(process.pid, 'SIGKILL')
  }
}
