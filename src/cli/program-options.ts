import { InvalidArgumentError } from 'commander'

/** What a command answers beside its output: an exit code other than 0. */
export type Answer = (code: number) => void

export const wholeNumber = (least: number, most: number) => (text: string) => {
  const number = Number(text)
  if (Number.isInteger(number) && number >= least && number <= most) return number
  throw new InvalidArgumentError(`a whole number from ${least} to ${most}`)
}
