/** A named point in the life of an exchange where a crash test may end the process; does nothing otherwise. */
export type FaultPoint = (point: string) => void

export const NO_FAULT: FaultPoint = () => {}
