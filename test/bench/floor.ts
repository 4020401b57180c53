import { senderSigner } from './message.ts'
import { openLoadGenerator, startFloor, type Window } from './pairs.ts'
import { measureParts, type Parts } from './parts.ts'
import { type Bench, median, type Report, rounded } from './report.ts'
import { openWorld } from './world.ts'

const WINDOWS = 7
const CONCURRENCY = 64
const WARM_UP = 2_000

/** The bare composed process by itself, and each part of an acceptance alone. */
export const floor: Bench = async ({ seconds, say }) => {
  const world = await openWorld()
  try {
    const signer = senderSigner(world.keysDir)
    const load = await openLoadGenerator(world)
    const { subject, child } = await startFloor(world, signer.publicJwk)
    try {
      const { perSecond } = await load.closed(subject, CONCURRENCY, WARM_UP)
      const count = Math.max(200, Math.round((perSecond * seconds * 0.6) / WINDOWS))
      const windows: Window[] = []
      while (windows.length < WINDOWS) windows.push(await load.closed(subject, CONCURRENCY, count))
      const parts = await measureParts(signer, seconds * 0.4)
      return report(windows, parts, say)
    } finally {
      await child.stop()
      await load.stop()
    }
  } finally {
    await world.close()
  }
}

function report(windows: readonly Window[], parts: Parts, say: (line: string) => void): Report {
  const middle = (pick: (window: Window) => number): number => median(windows.map(pick))
  const cpuUs = rounded(middle((window) => window.cpuUs))
  say(`bare process, concurrency ${CONCURRENCY}, medians of ${windows.length} windows`)
  say(
    `  CPU µs per exchange   ${cpuUs}  (process ${rounded(middle((w) => w.processUs))}, PostgreSQL ${rounded(middle((w) => w.postgresUs))})`,
  )
  say(`  accepted/s            ${rounded(middle((w) => w.perSecond))}`)
  say('parts alone, CPU µs (they do not add up)')
  for (const [name, us] of Object.entries(parts)) say(`  ${name.padEnd(20)}  ${rounded(us, 1)}`)
  const joseRatio = parts.verifyJose / parts.verifyNative
  say(`  ES256 verify: jose takes ${rounded(joseRatio, 2)} times the CPU of node:crypto`)
  return {
    bench: 'floor',
    perSecond: rounded(middle((w) => w.perSecond)),
    p50Ms: rounded(
      middle((w) => w.p50Ms),
      1,
    ),
    p99Ms: rounded(
      middle((w) => w.p99Ms),
      1,
    ),
    ratio: null,
    floorUs: cpuUs,
    cpuUs,
    shares: null,
    figures: {
      ...Object.fromEntries(Object.entries(parts).map(([k, us]) => [k, rounded(us, 1)])),
      joseRatio: rounded(joseRatio, 2),
    },
    ok: true,
  }
}
