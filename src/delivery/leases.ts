import { randomUUID } from 'node:crypto'
import { startLoop } from '#kernel/loop.ts'
import type { Db } from '#store/db.ts'
import { type Lease, releaseLeases, takeLeases } from '#store/lease-queries.ts'

export interface Leases {
  /** The lease, while this process may work under it; undefined when another one has it or the database is silent. */
  readonly held: (name: string) => Lease | undefined
  /** Another process was seen to have it: not held until it is taken again. */
  readonly lose: (name: string) => void
  /** Gives them back. */
  readonly stop: () => Promise<void>
}

export interface LeaseOptions {
  /** How long a lease outlives its owner's last sign. */
  readonly ms: number
  readonly onTaken: () => void
  readonly onError: (error: unknown) => void
}

/**
 * Takes these leases wherever they are free and keeps them. The time that counts is the database's; here a lease is
 * used no longer than it was asked for, by this machine's monotonic clock.
 */
export function holdLeases(db: Db, names: readonly string[], options: LeaseOptions): Leases {
  const owner = randomUUID()
  const held = new Map<string, { readonly lease: Lease; readonly until: number }>()

  const renew = async (): Promise<number> => {
    const until = performance.now() + options.ms
    const taken = await takeLeases(db, names, owner, options.ms)
    const isNew = taken.some(({ name }) => !held.has(name))
    held.clear()
    for (const lease of taken) held.set(lease.name, { lease, until })
    if (isNew) options.onTaken()
    return 0
  }
  const loop = startLoop(renew, { pollMs: Math.ceil(options.ms / 3), onError: options.onError })

  return {
    held(name) {
      const found = held.get(name)
      return found !== undefined && performance.now() < found.until ? found.lease : undefined
    },
    lose: (name) => void held.delete(name),
    async stop() {
      await loop.stop()
      held.clear()
      await releaseLeases(db, owner).catch(options.onError)
    },
  }
}
