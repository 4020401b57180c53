import { type Core, openCore } from '#compose.ts'
import { withStore } from './with-store.ts'

/** Everything that a role shares, for one command. */
export const withCore = <R>(use: (core: Core) => Promise<R>): Promise<R> =>
  withStore(async (url, config, log) => {
    const core = await openCore(config, url, log)
    try {
      return await use(core)
    } finally {
      await core.close()
    }
  })
