import { type FaultPoint, NO_FAULT } from '#kernel/fault-point.ts'

/**
 * `point` or `point:n`: SIGKILL to ourselves the n-th time the point is reached, so that nothing can be tidied up.
 * Without a configured point this does nothing.
 */
export function createFaultPoint(configured: string | undefined): FaultPoint {
  if (configured === undefined) return NO_FAULT
  const [name, count = '1'] = configured.split(':')
  let left = Number(count)
  return (point) => {
    if (point === name && --left === 0) process.kill(process.pid, 'SIGKILL')
  }
}
