/** Numbers that a seed repeats (mulberry32): [0, 1), and whole numbers in [from, to). */
export interface Random {
  (): number
  readonly between: (from: number, to: number) => number
  readonly pick: <T>(items: readonly T[]) => T
}

export function seededRandom(seed: number): Random {
  let state = seed >>> 0
  const next = (): number => {
    state = (state + 0x6d2b79f5) >>> 0
    let t = state
    t = Math.imul(t ^ (t >>> 15), t | 1)
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61)
    return ((t ^ (t >>> 14)) >>> 0) / 4_294_967_296
  }
  const between = (from: number, to: number): number => from + Math.floor(next() * (to - from))
  return Object.assign(next, {
    between,
    pick: <T>(items: readonly T[]): T => items[between(0, items.length)] as T,
  })
}
