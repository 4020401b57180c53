interface GaugeHandle {
  readonly reset: () => void
  readonly set: (labels: Readonly<Record<string, string>>, value: number) => void
}

export type MakeGauge = (definition: {
  readonly name: string
  readonly help: string
  readonly labels: readonly string[]
}) => GaugeHandle

/** Below the ten seconds after which Prometheus gives a scrape up. */
const QUESTION_MS = 6_000

/** A gauge with a series for each row. */
export function fill<R>(
  make: MakeGauge,
  [name, help]: readonly [name: string, help: string],
  labels: readonly (keyof R & string)[],
  value: (row: R) => number,
): (rows: readonly R[]) => void {
  const gauge = make({ name, help, labels })
  return (rows) => {
    gauge.reset()
    for (const row of rows) {
      gauge.set(Object.fromEntries(labels.map((label) => [label, String(row[label])])), value(row))
    }
  }
}

export async function answered<T>(question: () => Promise<T>): Promise<T | undefined> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<undefined>((resolve) => {
    timer = setTimeout(() => resolve(undefined), QUESTION_MS)
  })
  try {
    return await Promise.race([question(), late])
  } catch {
    // The gauge that is missing, and its alert, say so.
    return undefined
  } finally {
    clearTimeout(timer)
  }
}
