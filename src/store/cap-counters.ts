export type CapScope = 'party' | 'operator' | 'subject' | 'guesses'

/** How often a day something may be done by one name. */
export interface Cap {
  readonly scope: CapScope
  /** The grant, or the contract, that it is counted under. */
  readonly under: string
  readonly name: string
  readonly cap: number
  /** Whether this access is one more; one that is not is still refused when the cap is reached. */
  readonly counts: boolean
}

/** What a batch counts under one name. */
export interface Counter extends Omit<Cap, 'counts'> {
  /** Tells it from every other. */
  readonly key: string
  readonly day: string
  /** How often it is raised; less than nothing where a reserve is given back. */
  readonly more: number
  /** Whether each access that names it raises it. */
  readonly allCount: boolean
}

/** What one access counts against. */
interface Counting {
  readonly day: string
  readonly caps: readonly Cap[]
}

/** The counters of a batch, each once; the lowest cap where it changed within the batch. */
export function countersOf(rows: readonly Counting[]): Counter[] {
  const counters = new Map<string, Counter>()
  for (const { day, caps } of rows) {
    for (const { scope, under, name, cap, counts } of caps) {
      const key = `${day} ${scope} ${under}\n${name}`
      const known = counters.get(key)
      counters.set(key, {
        key,
        day,
        scope,
        under,
        name,
        more: (known?.more ?? 0) + (counts ? 1 : 0),
        cap: Math.min(known?.cap ?? cap, cap),
        allCount: (known?.allCount ?? true) && counts,
      })
    }
  }
  return [...counters.values()]
}

type SharedCap = Pick<Counter, 'scope' | 'under' | 'cap' | 'allCount'>

/** The cap of each grant and scope, which all its names share. */
export function sharedCaps(counters: readonly Counter[]): SharedCap[] {
  const caps = new Map<string, SharedCap>()
  for (const { scope, under, cap, allCount } of counters) {
    const key = `${scope} ${under}`
    const known = caps.get(key)
    caps.set(key, {
      scope,
      under,
      cap: Math.min(cap, known?.cap ?? cap),
      allCount: allCount && known?.allCount !== false,
    })
  }
  return [...caps.values()]
}
