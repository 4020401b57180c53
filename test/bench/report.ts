/** Shares of the CPU time of one exchange; they add up to 1. */
export interface Shares {
  readonly crypto: number
  readonly validation: number
  readonly store: number
  readonly rest: number
}

/**
 * The last line of `--json`. CPU in µs per exchange, hub and PostgreSQL together; a figure that a bench does not have is
 * null. `figures` are what this bench alone measures.
 */
export interface Report {
  readonly bench: string
  readonly perSecond: number | null
  readonly p50Ms: number | null
  readonly p99Ms: number | null
  readonly ratio: number | null
  readonly floorUs: number | null
  readonly cpuUs: number | null
  readonly shares: Shares | null
  readonly figures: Readonly<Record<string, number>>
  readonly ok: true
}

export interface BenchOptions {
  /** About how long the measured windows last together. */
  readonly seconds: number
  /** Gateways behind one address. */
  readonly processes: number
  /** For `grow`: how many stored exchanges at most. */
  readonly most?: number | undefined
  /** For `neighbour`: exchanges a second that each party may send; else what the hub takes here decides. */
  readonly allowance?: number | undefined
  readonly say: (line: string) => void
}

export type Bench = (options: BenchOptions) => Promise<Report>

/** The middle value; the host drifts too much for means. */
export const median = (values: readonly number[]): number => percentile(values, 0.5)

/** Nearest rank. NaN for an empty list. */
export function percentile(values: readonly number[], part: number): number {
  const sorted = Float64Array.from(values).sort()
  return sorted[Math.min(sorted.length - 1, Math.floor(part * sorted.length))] ?? Number.NaN
}

export const rounded = (value: number, digits = 0): number => Number(value.toFixed(digits))
