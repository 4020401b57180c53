import type { Bus } from '#bus/bus.ts'
import type { Clock } from '#kernel/clock.ts'
import type { Loop } from '#kernel/loop.ts'
import type { LiveRegister } from '#parties/register.ts'
import type { Db } from '#store/db.ts'
import { clockOffsetMs } from '#store/health-queries.ts'
import type { LiveVault } from '#trust/vault.ts'
import type { Config } from './config.ts'

/** From start to stop, as a balancer and those who wait in this process see it. */
export interface Life {
  /** Aborts when the process begins to drain: whoever waits for something to come stops waiting. */
  readonly draining: AbortSignal
  /** Why the process takes no work in this phase of its life, undefined while it does. */
  readonly notReady: () => string | undefined
  /** Everything runs. */
  readonly begin: () => void
  /** It will stop soon: not ready from now on, while it goes on serving. */
  readonly drain: () => void
  /** A loop whose failing or hanging makes the process not ready. */
  readonly watch: (name: string, loop: Loop) => void
  readonly ailments: () => readonly string[]
}

export function createLife(): Life {
  const drain = new AbortController()
  const watched: { readonly name: string; readonly loop: Loop }[] = []
  let begun = false
  return {
    draining: drain.signal,
    notReady: () => (drain.signal.aborted ? 'draining: it will stop soon' : begun ? undefined : 'starting'),
    begin: () => {
      begun = true
    },
    drain: () => drain.abort(),
    watch: (name, loop) => void watched.push({ name, loop }),
    ailments: () =>
      watched.flatMap(({ name, loop }) => {
        const ailment = loop.ailment()
        return ailment === undefined ? [] : [`loop ${name}: ${ailment}`]
      }),
  }
}

interface HealthDeps {
  readonly config: Config
  readonly db: Db
  readonly clock: Clock
  readonly register: LiveRegister
  readonly bus: Bus
  readonly life: Life
  readonly vault: LiveVault
}

const MAX_CLOCK_OFFSET_MS = 2_000

/** What keeps this process from doing the work of its roles; empty when it is ready. */
export async function notReady({ config, db, clock, register, bus, life, vault }: HealthDeps): Promise<string[]> {
  const phase = life.notReady()
  const causes = phase === undefined ? [] : [phase]
  // A gateway takes exchanges without the brokers, so their outage must not take it out of the balancer.
  if (!config.roles.includes('gateway')) causes.push(...bus.notReady())
  causes.push(...life.ailments())
  if (!register.isCurrent()) causes.push('register: not refreshed for 5 s')
  if (vault.sealsUntilMs() <= clock()) causes.push('vault: the data keys of today could not be read')
  try {
    const offset = await clockOffsetMs(db, clock)
    if (Math.abs(offset) > MAX_CLOCK_OFFSET_MS) causes.push(`clock: ${Math.round(offset)} ms off the database`)
  } catch {
    causes.push('database: not reachable')
  }
  return causes
}
