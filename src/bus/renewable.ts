import type { HubError } from '#kernel/errors.ts'

interface Closable {
  readonly close: () => Promise<void>
}

/** One shared instance of a client part; an instance that an outage broke is closed and replaced at the next use. */
export interface Renewable<T> {
  readonly use: <R>(call: (instance: T) => Promise<R>) => Promise<R>
  readonly close: () => Promise<void>
}

const CLOSE_LIMIT_MS = 5_000

/** `open` makes an instance without connecting it. Rejections must be HubErrors; a retriable one ends the instance. */
export function renewable<T extends Closable>(open: () => T): Renewable<T> {
  let current: T | undefined
  return {
    async use(call) {
      current ??= open()
      const instance = current
      try {
        return await call(instance)
      } catch (error) {
        if ((error as HubError).retriable && current === instance) {
          current = undefined
          void closeQuietly(instance)
        }
        throw error
      }
    },
    async close() {
      const instance = current
      current = undefined
      if (instance !== undefined) await closeQuietly(instance)
    },
  }
}

/** Closes within 5 s. A client that cannot say goodbye is left to its time-outs: there is nothing more to do with it. */
export async function closeQuietly(instance: Closable): Promise<void> {
  let timer: NodeJS.Timeout | undefined
  const limit = new Promise<void>((resolve) => {
    timer = setTimeout(resolve, CLOSE_LIMIT_MS)
  })
  await Promise.race([instance.close().catch(() => undefined), limit])
  clearTimeout(timer)
}
